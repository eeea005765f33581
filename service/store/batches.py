"""Batches: accepting prompts, cutting them into shards, counting what became of them."""

import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from sqlmodel import Session, col, delete, func, select, update

from service.errors import Conflict, NotFound
from service.models import Batch, BatchState, Failure, Job, JobKind, JobState, Prompt, Review, Trace
from service.models.batches import ENDED
from service.store import events, files, queue
from service.store.database import Clock, insert_new

SPAN_ROWS = 10_000
"""Prompts read, or removed, at once."""
JOBS_AT_ONCE = 500


class HoldLost(Conflict):
    """Another request stores the batch's prompts now; what this one still writes would be written twice."""


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


def hold(session: Session, batch_id: str, holder: str, *, for_s: float) -> bool:
    """Let `holder` store the batch's prompts for so long; False while another one does, or when all are stored."""
    free = (col(Batch.held_until) <= Clock()) | (col(Batch.holder) == holder)
    mine = (col(Batch.id) == batch_id) & (col(Batch.state) == BatchState.VALIDATING)
    values = {"holder": holder, "held_until": Clock() + for_s}
    return session.connection().execute(update(Batch).where(mine, free).values(values)).rowcount == 1


def keep_hold(session: Session, batch_id: str, holder: str, *, for_s: float) -> None:
    """Renew the hold. Raises HoldLost where another request has taken the batch over."""
    if not hold(session, batch_id, holder, for_s=for_s):
        raise HoldLost(f"batch {batch_id} is being taken in by another request")


def let_go(session: Session, batch_id: str, holder: str) -> None:
    """End the hold before its time, so that whoever sends the body again need not wait."""
    mine = (col(Batch.id) == batch_id) & (col(Batch.holder) == holder)
    session.connection().execute(update(Batch).where(mine).values(held_until=0.0))


def let_all_go(session: Session) -> None:
    """End every hold: right for the embedded database at start, when nobody else can be storing prompts."""
    session.connection().execute(update(Batch).where(col(Batch.held_until) > 0).values(held_until=0.0))


def held_for_s(session: Session, batch_id: str) -> float:
    """Return for how many seconds the present hold would still last."""
    left = session.exec(select(col(Batch.held_until) - Clock()).where(Batch.id == batch_id)).first()
    return max(0.0, left or 0.0)


def keep_chunk(session: Session, batch_id: str, holder: str, rows: Sequence[dict[str, Any]], *, for_s: float) -> bool:
    """Store a chunk of prompts and renew the hold; False where a key is there already. Raises HoldLost.

    After False the transaction must be rolled back.
    """
    keep_hold(session, batch_id, holder, for_s=for_s)
    if insert_new(session, Prompt, [row | {"batch_id": batch_id} for row in rows]) != len(rows):
        return False
    values = {"prompts": col(Batch.prompts) + len(rows)}
    session.connection().execute(update(Batch).where(col(Batch.id) == batch_id).values(values))
    return True


def note_ungradable(session: Session, batch_id: str, unfit: Sequence[dict[str, Any]], *, shown_max: int) -> None:
    """Count prompts whose reference cannot be graded, and remember the first; in the transaction that stores them."""
    batch = get(session, batch_id)
    shown = [*batch.ungradable_first, *unfit][:shown_max]
    values = {"ungradable": col(Batch.ungradable) + len(unfit), "ungradable_first": shown}
    session.connection().execute(update(Batch).where(col(Batch.id) == batch_id).values(values))


def last_line(session: Session, batch_id: str) -> int:
    """Return the line of the last prompt that was stored, 0 for none; they are stored in order."""
    query = select(Prompt.line).where(Prompt.batch_id == batch_id).order_by(col(Prompt.id).desc()).limit(1)
    return session.exec(query).first() or 0


def lines_of_keys(session: Session, batch_id: str, keys: Iterable[str]) -> dict[str, int]:
    """Return on which line those of `keys` stand that are stored."""
    query = select(Prompt.key, Prompt.line).where(Prompt.batch_id == batch_id, col(Prompt.key).in_(list(keys)))
    return {key: line for key, line in session.exec(query)}


def ids_of_keys(session: Session, batch_id: str, keys: Iterable[str]) -> dict[str, int]:
    """Return the ids of the prompts with these keys."""
    query = select(Prompt.key, Prompt.id).where(Prompt.batch_id == batch_id, col(Prompt.key).in_(list(keys)))
    return {key: prompt_id or 0 for key, prompt_id in session.exec(query)}


def conversations(session: Session, batch_ids: Sequence[str]) -> Iterator[list[dict[str, Any]]]:
    """Yield the messages of every prompt of the batches."""
    query = select(Prompt.messages).where(col(Prompt.batch_id).in_(batch_ids))
    for messages in session.exec(query.execution_options(yield_per=SPAN_ROWS)):
        yield list(messages)


def add_prompts(session: Session, batch: Batch, rows: Iterable[dict[str, Any]]) -> int:
    """Store prompts of a batch that is still validating; Conflict where two share an id."""
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
    shards: list[dict[str, Any]] = []
    open_shards: dict[str, dict[str, Any]] = {}
    prompts: Counter[str] = Counter()
    # In pieces: what a driver fetches at once would grow with the batch.
    for prompt_id, teacher, n in session.exec(query.execution_options(yield_per=SPAN_ROWS)):
        for name in batch.teachers if teacher is None else [teacher]:
            if prompts[name] % shard_prompts == 0:
                open_shards[name] = {"teacher": name, "first_prompt": prompt_id, "last_prompt": prompt_id, "total": 0}
                shards.append(open_shards[name])
            prompts[name] += 1
            open_shards[name]["last_prompt"] = prompt_id
            open_shards[name]["total"] += n or batch.n
    _add_jobs(session, batch.id, shards)
    if batch.continues:
        files.take_over(session, batch)
    batch.state, batch.in_progress_at = BatchState.IN_PROGRESS, time.time()
    batch.holder, batch.held_until = "", 0.0
    session.add(batch)
    events.emit(session, "batch.in_progress", batch.id, total=sum(shard["total"] for shard in shards))
    return batch


def _add_jobs(session: Session, batch_id: str, shards: Sequence[dict[str, Any]]) -> None:
    for start in range(0, len(shards), JOBS_AT_ONCE):
        jobs = [Job(kind=JobKind.GENERATE, subject=batch_id, **shard) for shard in shards[start : start + JOBS_AT_ONCE]]
        session.add_all(jobs)
        session.flush()
        for job in jobs:
            session.expunge(job)


def discard_some(session: Session, batch_id: str, holder: str, *, for_s: float) -> bool:
    """Remove the last prompts of a batch that `holder` holds, and at the end the batch; False when it is gone.

    From its end, so that what is left after a crash is a beginning, from which a repetition can go on. Raises HoldLost.
    """
    keep_hold(session, batch_id, holder, for_s=for_s)
    last = select(Prompt.id).where(Prompt.batch_id == batch_id).order_by(col(Prompt.id).desc()).limit(SPAN_ROWS)
    for table in (Trace, Failure):  # of an import; a batch that is to be asked has none yet
        session.connection().execute(delete(table).where(col(table.prompt_id).in_(last)))
    gone = session.connection().execute(delete(Prompt).where(col(Prompt.id).in_(last))).rowcount
    if gone == 0:
        session.connection().execute(delete(Batch).where(col(Batch.id) == batch_id))
    return gone > 0


def abandoned(session: Session, *, keep_s: float) -> Sequence[str]:
    """Return batches that a dead request left half-stored and nobody can go on with.

    One with a key waits for its repetition for `keep_s` seconds; nobody was told of it yet, so nothing is lost after.
    """
    stale = (col(Batch.state) == BatchState.VALIDATING) & (col(Batch.held_until) <= Clock())
    hopeless = col(Batch.idempotency_key).is_(None) | (col(Batch.created_at) <= time.time() - keep_s)
    return session.exec(select(Batch.id).where(stale, hopeless)).all()


def cancel(session: Session, batch_id: str) -> Batch:
    """Stop a batch: what is stored stays, what is pending will not be asked."""
    batch = get(session, batch_id)
    if batch.state in ENDED:
        raise Conflict(f"batch {batch_id} has already ended as {batch.state}")
    if batch.state == BatchState.DELETING:
        raise Conflict(f"batch {batch_id} is being deleted")
    if batch.state == BatchState.VALIDATING:
        raise Conflict(
            f"the prompts of batch {batch_id} are still being stored; it can be cancelled when all are there"
        )
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
    if batch.imported is not None:
        raise Conflict(
            f"the answers of batch {batch_id} were imported; Retort did not ask for them and cannot ask again"
        )
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


def stored_of(session: Session, batch_ids: Collection[str]) -> dict[str, int]:
    """Return how many answers of each batch are stored."""
    query = select(col(Job.subject), func.sum(Job.stored)).where(col(Job.subject).in_(batch_ids))  # pyright: ignore[reportArgumentType]
    rows = session.connection().execute(query.group_by(col(Job.subject)))
    return {str(batch_id): int(stored) for batch_id, stored in map(tuple, rows)}


_SUMMED = ("total", "stored", "failed", "prompt_tokens", "completion_tokens", "reasoning_tokens", "reasoning_lost")


def use(session: Session, batch_id: str) -> dict[str, dict[str, float]]:
    """Return what each teacher did for a batch: answers, tokens, and the busy seconds of its servers."""
    names = ("stored", "prompt_tokens", "completion_tokens", "busy_s")
    sums = [func.coalesce(func.sum(getattr(Job, name)), 0) for name in names]
    query = select(Job.teacher, *sums).where(Job.subject == batch_id).group_by(col(Job.teacher)).order_by(Job.teacher)
    return {row[0]: dict(zip(names, row[1:], strict=True)) for row in map(tuple, session.connection().execute(query))}


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
    """Return the id of the last decision of a person about the batch's traces, 0 when there is none."""
    query = select(func.max(Review.id)).join(Trace, col(Trace.id) == Review.trace_id).where(Trace.batch_id == batch_id)
    # A tag alone changes nothing that is curated.
    decided = (col(Review.outcome) != "") | col(Review.withdraws).is_not(None)
    return session.exec(query.where(decided)).one() or 0
