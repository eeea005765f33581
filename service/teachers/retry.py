"""When to ask again: a pure function of how often, what went wrong and chance."""

import random
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from service.teachers.protocol import TeacherBusy, TeacherError

ATTEMPTS_MAX = 5
"""Calls for one answer, the first included; a fault that outlives five is not the passing kind."""
BASE_S = 0.5
"""First bound of the wait after a passing fault; doubled with each attempt."""
BASE_AWAY_S = 5.0
"""The same where the server is not there at all: a model takes half a minute and more to load again."""
CAP_S = 60.0
"""The wait never grows past this."""
RETRY_AFTER_MAX_S = 300.0
"""No teacher gets a longer wait than this: neither a wrong clock nor a header of a day may stall a batch."""


def next_attempt(attempts: int, error: TeacherError, rng: random.Random) -> float | None:
    """Return the seconds to wait before the next call, or None where there must be none.

    `attempts` counts the calls made so far, at least 1. Full jitter, `uniform(0, min(cap, base * 2 ** k))`: it clears
    a crowd in the fewest calls (M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015). A wait
    that the teacher names is kept to and gets a little jitter on top, so that those told the same do not come at once.
    """
    if not isinstance(error, TeacherBusy) or attempts >= ATTEMPTS_MAX:
        return None
    if error.retry_after_s is not None:
        return min(error.retry_after_s, RETRY_AFTER_MAX_S) + rng.uniform(0, BASE_S)
    base = BASE_AWAY_S if error.away else BASE_S
    return rng.uniform(0, min(CAP_S, base * 2 ** (attempts - 1)))


def parse_retry_after(value: str | None, now: datetime) -> float | None:
    """Return the seconds that a `Retry-After` header asks for: a number or an HTTP date (RFC 9110, 10.2.3).

    `now` carries its time zone. None where the header is missing or unreadable; 0 for a date in the past.
    """
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            date = parsedate_to_datetime(value)
        except ValueError:
            return None
        seconds = ((date if date.tzinfo else date.replace(tzinfo=UTC)) - now).total_seconds()
    return max(0.0, seconds) if seconds == seconds else None
