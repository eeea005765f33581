"""Asking teachers: every prompt ends stored or failed with its own reason, whatever the teacher does."""

import time
from collections import Counter

import orjson
import pytest
import zstandard
from sqlalchemy import event

from service.models import JobState
from service.store import batches, queue
from tests.workers.conftest import Fake
from tests.workers.help import (
    ON_POSTGRES,
    ON_SQLITE,
    check_accounts,
    counts,
    events,
    failures,
    jobs,
    numbered,
    state,
    submit,
    traces,
    waiting,
)

PASSING = [
    "rate_limited",
    "server_error",
    "overloaded",
    "dropped",
    "dropped_in_body",
    "truncated_body",
    "invalid_json",
    "wrong_shape",
    "fewer_choices",
    "no_choices",
    "empty_content",
    "null_content",
    "aborted",
    "hang",
]
"""Faults after which the same request may work."""
LASTING = {
    "rate_limited": "rate_limited",
    "server_error": "server_error",
    "overloaded": "overloaded",
    "dropped": "connection_lost",
    "dropped_in_body": "truncated_body",
    "truncated_body": "truncated_body",
    "invalid_json": "invalid_json",
    "wrong_shape": "wrong_shape",
    "no_choices": "empty_response",
    "empty_content": "empty_response",
    "aborted": "aborted",
    "hang": "timeout",
    "unauthorized": "unauthorized",
    "unknown_model": "unknown_model",
    "prompt_too_long": "prompt_too_long",
}
"""Faults that end a prompt, with the reason that its failure gives."""


def test_every_answer_is_stored_as_it_was_given(database, work, fake):
    batch = submit(database, fake.base_url, numbered(70), n=2)
    work(lambda: state(database, batch) == "completed")
    assert check_accounts(database, batch)["stored"] == 140
    trace = traces(database, batch)[0]
    message = orjson.loads(zstandard.decompress(trace.raw))["message"]
    assert (trace.reasoning, trace.response) == (message["reasoning"].strip("\n"), message["content"].strip("\n"))
    assert trace.finish_reason == "stop"
    assert trace.latency_ms is not None
    assert len(fake.calls()) == 70, "both answers come from one request"
    assert counts(database, batch)["prompt_tokens"] == sum(found.prompt_tokens for found in traces(database, batch)) / 2


def test_the_end_of_a_batch_is_told_once_however_many_workers_end_it(database, work, fake):
    batch = submit(database, fake.base_url, numbered(60), shard_prompts=5)
    work(lambda: state(database, batch) == "completed", workers=3)
    assert check_accounts(database, batch)["stored"] == 60
    assert events(database, batch, "batch.completed") == 1
    assert len(fake.calls()) == 60


@ON_SQLITE
def test_a_passing_fault_costs_an_attempt_and_no_answer(database, work, fake):
    fake.play(faults=[{"kind": kind, "match": f"<{kind}>", "tries": 1} for kind in PASSING])
    batch = submit(database, fake.base_url, [f"<{kind}> {number}" for kind in PASSING for number in (1, 2)], n=2)
    work(lambda: state(database, batch) == "completed")
    assert check_accounts(database, batch)["stored"] == 4 * len(PASSING)
    assert failures(database, batch) == []


@ON_SQLITE
def test_a_lasting_fault_ends_with_its_own_reason(database, work, fake):
    fake.play(faults=[{"kind": kind, "match": f"<{kind}>"} for kind in LASTING])
    batch = submit(database, fake.base_url, [*(f"<{kind}>" for kind in LASTING), "no fault"])
    work(lambda: state(database, batch) == "completed")
    assert check_accounts(database, batch)["stored"] == 1
    with database.read() as session:
        assert batches.reasons(session, batch) == Counter(LASTING.values())
    refused = {"unauthorized", "unknown_model", "prompt_too_long"}
    assert {failure.reason: failure.attempts for failure in failures(database, batch)} == {
        reason: 1 if reason in refused else 2 for reason in LASTING.values()
    }
    assert all(failure.detail for failure in failures(database, batch))


@ON_SQLITE
def test_answers_too_few_are_asked_for_again_and_then_fail(database, work, fake):
    fake.play(faults=[{"kind": "fewer_choices", "match": "always"}, {"kind": "more_choices", "match": "more"}])
    batch = submit(database, fake.base_url, ["always", "more"], n=4)
    work(lambda: state(database, batch) == "completed")
    assert check_accounts(database, batch)["failed"] > 0
    assert {failure.reason for failure in failures(database, batch)} <= {"wrong_n", "empty_response"}
    by_prompt = Counter(trace.prompt_id for trace in traces(database, batch))
    assert sorted(by_prompt.values())[-1] == 4, "more answers than asked for are left out"


@ON_SQLITE
def test_a_wait_that_the_teacher_asks_for_is_kept_and_holds_no_slot(database, work, fake):
    fake.play(faults=[{"kind": "rate_limited", "match": "later", "tries": 1, "retry_after_s": 1.5}])
    batch = submit(database, fake.base_url, ["later", *numbered(30)], max_concurrency=1)
    work(lambda: state(database, batch) == "completed")
    check_accounts(database, batch)
    calls = fake.calls()
    first, second = (call["time"] for call in calls if call["prompt"] == "later")
    assert second - first >= 1.5
    assert calls[-1]["prompt"] == "later", "the others did not wait for it"
    assert calls[-2]["time"] - first < 1.5


def test_a_teacher_that_is_down_makes_shards_wait_and_fails_nothing(database, work, tmp_path):
    fake = Fake(tmp_path / "calls.jsonl")
    fake.stop()
    batch = submit(database, fake.base_url, numbered(40), shard_prompts=10)

    work(lambda: waiting(database, batch) == {"teacher_down": 4})
    assert fake.base_url in jobs(database, batch)[0].detail
    assert check_accounts(database, batch)["pending"] == 40

    port = int(fake.base_url.split(":")[2].removesuffix("/v1"))
    fake = Fake(tmp_path / "calls.jsonl", port)
    try:
        work(lambda: state(database, batch) == "completed")
    finally:
        fake.stop()
    assert check_accounts(database, batch)["stored"] == 40


def test_a_teacher_without_its_key_makes_shards_wait(database, work, fake):
    batch = submit(database, fake.base_url, numbered(3))
    with database.write() as session:
        session.connection().exec_driver_sql("update teacher set api_key_env = 'RETORT_NO_SUCH_KEY'")
    work(lambda: waiting(database, batch) == {"no_key": 1})
    assert "RETORT_NO_SUCH_KEY" in jobs(database, batch)[0].detail
    assert check_accounts(database, batch)["pending"] == 3


def test_shards_of_a_busy_teacher_do_not_hold_up_another_one(database, work, fake):
    fake.play(latency_ms=300)
    slow = submit(database, fake.base_url, numbered(200), shard_prompts=4, max_concurrency=2, names=("slow",))
    other = submit(database, fake.base_url, numbered(4), names=("other",))
    work(lambda: state(database, other) == "completed", within_s=10)
    assert counts(database, slow)["stored"] < 40


def test_cancelling_stops_the_asking_and_keeps_what_came(database, work, fake):
    fake.play(latency_ms=50)
    batch = submit(database, fake.base_url, numbered(400), max_concurrency=4)

    def cancelled() -> bool:
        if counts(database, batch)["stored"] < 20:
            return False
        with database.write() as session:
            batches.cancel(session, batch)
        return True

    work(cancelled)
    at_cancel = check_accounts(database, batch)
    assert at_cancel["cancelled"] == 400 - at_cancel["stored"] - at_cancel["failed"] > 0
    assert len(fake.calls()) - at_cancel["stored"] <= 32 + 2 * 4
    assert {job.state for job in jobs(database, batch)} <= {JobState.CANCELLED, JobState.DONE}


def test_a_lost_lease_stops_the_shard_and_writes_nothing_more(database, work, fake):
    fake.play(latency_ms=400)
    batch = submit(database, fake.base_url, numbered(40), max_concurrency=4)

    def taken_over() -> bool:
        if not fake.calls():
            return False
        with database.write() as session:
            session.connection().exec_driver_sql("update job set attempts = attempts + 1")
        time.sleep(1.5)
        return True

    work(taken_over)
    assert traces(database, batch) == []
    assert len(fake.calls()) <= 3 * 4


def test_failed_answers_are_asked_for_again_after_a_retry(database, work, fake):
    fake.play(faults=[{"kind": "unauthorized", "match": "plus 7"}])
    batch = submit(database, fake.base_url, numbered(30))
    work(lambda: state(database, batch) == "completed")
    failed = check_accounts(database, batch)["failed"]
    assert failed > 0
    fake.play()
    with database.write() as session:
        batches.retry(session, batch)
    work(lambda: state(database, batch) == "completed")
    assert check_accounts(database, batch)["stored"] == 30
    assert len(fake.calls()) == failed


@ON_SQLITE
def test_a_seed_moves_on_with_the_sample(database, work, fake):
    fake.play(faults=[{"kind": "fewer_choices", "tries": 1}])
    batch = submit(database, fake.base_url, ["once"], n=4, sampling={"seed": 7})
    work(lambda: state(database, batch) == "completed")
    assert len({trace.response for trace in traces(database, batch)}) == 4


def test_text_that_no_database_holds_is_stored_all_the_same(database, work, fake):
    fake.play(answers=[{"match": ".", "responses": ["a\x00b"]}])
    batch = submit(database, fake.base_url, ["nul"])
    work(lambda: state(database, batch) == "completed")
    trace = traces(database, batch)[0]
    assert trace.response == "a\ufffdb"
    assert orjson.loads(zstandard.decompress(trace.raw))["message"]["content"] == "a\x00b"


@ON_POSTGRES
def test_a_database_that_drops_its_connections_costs_no_answer(database, work, fake):
    fake.play(latency_ms=20)
    batch = submit(database, fake.base_url, numbered(150), shard_prompts=50)
    at = [30, 60, 90]

    def done() -> bool:
        if at and counts(database, batch)["stored"] >= at[0]:
            at.pop(0)
            with database.read() as session:
                session.connection().exec_driver_sql(
                    "select pg_terminate_backend(pid) from pg_stat_activity "
                    "where datname = current_database() and pid <> pg_backend_pid()"
                )
        return state(database, batch) == "completed"

    work(done)
    assert at == []
    assert check_accounts(database, batch)["stored"] == 150
    assert len(fake.calls()) == 150, "what could not be stored at once waited in memory"


@pytest.mark.parametrize("shard_prompts", [1, 7])
def test_shards_of_any_size_cover_all_prompts(database, work, fake, shard_prompts):
    batch = submit(database, fake.base_url, numbered(15), shard_prompts=shard_prompts, names=("one", "two"))
    work(lambda: state(database, batch) == "completed")
    assert check_accounts(database, batch)["stored"] == 30
    with database.read() as session:
        assert queue.unfinished(session, batch) == 0


def test_a_full_teacher_costs_no_claims(database, work, fake):
    claims = []

    def count(_connection, _cursor, statement, *_):
        if "lease_until" in statement and "RETURNING" in statement:
            claims.append(statement)

    event.listen(database.engine, "before_cursor_execute", count)
    fake.play(latency_ms=100)
    batch = submit(database, fake.base_url, numbered(96), shard_prompts=16, max_concurrency=2)
    work(lambda: state(database, batch) == "completed")
    # Six shards, and a look a second for other teachers' work: not one whenever an answer makes room.
    assert 6 <= len(claims) < 60


@ON_SQLITE
def test_tokens_are_counted_although_the_teacher_came_up_late(database, work, tmp_path):
    fake = Fake(tmp_path / "calls.jsonl")
    fake.stop()
    batch = submit(database, fake.base_url, numbered(5), n=3)
    work(lambda: waiting(database, batch) == {"teacher_down": 1})
    fake = Fake(tmp_path / "calls.jsonl", int(fake.base_url.split(":")[2].removesuffix("/v1")))
    try:
        work(lambda: state(database, batch) == "completed")
    finally:
        fake.stop()
    assert all(trace.completion_tokens for trace in traces(database, batch))
