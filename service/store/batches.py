"""Batches: accepting prompts, cutting them into shards, counting what became of them."""

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from sqlmodel import Session, col, delete, func, select, update

from service.errors import Conflict, NotFound
from service.models import Batch, BatchState, Failure, Job, JobKind, JobState, Prompt, Review, Trace
from service.models.batches import ENDED
from service.store import events, queue
from service.store.database import insert_new


def by_key(session: Session, key: str) -> Batch | None:
    """Return the batch submitted under this idempotency key."""
    return session.exec(select(Batch).where(Batch.idempotency_key == key)).first()


def get(session: Session, batch_id: str) -> Batch:
    """Return one batch; NotFound where there is none."""
    batch = session.get(Batch, batch_id)
    if batch is None:
        raise NotFound(f"no batch has the id '{batch_id}'; GET /api/batches lists them")
    return batch


def page(session: Session, *, after: str | None, limit: int) -> Sequence[Batch]:
    """Return up to `limit` batches, newest first, below `after`."""
    query = select(Batch).order_by(col(Batch.created_at).desc(), col(Batch.id).desc()).limit(limit)
    if after:
        edge = get(session, after)
        query = query.where(
            (col(Batch.created_at) < edge.created_at)
            | ((col(Batch.created_at) == edge.created_at) & (col(Batch.id) < edge.id))
        )
    return session.exec(query).all()


def add_prompts(session: Session, batch: Batch, rows: Iterable[dict[str, Any]]) -> int:
    """Store a chunk of prompts of a batch that is still validating."""
    values = [row | {"batch_id": batch.id} for row in rows]
    added = insert_new(session, Prompt, values)
    if added != len(values):
        raise Conflict(f"{len(values) - added} prompts share an id with another prompt of the batch")
    return added


def open_for_work(session: Session, batch: Batch, *, shard_prompts: int) -> Batch:
    """Cut a validated batch into jobs and let the workers at it: in one transaction, so that it starts whole.

    A shard is `shard_prompts` prompts for one teacher; the first shards of all teachers come first. Prompts that name
    another teacher may lie within its span; they are not its own.
    """
    query = select(Prompt.id, Prompt.teacher, Prompt.n).where(Prompt.batch_id == batch.id).order_by(col(Prompt.id))
    shards: dict[str, Job] = {}
    prompts: Counter[str] = Counter()
    total = 0
    for prompt_id, teacher, n in session.exec(query):
        for name in batch.teachers if teacher is None else [teacher]:
            if prompts[name] % shard_prompts == 0:
                shards[name] = Job(kind=JobKind.GENERATE, subject=batch.id, teacher=name, first_prompt=prompt_id or 0)
                session.add(shards[name])
            prompts[name] += 1
            shards[name].last_prompt = prompt_id or 0
            shards[name].total += n or batch.n
            total += n or batch.n
    batch.state, batch.in_progress_at = BatchState.IN_PROGRESS, time.time()
    session.add(batch)
    events.emit(session, "batch.in_progress", batch.id, total=total)
    return batch


def discard(session: Session, batch_id: str) -> None:
    """Remove a batch whose prompts were refused, or whose submission broke off before it was acknowledged."""
    session.connection().execute(delete(Prompt).where(col(Prompt.batch_id) == batch_id))
    session.connection().execute(
        delete(Batch).where(col(Batch.id) == batch_id, col(Batch.state) == BatchState.VALIDATING)
    )


def discard_unacknowledged(session: Session, *, older_than_s: float) -> int:
    """Remove what a dead API left half-stored: nobody was told it was accepted. Returns how many batches."""
    edge = time.time() - older_than_s
    ids = session.exec(select(Batch.id).where(Batch.state == BatchState.VALIDATING, Batch.created_at <= edge)).all()
    for batch_id in ids:
        discard(session, batch_id)
    return len(ids)


def cancel(session: Session, batch_id: str) -> Batch:
    """Stop a batch: what is stored stays, what is pending will not be asked."""
    batch = get(session, batch_id)
    if batch.state in ENDED:
        raise Conflict(f"batch {batch_id} has already ended as {batch.state}")
    queue.cancel(session, batch_id)
    batch.state = BatchState.CANCELLED
    batch.finished_at = time.time()
    session.add(batch)
    events.emit(session, "batch.cancelled", batch_id)
    return batch


def retry(session: Session, batch_id: str) -> Batch:
    """Ask again for every answer of an ended batch that failed or was cancelled."""
    batch = get(session, batch_id)
    if batch.state not in ENDED:
        raise Conflict(f"batch {batch_id} is {batch.state}; only an ended batch can be retried")
    session.connection().execute(delete(Failure).where(col(Failure.batch_id) == batch_id))
    again = (col(Job.failed) > 0) | col(Job.state).in_((JobState.CANCELLED, JobState.FAILED))
    values = {"state": JobState.QUEUED, "failed": 0, "run_after": 0.0, "finished_at": None, "reason": "", "detail": ""}
    session.connection().execute(update(Job).where(col(Job.subject) == batch_id, again).values(values))
    now = time.time()
    if batch.expires_at is not None:
        # The window starts anew, or what expired would expire again at once.
        batch.expires_at = now + batch.expires_at - (batch.in_progress_at or batch.created_at)
    batch.state, batch.finished_at, batch.in_progress_at = BatchState.IN_PROGRESS, None, now
    session.add(batch)
    if not queue.unfinished(session, batch_id):
        batch.state, batch.finished_at = BatchState.COMPLETED, time.time()
    return batch


def counts(session: Session, batch: Batch) -> dict[str, int]:
    """Return `total, stored, failed, cancelled, pending` answers, tokens, and lost reasonings; total is their sum."""
    added = [func.coalesce(func.sum(getattr(Job, name)), 0) for name in _SUMMED]
    row = session.connection().execute(select(*added).where(Job.subject == batch.id)).one()
    found = dict(zip(_SUMMED, map(int, row), strict=True))
    left = found["total"] - found["stored"] - found["failed"]
    cancelled = left if batch.state in ENDED else 0
    return {"cancelled": cancelled, "pending": left - cancelled, **found}


_SUMMED = ("total", "stored", "failed", "prompt_tokens", "completion_tokens", "reasoning_lost")


def reasons(session: Session, batch_id: str) -> dict[str, int]:
    """Return how many answers failed for each reason."""
    query = select(Failure.reason, func.count()).where(Failure.batch_id == batch_id).group_by(Failure.reason)
    return {reason: count for reason, count in session.exec(query).all()}


def waiting(session: Session, batch_id: str) -> dict[str, int]:
    """Return how many shards wait for each reason, such as `teacher_down`."""
    query = (
        select(Job.reason, func.count())
        .where(Job.subject == batch_id, Job.state == JobState.QUEUED, Job.reason != "")
        .group_by(Job.reason)
    )
    return {reason: count for reason, count in session.exec(query).all()}


def started_at(session: Session, batch_id: str) -> float | None:
    """Return when the first shard was claimed, for rates and the estimate of what is left."""
    return session.exec(select(func.min(Job.started_at)).where(Job.subject == batch_id)).one()


def newest_review(session: Session, batch_id: str) -> int:
    """Return the id of the last thing a person said of the batch's traces, 0 when nobody did."""
    query = select(func.max(Review.id)).join(Trace, col(Trace.id) == Review.trace_id).where(Trace.batch_id == batch_id)
    return session.exec(query).one() or 0
