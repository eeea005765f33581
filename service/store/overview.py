"""What is going on, what waits and what failed: the figures of the front page and of a batch's page."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import case, func, select
from sqlmodel import Session, col

from service.models import Batch, Failure, Job, JobState, Prompt
from service.models.batches import ENDED
from service.store.database import Clock


@dataclass(frozen=True, slots=True)
class Wait:
    """Shards of one teacher that wait for the same reason; `teacher` is empty for jobs that ask nobody."""

    teacher: str
    reason: str
    detail: str
    shards: int
    next_try_s: float
    """Seconds until the first of them is due again."""


@dataclass(frozen=True, slots=True)
class FailureKind:
    """The failures of a batch with one reason, and the newest of them as an example."""

    reason: str
    count: int
    key: str
    """Of the example's prompt."""
    teacher: str
    detail: str
    attempts: int


def unfinished(session: Session, *, limit: int) -> Sequence[Batch]:
    """Return the newest batches that have not ended."""
    query = select(Batch).where(col(Batch.state).not_in(ENDED))
    return session.scalars(query.order_by(col(Batch.created_at).desc()).limit(limit)).all()


def waits(session: Session, *, subject: str | None = None, limit: int = 50) -> list[Wait]:
    """Return what queued jobs wait for, of one batch if `subject` names it, the most shards first."""
    count, now = func.count(), Clock()
    figures = (func.max(col(Job.detail)), count, func.min(col(Job.run_after)) - now)
    query = (
        select(col(Job.teacher), col(Job.reason), *figures)
        .where(col(Job.state) == JobState.QUEUED, col(Job.reason) != "")
        .group_by(col(Job.teacher), col(Job.reason))
        .order_by(count.desc(), col(Job.teacher), col(Job.reason))
        .limit(limit)
    )
    if subject is not None:
        query = query.where(col(Job.subject) == subject)
    return [Wait(*row) for row in session.connection().execute(query)]


class WorkerSeen(NamedTuple):
    """A worker that took jobs lately: how many, how many it holds now, when it began the last one."""

    name: str
    jobs: int
    running: int
    started_at: float


def workers(session: Session, *, within_s: float) -> list[WorkerSeen]:
    """Return the workers that began a job within the last seconds, whoever was last at work first."""
    running = func.sum(case((col(Job.state) == JobState.RUNNING, 1), else_=0))
    newest = func.max(col(Job.started_at))
    query = (
        select(col(Job.worker), func.count(), running, newest)
        .where(col(Job.worker) != "", col(Job.started_at) > Clock() - within_s)
        .group_by(col(Job.worker))
        .order_by(newest.desc())
    )
    return [WorkerSeen(*row) for row in session.connection().execute(query)]


def unattended(session: Session, *, after_s: float) -> int:
    """Return how many jobs have been due for `after_s` seconds while no worker holds any job at all."""
    now = Clock()
    held = select(col(Job.id)).where(col(Job.state) == JobState.RUNNING, col(Job.lease_until) > now).limit(1)
    if session.connection().execute(held).first() is not None:
        return 0
    due = (col(Job.state) == JobState.QUEUED) & (col(Job.run_after) < now - after_s)
    query = select(func.count()).select_from(Job).where(due, col(Job.created_at) < now - after_s)
    return session.scalar(query) or 0


def failures(session: Session, batch_id: str) -> list[FailureKind]:
    """Return the failed answers of a batch by reason, the most frequent first."""
    count = func.count()
    kinds = (
        select(func.max(col(Failure.id)).label("newest"), count.label("count"))
        .where(col(Failure.batch_id) == batch_id)
        .group_by(col(Failure.reason))
        .subquery()
    )
    told = (col(Failure.teacher), col(Failure.detail), col(Failure.attempts))
    query = (
        select(col(Failure.reason), kinds.c.count, col(Prompt.key), *told)
        .join(kinds, col(Failure.id) == kinds.c.newest)
        .join(Prompt, col(Prompt.id) == col(Failure.prompt_id))
        .order_by(kinds.c.count.desc(), col(Failure.reason))
    )
    return [FailureKind(*row) for row in session.connection().execute(query)]
