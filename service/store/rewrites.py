"""Rewritten traces: ordering them, taking what is to be rewritten, and keeping what became of it.

They live in a batch of their own, whose prompts are copies of those that the old traces answer: a dataset can be made
of either batch or of both. A new trace has the teacher, the sample index and the response of its parent.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import zstandard
from sqlalchemy import exists, func, select, tuple_, union_all
from sqlmodel import Session, col

from service.errors import Conflict, Problem
from service.models import (
    Batch,
    BatchState,
    DatasetVersion,
    Failure,
    Job,
    JobKind,
    Prompt,
    Review,
    Teacher,
    Trace,
    VerdictRow,
    VersionState,
)
from service.models.batches import ENDED
from service.rewrites import Kind
from service.store import batches, events, generation, queue, teachers
from service.store.batches import JOBS_AT_ONCE, SPAN_ROWS
from service.store.database import insert_new, storable
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


# Ordering


def order(
    session: Session,
    kind: Kind,
    *,
    batch_id: str | None = None,
    version: DatasetVersion | None = None,
    teacher: str | None = None,
    options: Mapping[str, Any],
    sampling: Mapping[str, Any],
    idempotency_key: str | None,
    digest: str,
    shard_prompts: int,
) -> tuple[Batch, bool]:
    """Start rewriting an ended batch's traces, or those that a sealed version keeps; return the new batch.

    The second value is False where the same key gave the batch before. Raises Conflict where the source is not done or
    was compacted already or `teacher` has no server, and Problem where nothing in it can be rewritten.
    """
    known = _known(session, idempotency_key, digest)
    if known is not None:
        return known, False
    if teacher is not None:
        teachers.asked(session, teacher)
    sources = _sources(session, batch_id, version)
    if kind is Kind.COMPACT:
        _refuse_compacted(sources)
    named = f"{version.dataset}@{version.number}" if version else None
    how = {"kind": kind, "batches": [source.id for source in sources], "version": named, "teacher": teacher}
    batch = Batch(
        state=BatchState.IN_PROGRESS,
        n=max(source.n for source in sources),
        sampling=dict(sampling) if teacher else _common_sampling(sources),
        rewrite={**how, **options},
        idempotency_key=idempotency_key,
        body_sha256=digest,
        in_progress_at=time.time(),
    )
    shards = _shards(session, batch, version.id if version else None, shard_prompts)
    if not shards:
        what = "no trace with a reasoning and a response" if kind is Kind.COMPACT else "no trace with a response"
        raise Problem(f"there is nothing to rewrite: {named or batch_id} has {what}")
    batch.teachers = [teacher] if teacher else sorted({shard["teacher"] for shard in shards})
    if not insert_new(session, Batch, [batch.model_dump()]) and (known := _known(session, idempotency_key, digest)):
        return known, False  # another request was faster by a moment
    for start in range(0, len(shards), JOBS_AT_ONCE):
        some = shards[start : start + JOBS_AT_ONCE]
        session.add_all(Job(kind=JobKind.REWRITE, subject=batch.id, **shard) for shard in some)
        session.flush()
    events.emit(session, "batch.in_progress", batch.id, total=sum(shard["total"] for shard in shards))
    return batch, True


def _known(session: Session, key: str | None, digest: str) -> Batch | None:
    """Return the batch that was ordered under a key. Raises Conflict where it was ordered otherwise."""
    found = batches.by_key(session, key) if key else None
    if found is not None and found.body_sha256 != digest:
        raise Conflict(f"the key '{key}' stands for batch {found.id}, which was ordered otherwise")
    return found


def _sources(session: Session, batch_id: str | None, version: DatasetVersion | None) -> list[Batch]:
    """Return the batches that hold the old traces. Raises Conflict where they may still change."""
    if version is not None:
        if version.state != VersionState.SEALED:
            raise Conflict(
                f"{version.dataset}@{version.number} is {version.state}; what a sealed version keeps is rewritten"
            )
        return [batches.get(session, each) for each in version.batches]
    source = batches.get(session, batch_id or "")
    if source.state not in ENDED:
        raise Conflict(f"batch {source.id} is {source.state}: traces of ended batches are rewritten")
    return [source]


def _common_sampling(sources: Sequence[Batch]) -> dict[str, Any]:
    """Return how the old traces were asked for, where all were asked alike; soft labels are not theirs to have."""
    first = sources[0].sampling
    same = first if all(source.sampling == first for source in sources) else {}
    return {name: value for name, value in same.items() if name not in {"logprobs", "top_logprobs"}}


def _refuse_compacted(sources: Iterable[Batch]) -> None:
    """A trace names one rewriting teacher, and so must its licence: a second one would hide the first."""
    for source in sources:
        if source.rewrite and source.rewrite["teacher"]:
            first = ", ".join(source.rewrite["batches"])
            raise Conflict(f"batch {source.id} was compacted by '{source.rewrite['teacher']}': compact {first} instead")


def _shards(session: Session, batch: Batch, version_id: int | None, shard_prompts: int) -> list[dict[str, Any]]:
    """Return the columns of the jobs, and count the prompts; one job holds one teacher's traces, or all to be asked."""
    asked = _how(batch)["teacher"]
    query = (
        select(Trace.prompt_id, Trace.teacher, func.count())  # pyright: ignore[reportCallIssue, reportArgumentType]
        .where(col(Trace.batch_id).in_(_how(batch)["batches"]), *_wanted(_how(batch)["kind"], version_id))
        .group_by(col(Trace.prompt_id), col(Trace.teacher))
        .order_by(col(Trace.prompt_id), col(Trace.teacher))
    )
    shards: list[dict[str, Any]] = []
    open_shards: dict[str, tuple[dict[str, Any], int]] = {}
    last = 0
    rows = session.connection().execute(query.execution_options(yield_per=SPAN_ROWS))
    for prompt_id, owner, count in map(tuple, rows):
        batch.prompts, last = batch.prompts + (prompt_id != last), prompt_id
        name = asked or owner
        shard, prompts = open_shards.get(name, ({}, shard_prompts))
        new = prompt_id != shard.get("last_prompt")
        if new and prompts == shard_prompts:
            payload = {"version_id": version_id, "of": None if asked else owner}
            shard, prompts = {"teacher": name, "first_prompt": prompt_id, "total": 0, "payload": payload}, 0
            shards.append(shard)
        shard["last_prompt"] = prompt_id
        shard["total"] += count
        open_shards[name] = shard, prompts + new
    return shards


def _wanted(kind: str, version_id: int | None) -> list[Any]:
    """Return which traces are rewritten: not those without a response, nor what a person rejected or deleted."""
    newest = select(func.max(Review.id)).group_by(col(Review.trace_id))
    rejected = select(Review.trace_id).where(col(Review.id).in_(newest), col(Review.outcome) == "reject")  # pyright: ignore[reportCallIssue, reportArgumentType]
    wanted: list[Any] = [func.trim(Trace.response) != "", col(Trace.id).not_in(rejected)]
    if kind == Kind.COMPACT:
        # What was cut off has a reasoning or a response that nobody can bring to its end.
        wanted += [func.trim(Trace.reasoning) != "", col(Trace.finish_reason) != "length"]
    if version_id is not None:
        mine = (col(VerdictRow.version_id) == version_id, col(VerdictRow.trace_id) == col(Trace.id))
        wanted.append(exists().where(*mine, col(VerdictRow.outcome) == "keep"))
    return wanted


def _how(batch: Batch) -> dict[str, Any]:
    if batch.rewrite is None:
        raise KeyError(f"batch {batch.id} holds no rewritten traces")
    return batch.rewrite


# Working


def assignment(session: Session, job: Job) -> tuple[Batch, Teacher | None]:
    """Return the batch of a job, and the teacher that it asks if it asks one and that is still registered."""
    batch = batches.get(session, job.subject)
    return batch, session.get(Teacher, job.teacher) if _how(batch)["teacher"] else None


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
    one_source = len(_how(batch)["batches"]) == 1
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
        .where(col(Trace.batch_id).concat("").in_(_how(batch)["batches"]))
        .where(*_wanted(_how(batch)["kind"], job.payload["version_id"]))
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
