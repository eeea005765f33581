"""Ordering rewritten traces: which ones of a batch or a version, and as which jobs.

They live in a batch of their own, whose prompts are copies of those that the old traces answer: a dataset can be made
of either batch or of both. A new trace has the teacher, the sample index and the response of its parent.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import exists, func, select
from sqlmodel import Session, col

from service.errors import Conflict, Problem
from service.models import (
    Batch,
    BatchState,
    DatasetVersion,
    Job,
    JobKind,
    Review,
    Trace,
    VerdictRow,
    VersionState,
)
from service.models.batches import ENDED
from service.rewrites import Kind
from service.store import batches, events, teachers
from service.store.batches import JOBS_AT_ONCE, SPAN_ROWS
from service.store.database import insert_new


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
    ordered = {"kind": kind, "batches": [source.id for source in sources], "version": named, "teacher": teacher}
    batch = Batch(
        state=BatchState.IN_PROGRESS,
        n=max(source.n for source in sources),
        sampling=dict(sampling) if teacher else _common_sampling(sources),
        rewrite={**ordered, **options},
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
    asked = how(batch)["teacher"]
    query = (
        select(Trace.prompt_id, Trace.teacher, func.count())  # pyright: ignore[reportCallIssue, reportArgumentType]
        .where(col(Trace.batch_id).in_(how(batch)["batches"]), *wanted(how(batch)["kind"], version_id))
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


def wanted(kind: str, version_id: int | None) -> list[Any]:
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


def how(batch: Batch) -> dict[str, Any]:
    """Return what was ordered. Raises KeyError for a batch whose prompts were asked."""
    if batch.rewrite is None:
        raise KeyError(f"batch {batch.id} holds no rewritten traces")
    return batch.rewrite
