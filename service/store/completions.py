"""Stored chat completions: prompts and traces like all others, in one standing batch for each teacher.

The batch counts as completed at any time, so that what was kept so far can be curated; its one job carries the counts.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import zstandard
from sqlmodel import Session, col, func, select, update

from service.errors import NotFound
from service.models import (
    Batch,
    BatchState,
    Failure,
    Job,
    JobKind,
    JobState,
    Prompt,
    Review,
    Trace,
)
from service.soft_labels import TopK
from service.store import batches, events, generation, reviews, soft_labels
from service.store.database import Clock, Database, insert_new, storable
from service.teachers.protocol import Completion

STANDING = "batch_stored-"
"""Its id is this and the teacher's name."""
LINE = "chatcmpl-"
"""The completion of a batch line is called this and its prompt's id."""
DIGITS_MAX = 18
"""Of such an id, lest a made-up one overflows the column."""
DELETED = "deleted"
"""The reason of the review that a deletion leaves."""
EXPIRED = "batch_expired"


@dataclass(frozen=True, slots=True)
class Stored:
    """A chat completion: what was asked, and its choices in order."""

    prompt: Prompt
    traces: Sequence[Trace]
    labels: Mapping[int, TopK] = field(default_factory=dict)
    """Soft labels that came with a choice, by trace."""


def trace_row(completion: Completion, compress: Callable[[bytes], bytes] = zstandard.compress) -> dict[str, Any]:
    """Return the columns of a trace that its teacher's reply fills in; who makes many brings one compressor."""
    return {
        "reasoning": storable(completion.reasoning),
        "response": storable(completion.response),
        "finish_reason": completion.finish_reason,
        "prompt_tokens": completion.prompt_tokens,
        "completion_tokens": completion.completion_tokens,
        "reasoning_tokens": completion.reasoning_tokens,
        "latency_ms": completion.latency_ms,
        "raw": compress(completion.raw),
        "created_at": time.time(),
    }


def keep(
    session: Session,
    teacher: str,
    prompt: dict[str, Any],
    traces: Sequence[dict[str, Any]],
    completions: Sequence[Completion] = (),
    **spent: int,
) -> None:
    """Store one chat completion: its prompt, one trace for each choice, and the tokens it cost.

    `completions` are what the traces were made of; the soft labels that came with them are kept too.
    """
    batch_id = _standing(session, teacher)
    row = Prompt(batch_id=batch_id, line=0, teacher=teacher, n=len(traces), **prompt)
    session.add(row)
    session.flush()
    common = {"batch_id": batch_id, "prompt_id": row.id, "teacher": teacher}
    rows = [trace | common | {"sample_index": index} for index, trace in enumerate(traces)]
    insert_new(session, Trace, rows)
    labels, label_bytes = soft_labels.keep(
        session, batch_id, teacher, soft_labels.rows(rows, completions) if completions else []
    )
    added = {"total": len(rows), "stored": len(rows), "labels": labels, "label_bytes": label_bytes, **spent}
    values = {name: getattr(Job, name) + count for name, count in added.items()}
    session.connection().execute(
        update(Job).where(col(Job.subject) == batch_id).values(last_prompt=row.id, finished_at=Clock(), **values)
    )
    # The time tells a curation that there is something new since the last one.
    grown = {"prompts": Batch.prompts + 1, "finished_at": time.time()}
    session.connection().execute(update(Batch).where(col(Batch.id) == batch_id).values(grown))


def _standing(session: Session, teacher: str) -> str:
    """Return the id of the teacher's batch for stored completions; the first one makes it."""
    batch_id = STANDING + teacher
    if session.get(Batch, batch_id) is None:
        batch = Batch(id=batch_id, state=BatchState.COMPLETED, teachers=[teacher], finished_at=time.time())
        if insert_new(session, Batch, [batch.model_dump()]):
            session.add(Job(kind=JobKind.GENERATE, subject=batch_id, teacher=teacher, state=JobState.DONE))
            session.flush()
    return batch_id


def get(session: Session, completion_id: str) -> Stored:
    """Return a stored completion or a batch line's by the id in its output; NotFound for a deleted one too."""
    # Its id is unique in one batch only, and there are few standing ones.
    found = select(Prompt).where(
        Prompt.key == completion_id, col(Prompt.batch_id).in_(_standing_ids()), col(Prompt.id).not_in(_deleted())
    )
    prompt = session.exec(found).first() or _line(session, completion_id)
    stored = _with_traces(session, [prompt])[0] if prompt else None
    if prompt is None or stored is None or len(stored.traces) < (prompt.n or 1):
        raise NotFound(f"no chat completion with the id '{completion_id}' was kept; 'store: true' keeps one")
    return stored


def line_completion_id(prompt_id: int) -> str:
    """Return what the completion of a batch line is called."""
    return f"{LINE}{prompt_id}"


def _line(session: Session, completion_id: str) -> Prompt | None:
    """Return the prompt of a batch file whose completion is called so."""
    number = completion_id.removeprefix(LINE)
    if not (number.isascii() and number.isdecimal() and len(number) <= DIGITS_MAX):
        return None
    of_a_file = select(Batch.id).where(col(Batch.input_file_id).is_not(None))
    found = select(Prompt).where(Prompt.id == int(number), col(Prompt.batch_id).in_(of_a_file))
    return session.exec(found.where(col(Prompt.id).not_in(_deleted()))).first()


def page(
    session: Session,
    *,
    model: str | None,
    metadata: dict[str, str],
    after: str | None,
    limit: int,
    descending: bool,
) -> list[Stored]:
    """Return up to `limit` stored completions by time, beyond `after`, with all of `metadata`."""
    query = select(Prompt).where(
        col(Prompt.batch_id) == STANDING + model if model else col(Prompt.batch_id).in_(_standing_ids()),
        col(Prompt.id).not_in(_deleted()),
        *(col(Prompt.meta)[name].as_string() == value for name, value in metadata.items()),
    )
    if after:
        edge = get(session, after).prompt.id
        query = query.where(col(Prompt.id) < edge if descending else col(Prompt.id) > edge)
    order = col(Prompt.id).desc() if descending else col(Prompt.id)
    return _with_traces(session, session.exec(query.order_by(order).limit(limit)).all())


def set_metadata(session: Session, completion_id: str, metadata: dict[str, str] | None) -> Stored:
    """Put other metadata in the place of what a stored completion has."""
    stored = get(session, completion_id)
    stored.prompt.meta = metadata
    session.add(stored.prompt)
    return stored


def delete(session: Session, completion_id: str) -> None:
    """Take a stored completion out of sight, and out of every dataset sealed from now on.

    The traces stay, rejected with the reason `deleted`: versions that hold them already can still be accounted for, and
    a person who keeps one again on `PATCH /api/traces/{id}` brings it back.
    """
    for trace in get(session, completion_id).traces:
        reviews.add(session, trace.id or 0, "DELETE /v1/chat/completions", outcome="reject", reason=DELETED)


def _standing_ids() -> Any:
    return select(Batch.id).where(col(Batch.id).startswith(STANDING, autoescape=True))


def _deleted() -> Any:
    """Select the prompts of which a trace was deleted and not kept again since."""
    newest = select(func.max(Review.id)).group_by(col(Review.trace_id))
    return (
        select(Trace.prompt_id)
        .join(Review, col(Review.trace_id) == col(Trace.id))
        .where(Review.reason == DELETED, Review.outcome == "reject", col(Review.id).in_(newest))
    )


def _with_traces(session: Session, prompts: Sequence[Prompt]) -> list[Stored]:
    found: dict[int, list[Trace]] = {prompt.id or 0: [] for prompt in prompts}
    query = select(Trace).where(col(Trace.prompt_id).in_(list(found)), col(Trace.parent_id).is_(None))
    for trace in session.exec(query.order_by(col(Trace.prompt_id), col(Trace.sample_index))):
        found[trace.prompt_id].append(trace)
    labels = soft_labels.of_answers(session, [trace.id or 0 for traces in found.values() for trace in traces])
    return [Stored(prompt, found[prompt.id or 0], labels) for prompt in prompts]


def expire_due(database: Database) -> int:
    """End the batches whose completion window is over; return how many.

    What they still lack ends as failed with the reason `batch_expired`, one transaction a shard, so that nobody waits
    long and a process that dies half-way leaves the rest to the next one. Cheap where nothing is due.
    """
    late = select(Batch.id).where(Batch.state == BatchState.IN_PROGRESS, col(Batch.expires_at) <= Clock())
    with database.read() as session:
        due = session.exec(late).all()
    for batch_id in due:
        for job_id in _unfinished(database, batch_id):
            with database.write() as session:
                _expire_shard(session, batch_id, job_id)
        with database.write() as session:
            batch = session.exec(select(Batch).where(Batch.id == batch_id).with_for_update()).one()
            if batch.state == BatchState.IN_PROGRESS:
                batch.state, batch.finished_at = BatchState.EXPIRED, time.time()
                session.add(batch)
                events.emit(session, "batch.expired", batch_id, **batches.counts(session, batch))
    return len(due)


UNFINISHED = (JobState.QUEUED, JobState.RUNNING)


def _unfinished(database: Database, batch_id: str) -> Iterator[int]:
    with database.read() as session:
        query = select(Job.id).where(Job.subject == batch_id, col(Job.state).in_(UNFINISHED))
        yield from [job_id or 0 for job_id in session.exec(query).all()]


def _expire_shard(session: Session, batch_id: str, job_id: int) -> None:
    """End a shard. Its row is locked first: what its worker stored before counts, after that it can store nothing."""
    ended = {"state": JobState.FAILED, "lease_until": 0.0, "finished_at": Clock(), "reason": EXPIRED}
    mine = (col(Job.id) == job_id) & col(Job.state).in_(UNFINISHED)
    job = session.exec(update(Job).where(mine).values(ended).returning(Job)).scalar_one_or_none()
    if job is None:
        return
    batch = batches.get(session, batch_id)
    failure = {
        "batch_id": batch_id,
        "teacher": job.teacher,
        "reason": EXPIRED,
        "detail": f"not answered within the completion window of {batch.completion_window}",
        "attempts": 0,
        "created_at": time.time(),
    }
    rows = [
        failure | {"prompt_id": ask.prompt_id, "sample_index": index}
        for ask in generation.missing(session, job, batch)
        for index in ask.sample_indexes
    ]
    insert_new(session, Failure, rows)
    session.connection().execute(update(Job).where(col(Job.id) == job_id).values(failed=Job.failed + len(rows)))
