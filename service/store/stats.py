"""Sums over jobs, and how the work stands, for metrics and the front page."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import case, text
from sqlmodel import Session, col, func, select

from service.models import Job, JobKind, JobState, Run, RunState
from service.store import events
from service.store.database import Clock

SUMMED = ("stored", "failed", "prompt_tokens", "completion_tokens", "reasoning_lost")


@dataclass(frozen=True, slots=True)
class Pile:
    """The jobs of one kind in one state."""

    kind: str
    state: str
    jobs: int
    age_s: float
    """Since the oldest of them was ordered."""
    expired: int
    """Of those that run: how many no worker has renewed in time; the next claim takes them over."""


@dataclass(frozen=True, slots=True)
class Training:
    """A run that is under way, as its trainer last told."""

    run: str
    method: str
    step: int
    steps: int
    loss: float | None
    tokens_per_s: float | None


def piles(session: Session) -> list[Pile]:
    """Return how many jobs there are of each kind in each state."""
    now = Clock()
    late = (col(Job.state) == JobState.RUNNING) & (col(Job.lease_until) < now)
    age, expired = now - func.min(col(Job.created_at)), func.sum(case((late, 1), else_=0))
    query = select(col(Job.kind), col(Job.state), func.count(), age, expired)  # pyright: ignore[reportCallIssue, reportArgumentType]
    query = query.group_by(col(Job.kind), col(Job.state))
    return [
        Pile(kind, state, count, max(0.0, age), int(expired))
        for kind, state, count, age, expired in map(tuple, session.connection().execute(query))
    ]


def answers_by_teacher(session: Session) -> dict[str, dict[str, int]]:
    """Return the sums of `SUMMED` over each teacher's shards."""
    sums = [func.sum(getattr(Job, name)) for name in SUMMED]
    query = select(col(Job.teacher), *sums).where(Job.kind == JobKind.GENERATE).group_by(col(Job.teacher))
    rows = session.connection().execute(query).all()
    return {row[0]: dict(zip(SUMMED, map(int, row[1:]), strict=True)) for row in rows}


def trainings(session: Session) -> Iterator[Training]:
    """Yield the runs that are under way and have told of a step."""
    for run in session.exec(select(Run).where(Run.state == RunState.RUNNING)).all():
        for event in events.newest(session, run.id, below=None, limit=1, step="step"):
            told = event.data
            step, steps = int(told.get("step") or 0), int(told.get("total") or 0)
            yield Training(run.id, run.method, step, steps, told.get("loss"), told.get("tokens_per_s"))


def database_bytes(session: Session) -> int:
    """Return how much room the database takes, free pages in it included."""
    if session.get_bind().dialect.name == "postgresql":
        return int(session.connection().scalar(text("select pg_database_size(current_database())")) or 0)
    pages = "select page_count * page_size from pragma_page_count(), pragma_page_size()"
    return int(session.connection().scalar(text(pages)) or 0)
