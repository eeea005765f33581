"""What tests of workers do with the database: submit a batch, and count what became of it."""

from collections import Counter
from typing import Any

import pytest
from sqlalchemy import text
from sqlmodel import select

from service.models import Batch, Failure, Job, Trace
from service.store import batches, teachers
from service.store.database import Database

ON_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
ON_POSTGRES = pytest.mark.parametrize("database", [pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True)
"""For tests of what has nothing to do with the database: once is enough."""


def submit(
    database: Database,
    base_url: str,
    texts: list[str],
    *,
    n: int = 1,
    shard_prompts: int = 64,
    max_concurrency: int = 16,
    names: tuple[str, ...] = ("fake",),
    sampling: dict[str, Any] | None = None,
    replicas: tuple[str, ...] = (),
    rows: list[dict[str, Any]] | None = None,
    **wanted: int,
) -> str:
    """Register the teachers and submit one prompt for each text; return the batch's id."""
    for name in names:
        values = {"name": name, "base_url": base_url, "model": "fake", "license": "apache-2.0"}
        with database.write() as session:
            teachers.register(session, values | {"max_concurrency": max_concurrency, "replicas": list(replicas)})
    batch = Batch(teachers=list(names), n=n, sampling=sampling or {"temperature": 1.0}, **wanted)
    with database.write() as session:
        session.add(batch)
    with database.write() as session:
        prompts = rows or [prompt(key, said) for key, said in enumerate(texts)]
        batch.prompts = batches.add_prompts(session, batch, prompts)
    with database.write() as session:
        batches.open_for_work(session, session.merge(batch), shard_prompts=shard_prompts)
    return batch.id


def prompt(key: int, said: str, **changes: Any) -> dict[str, Any]:
    """A row of the prompt table."""
    return {
        "key": str(key),
        "line": key + 1,
        "messages": [{"role": "user", "content": said}],
        "reference": None,
        "verifier": None,
        "category": "sums",
        "source": "test",
        "license": "mit",
    } | changes


def numbered(count: int) -> list[str]:
    """Different prompts."""
    return [f"What is {number} plus {number * 7 % 91}?" for number in range(count)]


def state(database: Database, batch_id: str) -> str:
    """Return a batch's state."""
    with database.read() as session:
        return str(batches.get(session, batch_id).state)


def counts(database: Database, batch_id: str) -> dict[str, int]:
    """Return a batch's counts as the API shows them."""
    with database.read() as session:
        return batches.counts(session, batches.get(session, batch_id))


def waiting(database: Database, batch_id: str) -> dict[str, int]:
    """Return for which reasons shards wait."""
    with database.read() as session:
        return batches.waiting(session, batch_id)


def jobs(database: Database, batch_id: str) -> list[Job]:
    """Return the shards of a batch."""
    with database.read() as session:
        return session.exec(select(Job).where(Job.subject == batch_id).order_by(Job.id)).all()


def events(database: Database, subject: str, kind: str) -> int:
    """Return how often something was told of a subject."""
    query = text("select count(*) from event where subject = :subject and kind = :kind")
    with database.read() as session:
        return session.connection().scalar(query, {"subject": subject, "kind": kind}) or 0


def traces(database: Database, batch_id: str) -> list[Trace]:
    """Return the traces of a batch by prompt and sample."""
    with database.read() as session:
        found = session.exec(select(Trace).where(Trace.batch_id == batch_id)).all()
    return sorted(found, key=lambda trace: (trace.prompt_id, trace.teacher, trace.sample_index))


def failures(database: Database, batch_id: str) -> list[Failure]:
    """Return the failures of a batch."""
    with database.read() as session:
        return session.exec(select(Failure).where(Failure.batch_id == batch_id)).all()


def check_accounts(database: Database, batch_id: str) -> dict[str, int]:
    """Check that every answer asked for is stored, failed, cancelled or pending, exactly once, and counted so."""
    found = check_counts(database, batch_id)
    with database.read() as session:
        batch = batches.get(session, batch_id)
    assert found["total"] == batch.prompts * batch.n * len(batch.teachers)
    return found


def check_counts(database: Database, batch_id: str) -> dict[str, int]:
    """Check the same where prompts may end before all of their answers were asked for."""
    with database.read() as session:
        batch = batches.get(session, batch_id)
    ended = [*traces(database, batch_id), *failures(database, batch_id)]
    asks = Counter((row.prompt_id, row.teacher, row.sample_index) for row in ended)
    assert all(count == 1 for count in asks.values()), "an answer is there twice"
    assert all(0 <= sample_index < batch.n for _, _, sample_index in asks)
    found = counts(database, batch_id)
    assert found["stored"] == len(traces(database, batch_id))
    assert found["failed"] == len(failures(database, batch_id))
    assert found["total"] == found["stored"] + found["failed"] + found["cancelled"] + found["pending"]
    return found
