"""The same file again, after a batch of it was cancelled or expired: only what is missing is asked."""

import time

import pytest
from openai.types import Batch

from service.models import Batch as Row
from service.store import batches
from tests.service.openai.conftest import change, ended, jsonl, line, post, rows, store, strict, wait_for

LINES = [line(f"id-{number}", f"{number} + 1 = ?") for number in range(9)]
WINDOW = {"endpoint": "/v1/chat/completions", "completion_window": "24h"}


@pytest.fixture
def file(sdk, fake) -> str:
    return sdk.files.create(file=("prompts.jsonl", jsonl(*LINES)), purpose="batch").id


def answers(found: dict) -> dict[str, str]:
    return {name: row["response"]["body"]["choices"][0]["message"]["content"] for name, row in found.items()}


@pytest.mark.parametrize("how", ["cancelled", "expired"])
def test_only_what_is_missing_is_asked_and_the_output_is_whole(sdk, fake, worker, database, file, how):
    first = sdk.batches.create(input_file_id=file, **WINDOW)
    for nth in range(4):
        store(database, first.id, 0, nth)
    if how == "expired":
        change(database, first.id, expires_at=time.time() - 1)
    else:
        sdk.batches.cancel(first.id)
    assert sdk.batches.retrieve(first.id).status == how
    second = strict(Batch, sdk.batches.with_raw_response.create(input_file_id=file, **WINDOW))
    assert second.id != first.id
    assert second.retort == {"continues": first.id}
    assert second.request_counts.completed == 4, "known from the start"
    assert set(rows(sdk, second.output_file_id)) == {"id-0", "id-1", "id-2", "id-3"}
    worker()
    done = ended(sdk, second.id)
    assert done.request_counts.model_dump() == {"total": 9, "completed": 9, "failed": 0}
    found = answers(rows(sdk, done.output_file_id))
    assert set(found) == {f"id-{number}" for number in range(9)}
    assert [found[f"id-{number}"] for number in range(4)] == ["4"] * 4, "the answers that were there"
    assert len(fake.calls()) == 5
    assert done.usage.output_tokens == sum(
        row["response"]["body"]["usage"]["completion_tokens"]
        for row in rows(sdk, done.output_file_id).values()
        if row["response"]["body"]["usage"]
    ), "what the first batch cost stays with it"
    assert sdk.batches.retrieve(first.id).request_counts.completed == 4, "the first one keeps what it had"


def test_the_same_content_under_another_file_id_goes_on_too(sdk, database, file):
    first = sdk.batches.create(input_file_id=file, **WINDOW)
    store(database, first.id, 0)
    sdk.batches.cancel(first.id)
    sdk.files.delete(file)
    again = sdk.files.create(file=("renamed.jsonl", jsonl(*LINES)), purpose="batch").id
    assert sdk.batches.create(input_file_id=again, **WINDOW).request_counts.completed == 1


def test_who_wants_everything_anew_says_so(sdk, database, file):
    first = sdk.batches.create(input_file_id=file, **WINDOW)
    store(database, first.id, 0)
    sdk.batches.cancel(first.id)
    anew = sdk.batches.create(input_file_id=file, **WINDOW, extra_body={"retort": {"resume": False}})
    assert (anew.request_counts.completed, anew.retort) == (0, None)
    assert sdk.batches.create(input_file_id=file, **WINDOW).request_counts.completed == 0, "the newest one runs"


def test_after_a_batch_that_ended_well_everything_is_asked_anew(sdk, fake, worker, file):
    worker()
    first = ended(sdk, sdk.batches.create(input_file_id=file, **WINDOW).id)
    again = ended(sdk, sdk.batches.create(input_file_id=file, **WINDOW).id)
    assert (again.retort, first.retort) == (None, None)
    assert len(fake.calls()) == 18


def test_other_content_takes_nothing_over(sdk, database, file):
    first = sdk.batches.create(input_file_id=file, **WINDOW)
    store(database, first.id, 0)
    sdk.batches.cancel(first.id)
    other = sdk.files.create(file=("prompts.jsonl", jsonl(*LINES[:8])), purpose="batch").id
    assert sdk.batches.create(input_file_id=other, **WINDOW).request_counts.completed == 0


def test_a_chain_of_cancelled_batches_loses_nothing(sdk, database, file, server):
    for nth in range(3):
        batch = sdk.batches.create(input_file_id=file, **WINDOW)
        assert batch.request_counts.completed == nth
        store(database, batch.id, 0, nth)
        sdk.batches.cancel(batch.id)
    counts = post(server.url, f"/api/batches/{batch.id}", method="GET").json()["counts"]
    assert counts["stored"] == 3
    with database.read() as session:
        assert session.get(Row, batch.id).continues
        assert batches.counts(session, session.get(Row, batch.id))["stored"] == 3


def test_several_teachers_and_answers_are_taken_over_shard_by_shard(sdk, fake, worker, database):
    names = ("tiny", "small")
    lines = [line(f"{name}-{n}", f"{n} of five", body={"model": name, "n": 2}) for n in range(5) for name in names]
    file = sdk.files.create(file=("prompts.jsonl", jsonl(*lines)), purpose="batch").id
    fake.play(faults=[{"kind": "hang", "match": "4 of five"}])
    worker()
    first = sdk.batches.create(input_file_id=file, **WINDOW)
    wait_for(lambda: sdk.batches.retrieve(first.id).request_counts.completed == 8)
    sdk.batches.cancel(first.id)
    fake.play()
    second = ended(sdk, sdk.batches.create(input_file_id=file, **WINDOW).id)
    assert second.request_counts.completed == 10
    assert [call["n"] for call in fake.calls()] == [2, 2]
    assert all(len(row["response"]["body"]["choices"]) == 2 for row in rows(sdk, second.output_file_id).values())


def test_a_wish_that_nobody_knows_is_refused(refusing):
    answer = post(refusing[0].base_url, "batches", json={"input_file_id": "file-no", **WINDOW, "retort": {"resme": 1}})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "retort.resme")
