"""Numbers, times, differences and curves."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from service.pages import words
from service.pages.charts import chart
from service.pages.diff import Stretch, diff


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, words.UNKNOWN), (0, "0"), (1234567, "1,234,567"), (0.5678, "0.568"), (1234.5, "1,234"), (99.5, "99.5")],
)
def test_a_number_has_separators(value, shown):
    assert words.number(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, words.UNKNOWN),
        (9999, "9,999"),
        (10_000, "10 k"),
        (999_499, "999 k"),
        (999_500, "1 M"),
        (4_560_000, "4.56 M"),
        (2e9, "2 G"),
    ],
)
def test_a_large_count_is_rounded(value, shown):
    assert words.compact(value) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, words.UNKNOWN),
        (0.35, "350 ms"),
        (1, "1 s"),
        (2.53, "2.5 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (187, "3 min 07 s"),
        (3599.6, "1 h 00 min"),
        (8100, "2 h 15 min"),
        (90_000, "1 d 1 h"),
    ],
)
def test_a_duration_is_humane(seconds, shown):
    assert words.duration(seconds) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (1, "just now"),
        (30, "30 seconds ago"),
        (90, "1 minute ago"),
        (7200.5, "2 hours ago"),
        (200_000, "2 days ago"),
        (-65.5, "in 1 minute"),
    ],
)
def test_a_time_is_told_from_now(seconds, shown):
    assert words.relative(time.time() - seconds) == shown
    assert words.relative(datetime.now(UTC) - timedelta(seconds=seconds)) == shown


def test_a_time_is_told_exactly_too():
    assert words.exact(0.0) == words.exact(datetime(1970, 1, 1)) == "1970-01-01 00:00:00 UTC"


@pytest.mark.parametrize(("part", "whole", "shown"), [(1, 3, "33.3 %"), (0, 3, "0.0 %"), (1, 0, words.UNKNOWN)])
def test_a_share_of_nothing_is_unknown(part, whole, shown):
    assert words.percent(words.share(part, whole)) == shown


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("text", "text"),
        (None, ""),
        ([{"type": "text", "text": "a"}, "b", {"type": "image_url"}], 'a\nb\n{"type": "image_url"}'),
        ({"odd": 1}, '{\n  "odd": 1\n}'),
    ],
)
def test_a_message_of_any_shape_has_a_text(content, text):
    assert words.message_text({"role": "user", "content": content}) == text


def test_a_link_carries_what_was_asked_alone():
    assert words.link("/traces", q="a&b=<c>", batch=None, after=0, reason="") == "/traces?q=a%26b%3D%3Cc%3E"


def rebuilt(stretches: list[Stretch], without: str) -> str:
    return "".join(stretch.text for stretch in stretches if stretch.kind != without)


@pytest.mark.parametrize(
    ("twin", "text"),
    [("", ""), ("a b c", "a x c"), ("3 + 4 = 7", "3 - 4 = -1"), ("", "new"), ("one\ntwo", "one\n\ntwo")],
)
def test_a_difference_holds_both_texts(twin, text):
    found = diff(twin, text)
    assert (rebuilt(found, "added"), rebuilt(found, "removed")) == (twin, text)


def test_what_both_share_at_length_is_left_out():
    shared = " ".join(f"word{number}" for number in range(500))
    found = diff(f"{shared} old", f"{shared} new")
    assert found[0].gap > 3000
    assert len(found[0].text) + found[0].gap + len(found[0].tail) == len(shared) + 1
    assert [stretch.text for stretch in found[1:]] == ["old", "new"]


@pytest.mark.parametrize(
    ("twin", "text"),
    [
        ("a b " * 20_000, "b a " * 20_000),
        ("a\nb\n" * 20_000, "b\na\n" * 20_000),
        ("x" * 500_000, "y" * 500_000),
        ("a b " * 700, "b a c " * 500),
        (" ".join(map(str, range(1500))), " ".join(map(str, range(1500, 0, -1)))),
    ],
)
def test_hostile_texts_are_compared_in_little_time(twin, text):
    start = time.perf_counter()
    diff(twin, text)
    assert time.perf_counter() - start < 5


def test_a_curve_needs_two_points_and_passes_over_what_is_not_finite():
    assert chart({"train": [(1, 2.0)], "eval": []}) is None
    drawn = chart({"train": [(1, 2.0), (2, float("nan")), (3, float("inf")), (4, 1.0)]})
    assert drawn
    assert [len(line.points.split()) for line in drawn.lines] == [2]


def test_a_flat_curve_and_a_single_step_are_drawn():
    drawn = chart({"train": [(5, 0.0), (5, 0.0)]})
    assert drawn
    assert drawn.lines[0].last == 0.0


def test_a_long_curve_keeps_its_last_point():
    drawn = chart({"train": [(step, 1 / (step + 1)) for step in range(50_000)]})
    assert drawn
    assert len(drawn.lines[0].points.split()) < 700
    assert drawn.lines[0].last == 1 / 50_000
