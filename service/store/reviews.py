"""Reviews: what people say of traces, one row for each time, and taking the last thing back."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import delete, func, select
from sqlmodel import Session, col

from service.errors import Conflict, NotFound
from service.models import Review, Tag, Trace
from service.store.database import insert_new

STATE = ("outcome", "reason", "response", "tags")
"""What a review says; what it does not say is as in the one before."""
TAGS_SHOWN_MAX = 200


def of_trace(session: Session, trace_id: int) -> Sequence[Review]:
    """Return what people said of a trace, newest first."""
    query = select(Review).where(col(Review.trace_id) == trace_id).order_by(col(Review.id).desc())
    return session.scalars(query).all()


def add(session: Session, trace_id: int, author: str, **said: Any) -> Review:
    """Note what a person says of a trace; NotFound where there is none. A new decision brings its own reason."""
    _held(session, trace_id)
    before = next(iter(of_trace(session, trace_id)), None)
    state = _state(before) | ({"reason": ""} if "outcome" in said else {}) | said
    return _noted(session, trace_id, author, state)


def withdraw(session: Session, trace_id: int, author: str, review_id: int) -> Review:
    """Take the last thing that was said of a trace back. Conflict where somebody has said something since."""
    _held(session, trace_id)
    standing = standing_reviews(of_trace(session, trace_id))
    if not standing or standing[-1].id != review_id:
        last = f"its last is {standing[-1].id}, by {standing[-1].author}" if standing else "nothing stands"
        raise Conflict(f"review {review_id} is not the last thing said of trace {trace_id}: {last}; load it again")
    before = standing[-2] if len(standing) > 1 else None
    return _noted(session, trace_id, author, _state(before), withdraws=review_id)


def standing_reviews(newest_first: Sequence[Review]) -> list[Review]:
    """Return the reviews that nobody took back, the oldest first."""
    withdrawn = {review.withdraws for review in newest_first}
    return [review for review in reversed(newest_first) if review.withdraws is None and review.id not in withdrawn]


def tags(session: Session, trace_ids: Iterable[int]) -> dict[int, list[str]]:
    """Return the tags of each of some traces that has any, by name."""
    found: dict[int, list[str]] = {}
    query = select(Tag).where(col(Tag.trace_id).in_(list(trace_ids))).order_by(col(Tag.name))
    for tag in session.scalars(query):
        found.setdefault(tag.trace_id, []).append(tag.name)
    return found


def tag_counts(session: Session, *, limit: int = TAGS_SHOWN_MAX) -> list[tuple[str, int]]:
    """Return how many traces have each tag, the most frequent first."""
    count = func.count()
    query = select(col(Tag.name), count).group_by(col(Tag.name)).order_by(count.desc(), col(Tag.name)).limit(limit)
    return [(name, number) for name, number in session.connection().execute(query)]


def _held(session: Session, trace_id: int) -> None:
    """Lock the trace, so that of two people who speak at once the second knows what the first said."""
    held = select(Trace.id).where(col(Trace.id) == trace_id).with_for_update()  # pyright: ignore[reportCallIssue, reportArgumentType]
    if session.scalar(held) is None:
        raise NotFound(f"no trace has the id {trace_id}")


def _state(review: Review | None) -> dict[str, Any]:
    if review is None:
        return {"outcome": "", "reason": "", "response": None, "tags": []}
    return {name: getattr(review, name) for name in STATE}


def _noted(session: Session, trace_id: int, author: str, state: dict[str, Any], **more: Any) -> Review:
    state["tags"] = sorted(set(state["tags"]))
    review = Review(trace_id=trace_id, author=author, **state, **more)
    session.add(review)
    session.connection().execute(delete(Tag).where(col(Tag.trace_id) == trace_id))
    insert_new(session, Tag, [{"name": name, "trace_id": trace_id} for name in state["tags"]])
    return review
