"""Rewriting, as its jobs do it: taking old traces that have no new one yet, and keeping what became of them."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import zstandard
from sqlalchemy import select, tuple_, union_all
from sqlmodel import Session, col

from service.models import Batch, Failure, Job, Prompt, Review, Teacher, Trace
from service.store import batches, generation, queue
from service.store.database import insert_new, storable
from service.store.rewrites import how, wanted
from service.teachers.protocol import Completion

Key = tuple[int, str, int]
"""Prompt id, teacher and sample index of an old trace: the order in which they are taken, and where to go on."""
_COPIED = ("line", "messages", "reference", "verifier", "category", "source", "license", "meta")
"""What a copy of a prompt has of the original."""
_TOKENS = ("prompt_tokens", "completion_tokens", "reasoning_tokens")
_OLD = ("teacher", "sample_index", "reasoning", "response", "finish_reason", *_TOKENS)


@dataclass(frozen=True, slots=True)
class Old:
    """A trace that is to be rewritten, with the prompt's copy that the new one will answer."""

    trace_id: int
    prompt_id: int
    """Of the copy."""
    messages: list[dict[str, Any]]
    teacher: str
    sample_index: int
    reasoning: str
    response: str
    """As a person edited it, where one did."""
    finish_reason: str
    prompt_tokens: int | None
    completion_tokens: int | None
    reasoning_tokens: int | None

    @property
    def response_tokens(self) -> int | None:
        """How many tokens the response alone has, where that follows from what its teacher counted."""
        if not self.reasoning:
            return self.completion_tokens
        if self.completion_tokens is None or self.reasoning_tokens is None:
            return None
        # A count of 0 beside a reasoning means that the server does not tell them apart.
        return self.completion_tokens - self.reasoning_tokens if self.reasoning_tokens else None


def assignment(session: Session, job: Job) -> tuple[Batch, Teacher | None]:
    """Return the batch of a job, and the teacher that it asks if it asks one and that is still registered."""
    batch = batches.get(session, job.subject)
    return batch, session.get(Teacher, job.teacher) if how(batch)["teacher"] else None


def take(
    session: Session, job: Job, batch: Batch, *, after: Key | None, limit: int, lease_s: float
) -> tuple[list[Old], Key | None]:
    """Copy the prompts of up to `limit` old traces after the place `after`; return those that are still to be done.

    The place is where to go on, None where nothing is left. Prompts that are copied already stay as they are. Raises
    LeaseLost.
    """
    queue.keep(session, job, lease_s=lease_s)
    rows = session.connection().execute(_page(job, batch, after, limit)).all()
    if not rows:
        return [], None
    one_source = len(how(batch)["batches"]) == 1
    keys = {row.prompt_id: row.key if one_source else f"{row.of}/{row.key}" for row in rows}
    copies = {row.prompt_id: {name: getattr(row, name) for name in _COPIED} for row in rows}
    insert_new(session, Prompt, [copies[old] | {"batch_id": batch.id, "key": key} for old, key in keys.items()])
    found = select(Prompt.key, Prompt.id).where(  # pyright: ignore[reportCallIssue, reportArgumentType]
        col(Prompt.batch_id) == batch.id, col(Prompt.key).in_(list(keys.values()))
    )
    ids: dict[str, int] = {key: prompt_id for key, prompt_id in map(tuple, session.connection().execute(found))}
    done = _done(session, list(ids.values()))
    edits = _edits(session, [row.id for row in rows])
    old = [
        Old(trace_id=row.id, prompt_id=ids[keys[row.prompt_id]], **_text_and_tokens(row, edits))
        for row in rows
        if (ids[keys[row.prompt_id]], row.teacher, row.sample_index) not in done
    ]
    last = rows[-1]
    return old, (last.prompt_id, last.teacher, last.sample_index) if len(rows) == limit else None


def _text_and_tokens(row: Any, edits: Mapping[int, str]) -> dict[str, Any]:
    found = {name: getattr(row, name) for name in ("messages", *_OLD)}
    return found | {"response": edits[row.id]} if row.id in edits else found


def _page(job: Job, batch: Batch, after: Key | None, limit: int) -> Any:
    place = (col(Trace.prompt_id), col(Trace.teacher), col(Trace.sample_index))
    query = (
        select(  # pyright: ignore[reportCallIssue]
            col(Trace.id),
            col(Trace.prompt_id),
            *(getattr(Trace, name) for name in _OLD),
            *(getattr(Prompt, name) for name in ("key", *_COPIED)),
            col(Trace.batch_id).label("of"),
        )
        .join(Prompt, col(Prompt.id) == col(Trace.prompt_id))
        .where(col(Trace.prompt_id).between(after[0] if after else job.first_prompt, job.last_prompt))
        # An expression, not the bare column: by the batch's index the database would sort a whole batch for each page.
        .where(col(Trace.batch_id).concat("").in_(how(batch)["batches"]))
        .where(*wanted(how(batch)["kind"], job.payload["version_id"]))
        .order_by(*place)
        .limit(limit)
    )
    if job.payload["of"] is not None:
        query = query.where(col(Trace.teacher) == job.payload["of"])
    return query.where(tuple_(*place) > after) if after else query


def _done(session: Session, prompt_ids: Sequence[int]) -> set[Key]:
    """Return which answers to the copies are there, or will not come."""
    ended = union_all(
        *(
            select(table.prompt_id, table.teacher, table.sample_index).where(col(table.prompt_id).in_(prompt_ids))  # pyright: ignore[reportCallIssue, reportArgumentType]
            for table in (Trace, Failure)
        )
    )
    return {(prompt_id, *rest) for prompt_id, *rest in map(tuple, session.connection().execute(ended))}


def _edits(session: Session, trace_ids: Sequence[int]) -> dict[int, str]:
    """Return the responses that people edited, by trace; the newest thing anybody said counts."""
    query = select(Review.trace_id, Review.response).where(col(Review.trace_id).in_(trace_ids))  # pyright: ignore[reportCallIssue, reportArgumentType]
    newest = dict(map(tuple, session.connection().execute(query.order_by(col(Review.id)))))
    return {trace_id: text for trace_id, text in newest.items() if text is not None}


def answer_only(old: Old) -> dict[str, Any]:
    """Return the trace that has no reasoning; its tokens are those of the response, None where nobody counted them."""
    counted = {"completion_tokens": old.response_tokens, "reasoning_tokens": 0, "latency_ms": None}
    return _trace(old) | counted | {"rewriter": None, "reasoning": "", "raw": b""}


def compacted(old: Old, rewriter: str, reasoning: str, completion: Completion) -> dict[str, Any]:
    """Return the trace with the reasoning that `rewriter` wrote in this completion.

    Its tokens are those that the rewriter counted for the reasoning and the old teacher for the response, None where
    either is unknown: a completion that was thought about before has the tokens of those thoughts in its count.
    """
    own = completion.completion_tokens if not completion.reasoning else None
    rest = old.response_tokens
    counted = {"completion_tokens": None if own is None or rest is None else own + rest, "reasoning_tokens": own}
    raw = zstandard.compress(completion.raw)
    written = {"rewriter": rewriter, "reasoning": storable(reasoning), "raw": raw, "latency_ms": completion.latency_ms}
    return _trace(old) | counted | written


def _trace(old: Old) -> dict[str, Any]:
    return {
        "prompt_id": old.prompt_id,
        "teacher": old.teacher,
        "sample_index": old.sample_index,
        "parent_id": old.trace_id,
        "response": old.response,
        "finish_reason": old.finish_reason,
        "prompt_tokens": old.prompt_tokens,
        "accepted": None,
        "created_at": time.time(),
    }


def failure(old: Old, reason: str, detail: str, attempts: int) -> dict[str, Any]:
    """Return the row that says why a trace could not be rewritten."""
    about = {"prompt_id": old.prompt_id, "teacher": old.teacher, "sample_index": old.sample_index}
    why = {"reason": reason, "detail": storable(detail), "attempts": attempts, "created_at": time.time()}
    return about | why


def store(
    session: Session,
    job: Job,
    *,
    lease_s: float,
    traces: Sequence[dict[str, Any]],
    failures: Sequence[dict[str, Any]],
    prompt_tokens: int,
    completion_tokens: int,
    busy_s: float,
) -> None:
    """Keep what became of some old traces, and what was spent on it. Raises LeaseLost."""
    mine = {"batch_id": job.subject}
    generation.store(
        session,
        job,
        lease_s=lease_s,
        traces=[mine | row for row in traces],
        failures=[mine | row for row in failures],
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        busy_s=busy_s,
    )
    generation.progress(session, job.subject)
