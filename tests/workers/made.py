"""Traces made on the spot, as if a teacher had given them, and a version ordered over them."""

import time
from typing import Any

from sqlmodel import select

from service.models import Batch, BatchState, DatasetVersion, Job, Review, Trace, VerdictRow
from service.store import batches, datasets, teachers
from service.store.database import Database, insert_new
from tests.workers.help import prompt

WORDS = ("ant", "bee", "cow", "dog", "elk", "fox", "gnu", "hen", "ibis", "jay", "kite", "lion", "mole", "newt")


def add_batch(
    database: Database,
    prompts: list[dict[str, Any]],
    *,
    n: int = 2,
    teacher: str = "fake",
    licence: str = "apache-2.0",
    meta: dict[str, Any] | None = None,
    **changes: Any,
) -> str:
    """Store an ended batch with n answers to each prompt; the answers differ from prompt to prompt and are right."""
    values = {"name": teacher, "base_url": "http://127.0.0.1:9/v1", "model": f"maker/{teacher}", "license": licence}
    batch = Batch(teachers=[teacher], n=n, sampling={"temperature": 0.7}, state=BatchState.COMPLETED, meta=meta or {})
    with database.write() as session:
        teachers.register(session, values)
        session.add(batch)
    with database.write() as session:
        batch.prompts = batches.add_prompts(session, batch, prompts)
        session.merge(batch)
    with database.read() as session:
        ids = session.exec(select(batches.Prompt.id).where(batches.Prompt.batch_id == batch.id)).all()
    with database.write() as session:
        insert_new(
            session, Trace, [trace(batch.id, each, index, teacher) | changes for each in ids for index in range(n)]
        )
    return batch.id


def trace(batch_id: str, prompt_id: int, sample_index: int, teacher: str) -> dict[str, Any]:
    """A row of the trace table."""
    said = " ".join(WORDS[(prompt_id * 7 + place * (sample_index + 3)) % len(WORDS)] for place in range(24))
    return {
        "batch_id": batch_id,
        "prompt_id": prompt_id,
        "teacher": teacher,
        "sample_index": sample_index,
        "parent_id": None,
        "reasoning": f"Think of {prompt_id}: {said}.",
        "response": f"It is {prompt_id}, sample {sample_index}.",
        "finish_reason": "stop",
        "prompt_tokens": 9,
        "completion_tokens": 40,
        "reasoning_tokens": 30,
        "latency_ms": 5,
        "raw": b"",
        "created_at": time.time(),
    }


def questions(count: int, **changes: Any) -> list[dict[str, Any]]:
    """Prompts of which no two are alike."""
    return [prompt(number, f"Question {number}: how much is {number * 13}?", **changes) for number in range(count)]


def order(database: Database, name: str, batch_ids: list[str], filters: list[dict[str, Any]], **changes: Any) -> int:
    """Order a version, as the API does; return its id."""
    values: dict[str, Any] = {
        "batches": batch_ids,
        "recipe": {"filters": filters, "on_abstain": "keep"},
        "intended_use": "research",
        "split": {"eval": 0.2, "test": 0.2},
        "base": None,
        "overrides": [],
    }
    with database.write() as session:
        version, _ = datasets.order(session, name, f"{time.time_ns()}", values | changes)
        return version.id or 0


def version(database: Database, version_id: int) -> DatasetVersion:
    """Return a version as it is now."""
    with database.read() as session:
        found = session.get(DatasetVersion, version_id)
    assert found
    return found


def ledger(database: Database, version_id: int) -> dict[int, VerdictRow]:
    """Return the rows of a version's ledger by trace id."""
    with database.read() as session:
        rows = session.exec(select(VerdictRow).where(VerdictRow.version_id == version_id)).all()
    assert len({row.trace_id for row in rows}) == len(rows)
    return {row.trace_id: row for row in rows}


def trace_ids(database: Database, batch_id: str) -> list[int]:
    """Return the ids of a batch's traces in the order in which they are judged."""
    with database.read() as session:
        order_by = Trace.prompt_id, Trace.teacher, Trace.sample_index
        rows = session.exec(select(Trace.id).where(Trace.batch_id == batch_id).order_by(*order_by)).all()
    return [row or 0 for row in rows]


def review(database: Database, trace_id: int, outcome: str, **said: Any) -> None:
    """Note what a person says of a trace."""
    with database.write() as session:
        session.add(Review(trace_id=trace_id, outcome=outcome, author="kim", **said))


def job_of(database: Database, version_id: int) -> Job:
    """Return the job that curates a version."""
    with database.read() as session:
        jobs = session.exec(select(Job).where(Job.kind == "curate")).all()
    return next(job for job in jobs if job.payload["version_id"] == version_id)
