"""Deleting: refused where something stands on it, and without a trace elsewhere."""

import pytest
from fastapi.testclient import TestClient
from sqlmodel import func, select

from service.app import create_app
from service.models import Batch, Job, JobKind, Prompt, Review, Run, Trace, VerdictRow, VersionState
from service.store import removal
from tests.workers.made import add_batch, order, questions, review, trace_ids, version


@pytest.fixture
def client(settings):
    with TestClient(create_app(settings), base_url="http://127.0.0.1:8080") as running:
        yield running


@pytest.fixture
def sealed(database, work):
    def make(*batches) -> int:
        version_id = order(database, "sums", list(batches), [{"kind": "length"}])
        work(lambda: version(database, version_id).state != VersionState.CURATING, kinds={JobKind.CURATE})
        return version_id

    return make


def count(database, table) -> int:
    with database.read() as session:
        return session.exec(select(func.count()).select_from(table)).one()


def refused(answer) -> str:
    assert answer.status_code == 409
    return answer.json()["detail"]


def test_a_version_goes_unless_something_was_made_from_it_and_its_number_stays_taken(
    database, client, sealed, settings, monkeypatch
):
    monkeypatch.setattr(removal, "LEDGER_ROWS", 5)
    batch = add_batch(database, questions(6))
    folder = settings.data_dir / version(database, version_id := sealed(batch)).path
    with database.write() as session:
        session.add(Run(id="run_1", dataset="sums", version=1, method="sft", student="tiny"))
        session.add(Batch(id="batch_new", rewrite={"version": "sums@1", "batches": [batch]}))
    assert "run_1" in refused(client.delete("/api/datasets/sums/versions/1"))
    with database.write() as session:
        session.delete(session.get(Run, "run_1"))
    assert "batch_new" in refused(client.delete("/api/datasets/sums/versions/1"))
    assert (folder.is_dir(), count(database, VerdictRow)) == (True, 12)
    with database.write() as session:
        session.delete(session.get(Batch, "batch_new"))
    assert [client.delete("/api/datasets/sums/versions/1").status_code for _ in range(2)] == [204, 204]
    assert (folder.exists(), count(database, VerdictRow)) == (False, 0)
    assert version(database, version_id).state == VersionState.DELETED
    assert "deleted" in refused(client.get("/api/datasets/sums/versions/1/download"))
    assert version(database, sealed(batch)).number == 2


def test_a_batch_goes_with_its_traces_unless_a_version_holds_it(database, client, sealed, monkeypatch):
    monkeypatch.setattr(removal, "PROMPT_ROWS", 4)
    batch, other = add_batch(database, questions(6)), add_batch(database, questions(2))
    review(database, trace_ids(database, batch)[0], "keep")
    sealed(batch, other)
    assert "sums@1" in refused(client.delete(f"/api/batches/{batch}"))
    client.delete("/api/datasets/sums/versions/1")
    with database.write() as session:
        session.add(Job(kind=JobKind.RESCORE, subject=batch))
    assert "still at" in refused(client.delete(f"/api/batches/{batch}"))
    with database.write() as session:
        session.delete(session.exec(select(Job).where(Job.subject == batch)).one())
    assert client.delete(f"/api/batches/{batch}").status_code == 204
    assert client.get(f"/api/batches/{batch}").status_code == 404
    assert [count(database, table) for table in (Batch, Prompt, Trace, Review)] == [1, 2, 4, 0]
