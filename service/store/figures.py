"""Counts of all processes, and which workers are there."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Table, delete
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, col, select

from service.models import Figure, Presence
from service.store.database import Clock

ALIVE_S = 30.0
"""A worker that said nothing for so long counts as gone; it speaks every few seconds."""
FORGOTTEN_S = 24 * 3600.0
"""So long a silent worker's row stays, for whoever wants to know when it was last seen."""


def add(session: Session, news: Mapping[tuple[str, str], float]) -> None:
    """Add what was counted, by name and labels."""
    if not news:
        return
    figures: Table = Figure.__table__  # pyright: ignore[reportAttributeAccessIssue]
    insert = _insert(session, figures)
    statement = insert.on_conflict_do_update(
        index_elements=["name", "labels"], set_={"value": figures.c.value + insert.excluded.value}
    )
    # In one order everywhere: two workers that lock the same rows must not wait for each other.
    rows = [{"name": name, "labels": labels, "value": value} for (name, labels), value in sorted(news.items())]
    session.connection().execute(statement, rows)


def every(session: Session) -> Sequence[Figure]:
    """Return all counts by name and labels."""
    return session.exec(select(Figure).order_by(col(Figure.name), col(Figure.labels))).all()


def note_worker(session: Session, worker: str, kinds: Sequence[str], gauges: Sequence[Mapping[str, Any]]) -> None:
    """Note that a worker is there, and how things stand in it; forget those that are long gone."""
    insert = _insert(session, Presence.__table__)  # pyright: ignore[reportAttributeAccessIssue]
    values = {"kinds": list(kinds), "gauges": list(gauges), "seen_at": Clock()}
    statement = insert.values(worker=worker, started_at=Clock(), **values)
    session.connection().execute(statement.on_conflict_do_update(index_elements=["worker"], set_=values))
    session.connection().execute(delete(Presence).where(col(Presence.seen_at) < Clock() - FORGOTTEN_S))


def forget_worker(session: Session, worker: str) -> None:
    """Note that a worker has ended."""
    session.connection().execute(delete(Presence).where(col(Presence.worker) == worker))


def workers(session: Session) -> Sequence[Presence]:
    """Return the workers that are there."""
    return session.exec(select(Presence).where(col(Presence.seen_at) > Clock() - ALIVE_S)).all()


def _insert(session: Session, table: Table) -> "postgresql.Insert | sqlite.Insert":
    on_postgres = session.get_bind().dialect.name == "postgresql"
    return postgresql.insert(table) if on_postgres else sqlite.insert(table)
