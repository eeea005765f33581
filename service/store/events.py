"""Events: written in the transaction of what they tell, read in order."""

from collections.abc import Sequence
from typing import Any

from sqlmodel import Session, col, delete, func, select

from service.models import Event

KEPT = 100_000
"""Events kept; older ones are dropped, and a reader further behind starts at the oldest left."""


def emit(session: Session, kind: str, subject: str, /, **data: Any) -> None:
    """Add an event; it becomes visible when the caller's transaction commits."""
    session.add(Event(kind=kind, subject=subject, data=data))


def after(session: Session, last_id: int, *, subject: str | None = None, limit: int = 500) -> Sequence[Event]:
    """Return up to `limit` events with ids above `last_id`, oldest first, of one `subject` if given."""
    query = select(Event).where(col(Event.id) > last_id).order_by(col(Event.id)).limit(limit)
    if subject is not None:
        query = query.where(Event.subject == subject)
    return session.exec(query).all()


def newest(session: Session, subject: str, *, below: int | None, limit: int, step: str | None) -> Sequence[Event]:
    """Return up to `limit` events of a subject with ids below `below`, newest first.

    `step`: only those that pass on what a trainer told under this name.
    """
    query = select(Event).where(Event.subject == subject).order_by(col(Event.id).desc()).limit(limit)
    if below is not None:
        query = query.where(col(Event.id) < below)
    if step is not None:
        query = query.where(col(Event.data)["event"].as_string() == step)
    return session.exec(query).all()


def newest_id(session: Session) -> int:
    """Return the id of the last event, 0 when there is none."""
    return session.exec(select(func.max(Event.id))).one() or 0


def prune(session: Session) -> None:
    """Drop events beyond the newest `KEPT`."""
    session.connection().execute(delete(Event).where(col(Event.id) <= newest_id(session) - KEPT))
