"""How often a teacher is right about a prompt, as found when it answered: a measure of the prompt's difficulty."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlmodel import Session, case, col, func, select

from filters.statistics import wilson
from service.models import Prompt, Trace


@dataclass(frozen=True, slots=True)
class PassRate:
    """Right answers among a teacher's tries at a prompt, with the 95 % Wilson interval of their share.

    A prompt is asked until enough answers are right, so that the last one of an early end is always right: the share
    of the easy ones is a little too high, as with any inverse sampling.
    """

    prompt_id: int
    key: str
    category: str
    teacher: str
    right: int
    tries: int
    rate: float
    low: float
    high: float


def page(session: Session, batch_id: str, *, after: int, limit: int) -> Sequence[PassRate]:
    """Return the rates of up to `limit` prompts with an id above `after`, by prompt and teacher."""
    judged = col(Trace.accepted).is_not(None)
    first = (
        select(Prompt.id)
        .where(Prompt.batch_id == batch_id, col(Prompt.id) > after)
        .order_by(col(Prompt.id))
        .limit(limit)
    )
    query = (
        select(
            Prompt.id,
            Prompt.key,
            Prompt.category,
            Trace.teacher,
            func.sum(case((col(Trace.accepted).is_(True), 1), else_=0)),
            func.count(),
        )  # pyright: ignore[reportCallIssue]
        .join(Trace, col(Trace.prompt_id) == col(Prompt.id))
        .where(col(Prompt.id).in_(first), judged)
        .group_by(col(Prompt.id), col(Prompt.key), col(Prompt.category), col(Trace.teacher))
        .order_by(col(Prompt.id), col(Trace.teacher))
    )
    rates = []
    for prompt_id, key, category, teacher, right, tries in map(tuple, session.connection().execute(query)):
        low, high = wilson(int(right), tries)
        rates.append(PassRate(prompt_id, key, category, teacher, int(right), tries, right / tries, low, high))
    return rates
