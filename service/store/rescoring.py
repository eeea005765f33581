"""Soft labels ordered for old traces: jobs that have a teacher score what was answered without any."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlmodel import Session, col, delete, func, update

from service.errors import Conflict
from service.models import Batch, Job, JobKind, LabelSource, Prompt, SoftLabels, Teacher, Trace
from service.models.batches import ENDED
from service.store import batches, events, queue, soft_labels, teachers
from service.store.database import insert_new


def subject(batch_id: str) -> str:
    """Return what jobs that score a batch again work for: not the batch, whose counts are those of its answers."""
    return f"{batch_id}/soft-labels"


@dataclass(frozen=True, slots=True)
class Unlabelled:
    """A trace without soft labels, with what it takes to find its tokens again."""

    trace_id: int
    messages: list[dict[str, Any]]
    asked: dict[str, Any]
    """The request's own fields: some of them change how the messages are written out."""
    raw: bytes
    finish_reason: str
    prompt_tokens: int | None
    completion_tokens: int | None


def order(session: Session, batch_id: str, *, k: int, teacher: str | None, shard_prompts: int) -> None:
    """Make jobs that score the traces of an ended batch again, those that have no soft labels yet.

    They are scored by `teacher`, or each by its own. What could not be scored before is tried again. Raises Conflict
    while the batch, or an earlier order for it, is not done, and where `teacher` is known to split text otherwise.
    """
    batch = batches.get(session, batch_id)
    if batch.state not in ENDED:
        raise Conflict(f"batch {batch_id} is {batch.state}: soft labels are added to ended batches")
    about = subject(batch_id)
    if queue.unfinished(session, about):
        raise Conflict(f"soft labels for batch {batch_id} are under way already")
    for name in [teacher] if teacher else batch.teachers:
        teachers.asked(session, name)
    session.connection().execute(
        delete(SoftLabels).where(col(SoftLabels.batch_id) == batch_id, col(SoftLabels.reason) != "")
    )
    settled = {"total": col(Job.stored), "failed": 0}
    session.connection().execute(update(Job).where(col(Job.subject) == about).values(settled))
    shards: dict[str, tuple[Job, int]] = {}
    for prompt_id, owner, count in session.connection().execute(_unlabelled_by_prompt(batch_id)):  # pyright: ignore[reportAssignmentType]
        job, prompts = shards.get(owner, (None, shard_prompts))
        if job is None or prompts == shard_prompts:
            scorer = teacher or owner
            _check_tokenizer(session, owner, scorer)
            payload = {"batch": batch_id, "of": owner, "k": k}
            job, prompts = Job(kind=JobKind.RESCORE, subject=about, teacher=scorer, payload=payload), 0
            job.first_prompt = prompt_id
            session.add(job)
        job.last_prompt = prompt_id
        job.total += count
        shards[owner] = job, prompts + 1
    session.flush()


def _unlabelled_by_prompt(batch_id: str) -> Any:
    return (
        select(Trace.prompt_id, Trace.teacher, func.count())  # pyright: ignore[reportCallIssue, reportArgumentType]
        .outerjoin(SoftLabels, col(SoftLabels.trace_id) == col(Trace.id))
        .where(col(Trace.batch_id) == batch_id, *_IS_UNLABELLED)
        .group_by(col(Trace.prompt_id), col(Trace.teacher))
        .order_by(col(Trace.prompt_id))
    )


_IS_UNLABELLED = (col(SoftLabels.trace_id).is_(None), col(Trace.parent_id).is_(None))
"""A rewritten trace was never sampled: nobody can say how its text fell into tokens."""


def _check_tokenizer(session: Session, owner: str, scorer: str) -> None:
    known = soft_labels.tokenizers(session, (owner, scorer))
    if all(known.values()) and len(set(known.values())) > 1:
        raise Conflict(
            f"teacher '{scorer}' has another tokenizer (sha256 {known[scorer][:12]}…) than '{owner}' "
            f"({known[owner][:12]}…), so it cannot score the tokens that '{owner}' chose"
        )


def scorer(session: Session, job: Job) -> Teacher | None:
    """Return the teacher that a job asks, None where nobody of that name is registered any more."""
    return session.get(Teacher, job.teacher)


def unlabelled(session: Session, job: Job, *, limit: int) -> list[Unlabelled]:
    """Return the next traces that a job has to score; none means that it is done."""
    batch = batches.get(session, job.payload["batch"])
    query = (
        select(  # pyright: ignore[reportCallIssue]
            *(col(column) for column in (Trace.id, Trace.raw, Trace.finish_reason)),
            *(col(column) for column in (Trace.prompt_tokens, Trace.completion_tokens)),
            *(col(column) for column in (Prompt.messages, Prompt.body)),
        )
        .join(Prompt, col(Prompt.id) == col(Trace.prompt_id))
        .outerjoin(SoftLabels, col(SoftLabels.trace_id) == col(Trace.id))
        .where(col(Trace.prompt_id).between(job.first_prompt, job.last_prompt))
        .where(col(Trace.batch_id) == batch.id, col(Trace.teacher) == job.payload["of"], *_IS_UNLABELLED)
        .order_by(col(Trace.prompt_id), col(Trace.id))
        .limit(limit)
    )
    return [
        Unlabelled(
            trace_id=row.id,
            messages=row.messages,
            asked=batch.sampling | (row.body or {}),
            raw=row.raw,
            finish_reason=row.finish_reason,
            prompt_tokens=row.prompt_tokens,
            completion_tokens=row.completion_tokens,
        )
        for row in session.connection().execute(query)
    ]


def store(session: Session, job: Job, rows: Sequence[dict[str, Any]], *, lease_s: float) -> None:
    """Keep what scoring brought: rows with `trace_id`, `k`, `tokens`, `data`, `reason`, `detail`. Raises LeaseLost."""
    there, size = sum(bool(row["k"]) for row in rows), sum(len(row["data"]) for row in rows)
    queue.keep(session, job, lease_s=lease_s, stored=there, failed=len(rows) - there, label_bytes=size)
    common = {"batch_id": job.payload["batch"], "teacher": job.teacher, "source": LabelSource.RESCORED}
    (tokenizer,) = soft_labels.tokenizers(session, [job.teacher]).values()
    common |= {"tokenizer_sha256": tokenizer, "created_at": time.time()}
    # The fence is held: nobody else scores these, so all of them are new, or all were stored by a commit whose
    # acknowledgement was lost.
    if not insert_new(session, SoftLabels, [common | row for row in rows]):
        queue.keep(session, job, lease_s=lease_s, stored=-there, failed=there - len(rows), label_bytes=-size)
    events.emit(session, "soft_labels.progress", job.payload["batch"], **progress(session, job.payload["batch"]))


def finish(session: Session, job: Job) -> None:
    """End a job that has nothing left to score."""
    queue.finish(session, job)
    # The row lock makes the last two jobs, ending at once on two workers, count one after the other.
    session.scalars(select(Batch).where(col(Batch.id) == job.payload["batch"]).with_for_update()).one()
    if not queue.unfinished(session, job.subject):
        batch_id = job.payload["batch"]
        events.emit(session, "soft_labels.completed", batch_id, **progress(session, batch_id))


def cancel(session: Session, batch_id: str) -> None:
    """Score no further; what is stored stays."""
    batches.get(session, batch_id)
    if not queue.cancel(session, subject(batch_id)):
        raise Conflict(f"no soft labels for batch {batch_id} are under way")


def progress(session: Session, batch_id: str) -> dict[str, int]:
    """Return how far adding soft labels later is: `total, stored, failed, pending, unfinished` (jobs), `bytes`."""
    sums = [func.coalesce(func.sum(column), 0) for column in (Job.total, Job.stored, Job.failed, Job.label_bytes)]
    query = select(*sums).where(col(Job.subject) == subject(batch_id))  # pyright: ignore[reportCallIssue, reportArgumentType]
    total, stored, failed, size = map(int, session.connection().execute(query).one())
    left = queue.unfinished(session, subject(batch_id))
    pending = total - stored - failed if left else 0
    return {"total": total, "stored": stored, "failed": failed, "pending": pending, "unfinished": left, "bytes": size}


def tokens(session: Session, batch_id: str) -> int:
    """Return the completion tokens of a batch that have no soft labels yet: what adding them is about."""
    query = (
        select(func.coalesce(func.sum(Trace.completion_tokens), 0))
        .outerjoin(SoftLabels, col(SoftLabels.trace_id) == col(Trace.id))
        .where(col(Trace.batch_id) == batch_id, *_IS_UNLABELLED)
    )
    return int(session.scalar(query) or 0)
