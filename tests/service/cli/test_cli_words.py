"""Numbers, times and texts as a person reads them."""

from datetime import UTC, datetime, timedelta

import pytest

from service.cli.words import age, clean, counted, duration, number, one_line, percent, size


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (0.4, "0 s"),
        (59.4, "59 s"),
        (60, "1:00 min"),
        (3599, "59:59 min"),
        (3600, "1:00 h"),
        (86_400, "1 d"),
    ],
)
def test_durations_carry_their_unit(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"), [(None, "-"), (0, "0"), (1234, "1,234"), (0.12345, "0.123"), (99.94, "99.9"), (1234.5, "1,234")]
)
def test_numbers_are_short(value: float | None, text: str) -> None:
    assert number(value) == text


def test_sizes_shares_and_counts() -> None:
    assert (size(1023), size(1024), size(5 * 2**40)) == ("1023 B", "1.0 KiB", "5.0 TiB")
    assert percent(0.1234) == "12.3 %"
    assert counted({"empty": 2, "timeout": 1200, "blank": 2}) == "1,200 timeout, 2 blank, 2 empty"


def test_a_moment_of_the_past_or_of_a_clock_ahead() -> None:
    now = datetime.now(UTC)
    assert age(now - timedelta(hours=2, minutes=59)) == "2 h"
    assert age(now - timedelta(seconds=60)) == "1 min"
    assert age(now - timedelta(days=400)) == "400 d"
    assert age(now + timedelta(minutes=5)) == "0 s"
    assert age(None) == "-"


def test_a_teachers_text_cannot_steer_the_terminal() -> None:
    hostile = "\x1b]0;owned\x07\x1b[2Jfine\r\nnext\ttab\x9b31m"
    assert clean(hostile) == "\\x1b]0;owned\\x07\\x1b[2Jfine\nnext\ttab\\x9b31m"
    assert "\x1b" not in one_line(hostile, 60)


def test_one_line_is_cut_to_its_width() -> None:
    assert one_line("a\n  b\tc", 10) == "a b c"
    assert one_line("x" * 11, 10) == "x" * 9 + "…"
    assert one_line("x" * 10, 10) == "x" * 10
