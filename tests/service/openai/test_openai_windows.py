"""Batches whose completion window closes: what is there stays, the rest has failed, and may be asked again."""

import time

import pytest
from openai.types import Batch

from service.store import batches, completions, queue
from tests.service.openai.conftest import change, ended, line, post, rows, store, strict, submit, wait_for


def test_what_is_pending_when_the_window_closes_has_failed(sdk, teacher, database):
    batch = submit(sdk, line("done"), line("half", body={"n": 2}), line("pending"), completion_window="1h")
    assert batch.expires_at - batch.created_at == pytest.approx(3600, abs=1)
    store(database, batch.id, 0)
    store(database, batch.id, 0, nth=1)
    assert sdk.batches.retrieve(batch.id).status == "in_progress"
    change(database, batch.id, expires_at=time.time() - 1)
    expired = strict(Batch, sdk.batches.with_raw_response.retrieve(batch.id))
    assert (expired.status, expired.completed_at) == ("expired", None)
    assert expired.expired_at == expired.finalizing_at >= expired.created_at
    assert expired.request_counts.model_dump() == {"total": 3, "completed": 1, "failed": 2}
    assert set(rows(sdk, expired.output_file_id)) == {"done"}
    found = rows(sdk, expired.error_file_id)
    assert {name: row["error"]["code"] for name, row in found.items()} == dict.fromkeys(
        ("half", "pending"), "batch_expired"
    )
    assert "1 of 2 answers came" in found["half"]["error"]["message"]
    with database.read() as session:
        counts = batches.counts(session, batches.get(session, batch.id))
    assert {name: counts[name] for name in ("total", "stored", "failed", "cancelled", "pending")} == {
        **{"total": 4, "stored": 2, "failed": 2},
        **{"cancelled": 0, "pending": 0},
    }


def test_a_worker_that_holds_a_shard_when_it_expires_stores_nothing_more(sdk, teacher, database):
    batch = submit(sdk, line("a"))
    with database.write() as session:
        (job,) = queue.claim(session, ["generate"], worker="w", lease_s=60)
    change(database, batch.id, expires_at=time.time() - 1)
    assert completions.expire_due(database) == 1
    with pytest.raises(queue.LeaseLost), database.write() as session:
        queue.keep(session, job, lease_s=60, stored=1)
    assert completions.expire_due(database) == 0


def test_a_worker_notices_that_a_batch_expired(sdk, teacher, worker, database):
    batch = submit(sdk, line("a"))
    change(database, batch.id, expires_at=time.time() - 1)
    worker()

    def state() -> str:
        with database.read() as session:
            return batches.get(session, batch.id).state

    assert wait_for(lambda: state() == "expired")


def test_an_expired_batch_can_be_asked_again_in_a_new_window(sdk, fake, worker, database, server):
    batch = submit(sdk, line("a"), completion_window="2h")
    change(database, batch.id, expires_at=time.time() - 1, in_progress_at=time.time() - 7201)
    assert sdk.batches.retrieve(batch.id).status == "expired"
    worker()
    assert post(server.url, f"/api/batches/{batch.id}/retry").status_code == 200
    done = ended(sdk, batch.id)
    assert done.expires_at == pytest.approx(time.time() + 7200, abs=30)
    assert (set(rows(sdk, done.output_file_id)), done.error_file_id) == ({"a"}, None)
