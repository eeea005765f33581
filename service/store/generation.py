"""Shards of a batch: which one to take, what it still has to ask, and keeping its results."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import CompoundSelect, Select, bindparam, case, func, select, union_all, update
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlmodel import Session, col

from service.models import Batch, BatchState, Failure, Job, JobKind, JobState, Prompt, Teacher, Trace
from service.models.batches import ENDED
from service.store import batches, events, queue, soft_labels
from service.store.database import Clock, insert_new

DatabaseAway = (OperationalError, InterfaceError, PoolTimeout)
"""What a database that restarts, is locked or has a full disk raises: the same transaction may be tried again."""


@dataclass(slots=True)
class Ask:
    """A prompt with those of its answers that are still missing."""

    prompt_id: int
    messages: list[dict[str, Any]]
    sample_indexes: list[int]
    body: dict[str, Any] = field(default_factory=dict)
    """The prompt's own sampling, which goes before the batch's."""
    reference: str | None = None
    verifier: str | None = None
    accepted: int = 0
    """Answers that are there already and were found right; counted only in a batch with `accept_k`."""
    tokens: int = 0
    """… and the tokens of all that are there."""


def assignment(session: Session, job: Job) -> tuple[Batch, Teacher | None]:
    """Return the batch of a shard and its teacher, None where nobody of that name is registered any more."""
    return batches.get(session, job.subject), session.get(Teacher, job.teacher)


def missing(session: Session, job: Job, batch: Batch) -> list[Ask]:
    """Return what the shard has yet to ask: answers that have neither a trace nor a failure, by prompt id."""
    of_shard = {"first": job.first_prompt, "last": job.last_prompt, "teacher": job.teacher}
    answered: dict[int, set[int]] = {}
    for prompt_id, sample_index in map(tuple, session.connection().execute(_DONE, of_shard)):
        answered.setdefault(prompt_id, set()).add(sample_index)
    had = _had(session, job) if batch.accept_k else {}
    asks = []
    prompts = session.connection().execute(_PROMPTS, of_shard | {"batch": batch.id})
    for prompt_id, messages, n, body, reference, verifier in map(tuple, prompts):
        there = answered.get(prompt_id, ())
        left = [index for index in range(n or batch.n) if index not in there]
        ask = Ask(prompt_id, messages, left, body or {}, reference, verifier, *had.get(prompt_id, (0, 0)))
        if left and not is_enough(batch, ask.accepted, ask.tokens):
            asks.append(ask)
    return asks


def _done_statement() -> CompoundSelect[Any]:
    """Return the statement that finds the shard's answers and failures; made once, as `queue.claim`'s is."""
    return union_all(
        *(
            select(table.prompt_id, table.sample_index).where(  # pyright: ignore[reportCallIssue, reportArgumentType]
                col(table.prompt_id).between(bindparam("first"), bindparam("last")),
                col(table.teacher) == bindparam("teacher"),
            )
            for table in (Trace, Failure)
        )
    )


def _prompts_statement() -> Select[Any]:
    """Return the statement that reads the shard's prompts; made once, too."""
    return (
        select(Prompt.id, Prompt.messages, Prompt.n, Prompt.body, Prompt.reference, Prompt.verifier)  # pyright: ignore[reportCallIssue, reportArgumentType]
        .where(col(Prompt.id).between(bindparam("first"), bindparam("last")))
        # An expression, not the bare column: SQLite would rather read the whole batch by its index than a span of ids.
        .where(col(Prompt.batch_id).concat("") == bindparam("batch"))
        .where(func.coalesce(Prompt.teacher, bindparam("teacher")) == bindparam("teacher"))
        .order_by(col(Prompt.id))
    )


_DONE, _PROMPTS = _done_statement(), _prompts_statement()


def is_enough(batch: Batch, accepted: int, tokens: int) -> bool:
    """Tell whether a prompt needs no more answers from a teacher, with so many right ones and tokens."""
    if batch.accept_k is None:
        return False
    return accepted >= batch.accept_k or (batch.token_budget is not None and tokens >= batch.token_budget)


def _had(session: Session, job: Job) -> dict[int, tuple[int, int]]:
    """Return right answers and tokens so far by prompt."""
    query = (
        select(
            Trace.prompt_id,  # pyright: ignore[reportCallIssue, reportArgumentType]
            func.sum(case((col(Trace.accepted).is_(True), 1), else_=0)),
            func.coalesce(func.sum(Trace.completion_tokens), 0),
        )
        .where(col(Trace.prompt_id).between(job.first_prompt, job.last_prompt), col(Trace.teacher) == job.teacher)
        .group_by(col(Trace.prompt_id))
    )
    rows = map(tuple, session.connection().execute(query))
    return {prompt_id: (int(right), int(tokens)) for prompt_id, right, tokens in rows}


def store(
    session: Session,
    job: Job,
    *,
    lease_s: float,
    traces: Sequence[dict[str, Any]],
    failures: Sequence[dict[str, Any]],
    labels: Sequence[dict[str, Any]] = (),
    **spent: float,
) -> None:
    """Keep results of a shard: traces, failures and the tokens `spent`, counted in the job. Raises LeaseLost.

    The fence comes first: on Postgres it locks the job, so that two holders never insert the same answer at once. A
    commit whose acknowledgement was lost is tried again, and then finds its rows there: they are not counted twice.
    """
    queue.keep(session, job, lease_s=lease_s, stored=len(traces), failed=len(failures), **spent)
    stored_before = len(traces) - insert_new(session, Trace, traces)
    failed_before = len(failures) - insert_new(session, Failure, failures)
    if stored_before or failed_before:
        queue.keep(session, job, lease_s=lease_s, stored=-stored_before, failed=-failed_before)
    if labels:
        count, size = soft_labels.keep(session, job.subject, job.teacher, labels)
        queue.keep(session, job, lease_s=lease_s, labels=count, label_bytes=size)


def progress(session: Session, batch_id: str) -> None:
    """Tell those who follow the batch how far it is."""
    events.emit(session, "batch.progress", batch_id, **batches.counts(session, batches.get(session, batch_id)))


def finish(session: Session, job: Job) -> None:
    """End a shard that has nothing missing, and its batch when this was the last one."""
    # Where prompts may end early, or a person rejects what is yet to be rewritten, what was done in the end is what
    # there was to do.
    found = batches.get(session, job.subject)
    asked = col(Job.stored) + col(Job.failed) if found.accept_k or found.rewrite else None
    queue.finish(session, job, total=asked)
    # The row lock makes the last two shards, ending at once on two workers, count one after the other.
    batch = session.scalars(select(Batch).where(col(Batch.id) == job.subject).with_for_update()).one()
    if batch.state in ENDED or queue.unfinished(session, batch.id):
        return
    batch.state = BatchState.CANCELLED if batch.state == BatchState.CANCELLING else BatchState.COMPLETED
    batch.finished_at = time.time()
    session.add(batch)
    events.emit(session, f"batch.{batch.state}", batch.id, **batches.counts(session, batch))


def hold_back(session: Session, job: Job, *, delay_s: float, reason: str, detail: str) -> None:
    """Put a shard back, and let all queued shards of its teacher wait as long: one look at a dead teacher is enough."""
    queue.put_back(session, job, delay_s=delay_s, reason=reason, detail=detail)
    until = Clock() + delay_s
    due_before = (col(Job.state) == JobState.QUEUED) & (col(Job.run_after) < until)
    same_teacher = (col(Job.kind) == job.kind) & (col(Job.teacher) == job.teacher)
    values = {"run_after": until, "reason": reason, "detail": detail}
    session.connection().execute(update(Job).where(same_teacher, due_before).values(values))


def let_go(session: Session, teacher: str, reason: str) -> None:
    """Make the shards that wait for a teacher due at once: it answers again."""
    waiting = (col(Job.state) == JobState.QUEUED) & (col(Job.reason) == reason)
    same_teacher = (col(Job.kind) == JobKind.GENERATE) & (col(Job.teacher) == teacher)
    values = {"run_after": 0.0, "reason": "", "detail": ""}
    session.connection().execute(update(Job).where(same_teacher, waiting).values(values))
