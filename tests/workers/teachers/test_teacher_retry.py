"""When a teacher is asked again."""

import random
from datetime import UTC, datetime, timedelta, timezone

import pytest

from service.teachers.protocol import TeacherBusy, TeacherRefused
from service.teachers.retry import (
    ATTEMPTS_MAX,
    BASE_AWAY_S,
    BASE_S,
    CAP_S,
    RETRY_AFTER_MAX_S,
    next_attempt,
    parse_retry_after,
)

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)


def delays(attempts, error, count=500):
    return [next_attempt(attempts, error, random.Random(seed)) for seed in range(count)]


@pytest.mark.parametrize("attempts", [1, 4])
def test_a_refusal_is_never_tried_again(attempts):
    assert next_attempt(attempts, TeacherRefused("unknown_model"), random.Random(0)) is None


def test_the_last_attempt_is_the_last():
    error = TeacherBusy("server_error")
    assert next_attempt(ATTEMPTS_MAX - 1, error, random.Random(0)) is not None
    assert next_attempt(ATTEMPTS_MAX, error, random.Random(0)) is None


@pytest.mark.parametrize(("reason", "base"), [("server_error", BASE_S), ("connection_refused", BASE_AWAY_S)])
@pytest.mark.parametrize("attempts", [1, 2, 3, 4])
def test_the_wait_is_drawn_evenly_from_a_bound_that_doubles(reason, base, attempts):
    bound = min(CAP_S, base * 2 ** (attempts - 1))
    drawn = delays(attempts, TeacherBusy(reason))
    assert 0 <= min(drawn) < bound * 0.05
    assert bound * 0.95 < max(drawn) <= bound
    assert sum(drawn) / len(drawn) == pytest.approx(bound / 2, rel=0.1)


@pytest.mark.parametrize(("asked", "least"), [(0, 0), (1, 1), (30, 30), (86_400, RETRY_AFTER_MAX_S)])
def test_the_teachers_own_wait_is_kept_to_and_bounded(asked, least):
    drawn = delays(1, TeacherBusy("rate_limited", retry_after_s=asked))
    assert min(drawn) >= least
    assert max(drawn) <= least + BASE_S
    assert len(set(drawn)) > 100


def test_the_same_chance_gives_the_same_wait():
    error = TeacherBusy("timeout")
    assert next_attempt(2, error, random.Random(7)) == next_attempt(2, error, random.Random(7))


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("1", 1.0),
        ("0.25", 0.25),
        ("-5", 0.0),
        ("soon", None),
        ("nan", None),
        ("Sun, 22 Nov 2026 12:00:30 GMT", 30.0),
        ("Sun, 22 Nov 2026 11:59:00 GMT", 0.0),
        ("Sun, 22 Nov 2026 13:00:10 +0100", 10.0),
    ],
)
def test_retry_after_is_read_as_seconds_or_date(header, seconds):
    assert parse_retry_after(header, NOW) == seconds
    assert parse_retry_after(header, NOW.astimezone(timezone(timedelta(hours=5)))) == seconds


def test_a_refusal_that_concerns_the_teacher_is_told_from_one_of_the_prompt():
    assert TeacherRefused("unauthorized").whole_teacher
    assert not TeacherRefused("prompt_too_long").whole_teacher


@pytest.mark.parametrize(
    ("reason", "away"), [("connection_refused", True), ("overloaded", True), ("server_error", False)]
)
def test_a_server_that_is_not_there_is_told_from_one_that_fails(reason, away):
    assert TeacherBusy(reason).away is away
