"""The queue: claim, keep, put back and end jobs. No reaper and no leader: a claim finds expired leases by itself."""

from collections.abc import Collection, Mapping
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Float,
    Integer,
    Select,
    Table,
    Update,
    and_,
    bindparam,
    case,
    func,
    not_,
    or_,
    select,
    update,
)
from sqlalchemy.sql.dml import ReturningUpdate
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
    given = {"kinds": list(kinds), "without": list(without_teachers), "limit": limit}
    taken = session.scalars(_CLAIM, given | {"worker": worker, "lease_s": lease_s}).all()
    return sorted(taken, key=lambda job: (-job.priority, job.id or 0))


def _claim_statement() -> ReturningUpdate[Job]:
    """Return the statement of `claim`; made once, since making it costs more than running it."""
    now = Clock()
    waiting = and_(col(Job.state) == JobState.QUEUED, col(Job.run_after) <= now)
    expired = and_(col(Job.state) == JobState.RUNNING, col(Job.lease_until) < now)
    of_kind = col(Job.kind).in_(bindparam("kinds", expanding=True))
    passed_over = col(Job.teacher).in_(bindparam("without", expanding=True))
    picked = (
        select(Job.id)  # pyright: ignore[reportCallIssue, reportArgumentType]
        .where(of_kind, or_(waiting, expired), not_(passed_over))
        .order_by(col(Job.priority).desc(), col(Job.id))
        .limit(bindparam("limit", type_=Integer))
        .with_for_update(skip_locked=True)
        .cte("picked")
    )
    values = {
        "state": JobState.RUNNING,
        "lease_until": now + bindparam("lease_s", type_=Float),
        "attempts": col(Job.attempts) + 1,
        "worker": bindparam("worker"),
        "started_at": func.coalesce(col(Job.started_at), now),
        "reason": "",
        "detail": "",
    }
    return update(Job).where(col(Job.id).in_(select(picked.c.id))).values(values).returning(Job)


_CLAIM = _claim_statement()


def keep(session: Session, job: Job, *, lease_s: float, **added: float) -> None:
    """Renew the lease and add to the job's counters (`stored=3, prompt_tokens=…`); the fence of every write.

    Raises LeaseLost when the job is no longer this claim's. Call it first in the transaction that stores results: on
    Postgres it locks the job's row until the commit, so a newer claim and an older write cannot interleave.
    """
    counted = {name: count for name, count in added.items() if count}
    given = {f"added_{name}": count for name, count in counted.items()} | {"lease_s": lease_s}
    _ran(session, job, _renewal(tuple(counted)), given | {"of_job": job.id, "of_attempts": job.attempts})


@cache
def _renewal(counters: tuple[str, ...]) -> Update:
    """Return the statement of `keep` that adds to these counters; made once, as `_claim_statement` is."""
    jobs: Table = Job.__table__  # pyright: ignore[reportAttributeAccessIssue]
    mine = (jobs.c.id == bindparam("of_job"), jobs.c.attempts == bindparam("of_attempts"))
    added = {name: jobs.c[name] + bindparam(f"added_{name}") for name in counters}
    lease_until = Clock() + bindparam("lease_s", type_=Float)
    return update(jobs).where(*mine, jobs.c.state == JobState.RUNNING).values(lease_until=lease_until, **added)


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
    return session.scalar(_UNFINISHED, {"subject": subject}) or 0


def _unfinished_statement() -> Select[Any]:
    in_work = col(Job.state).in_((JobState.QUEUED, JobState.RUNNING))
    return select(func.count()).select_from(Job).where(col(Job.subject) == bindparam("subject"), in_work)


_UNFINISHED = _unfinished_statement()


def _fenced(session: Session, job: Job, **values: Any) -> None:
    mine = and_(col(Job.id) == job.id, col(Job.attempts) == job.attempts, col(Job.state) == JobState.RUNNING)
    _ran(session, job, update(Job).where(mine).values(values))


def _ran(session: Session, job: Job, statement: Update, given: Mapping[str, Any] | None = None) -> None:
    if session.connection().execute(statement, given).rowcount != 1:
        raise LeaseLost(f"job {job.id}: its lease passed to another worker, or it was cancelled")
