"""The queue: claim, keep, put back and end jobs. No reaper and no leader: a claim finds expired leases by itself."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import ColumnElement, and_, case, func, or_, select, update
from sqlmodel import Session, col

from service.models import Job, JobKind, JobState
from service.store.database import Clock


class LeaseLost(Exception):
    """Another worker holds the job now, or it was cancelled: whoever catches this writes nothing more for it."""


def claim(
    session: Session,
    kinds: Collection[JobKind],
    *,
    worker: str,
    lease_s: float,
    limit: int = 1,
    without_teachers: Collection[str] = (),
) -> list[Job]:
    """Lease up to `limit` due jobs of `kinds` to `worker`, the most urgent and oldest first.

    Shards of `without_teachers` are passed over, or a teacher that is busy or down would hold up those of all others.

    Due is what is queued and past `run_after`, or running with an expired lease. On Postgres, rows that another worker
    is claiming are passed over; SQLite has one writer at a time and needs no hint.
    """
    now = Clock()
    waiting = and_(col(Job.state) == JobState.QUEUED, col(Job.run_after) <= now)
    expired = and_(col(Job.state) == JobState.RUNNING, col(Job.lease_until) < now)
    picked = (
        select(Job.id)  # pyright: ignore[reportCallIssue, reportArgumentType]
        .where(col(Job.kind).in_(kinds), or_(waiting, expired), col(Job.teacher).not_in(without_teachers))
        .order_by(col(Job.priority).desc(), col(Job.id))
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("picked")
    )
    values = {
        "state": JobState.RUNNING,
        "lease_until": now + lease_s,
        "attempts": col(Job.attempts) + 1,
        "worker": worker,
        "started_at": func.coalesce(col(Job.started_at), now),
        "reason": "",
        "detail": "",
    }
    statement = update(Job).where(col(Job.id).in_(select(picked.c.id))).values(values).returning(Job)
    return sorted(session.scalars(statement).all(), key=lambda job: (-job.priority, job.id or 0))


def keep(session: Session, job: Job, *, lease_s: float, **added: float) -> None:
    """Renew the lease and add to the job's counters (`stored=3, prompt_tokens=…`); the fence of every write.

    Raises LeaseLost when the job is no longer this claim's. Call it first in the transaction that stores results: on
    Postgres it locks the job's row until the commit, so a newer claim and an older write cannot interleave.
    """
    values: dict[str, Any] = {name: getattr(Job, name) + count for name, count in added.items() if count}
    _fenced(session, job, lease_until=Clock() + lease_s, **values)


def put_back(session: Session, job: Job, *, delay_s: float = 0.0, reason: str = "", detail: str = "") -> None:
    """Give the job up unfinished; it is due again after `delay_s` seconds. `reason` tells people what it waits for.

    A job of which nothing is done has not started yet: time spent waiting for a teacher must not count as slow work.
    """
    untouched = (col(Job.stored) + col(Job.failed)) == 0
    _fenced(
        session,
        job,
        state=JobState.QUEUED,
        run_after=Clock() + delay_s,
        worker="",
        reason=reason,
        detail=detail,
        started_at=case((untouched, None), else_=col(Job.started_at)),
    )


def finish(session: Session, job: Job, *, total: int | ColumnElement[int] | None = None) -> None:
    """End the job well; `total` is what it turned out to have to do."""
    values = {} if total is None else {"total": total}
    _fenced(session, job, state=JobState.DONE, finished_at=Clock(), reason="", detail="", **values)


def fail(session: Session, job: Job, *, reason: str, detail: str) -> None:
    """End the job with the reason why it cannot be done."""
    _fenced(session, job, state=JobState.FAILED, finished_at=Clock(), reason=reason, detail=detail)


def cancel(session: Session, subject: str) -> int:
    """Cancel all unfinished jobs of `subject`; running ones notice at their next renewal. Returns how many."""
    unfinished = col(Job.state).in_((JobState.QUEUED, JobState.RUNNING))
    statement = (
        update(Job)
        .where(col(Job.subject) == subject, unfinished)
        .values(state=JobState.CANCELLED, finished_at=Clock(), lease_until=0.0)
    )
    return int(session.connection().execute(statement).rowcount)


def unfinished(session: Session, subject: str) -> int:
    """Return how many jobs of `subject` are queued or running."""
    states = (JobState.QUEUED, JobState.RUNNING)
    condition: ColumnElement[bool] = and_(col(Job.subject) == subject, col(Job.state).in_(states))
    return session.scalar(select(func.count()).select_from(Job).where(condition)) or 0


def _fenced(session: Session, job: Job, **values: Any) -> None:
    mine = and_(col(Job.id) == job.id, col(Job.attempts) == job.attempts, col(Job.state) == JobState.RUNNING)
    result = session.connection().execute(update(Job).where(mine).values(values))
    if result.rowcount != 1:
        raise LeaseLost(f"job {job.id}: its lease passed to another worker, or it was cancelled")
