"""Soft labels: kept as they come with an answer, and added to old traces by showing those to the teacher again."""

import numpy as np
import orjson
import pytest
import zstandard
from sqlmodel import select

from service import curation
from service.api.shapes.datasets import VersionIn
from service.caller import Caller
from service.errors import Conflict, NotFound
from service.models import Job, JobKind, SoftLabels, Trace
from service.scopes import Scope
from service.soft_labels import TopK, unpack
from service.store import batches, rescoring, soft_labels, teachers
from tests.workers.conftest import Fake
from tests.workers.help import ON_SQLITE, numbered, prompt, state, submit, traces, waiting
from tests.workers.made import add_batch

ALL = {JobKind.GENERATE, JobKind.RESCORE}
SHA = "a" * 64


def rows(database, batch_id):
    with database.read() as session:
        query = select(SoftLabels).where(SoftLabels.batch_id == batch_id).order_by(SoftLabels.trace_id)
        return session.exec(query).all()


def order(database, batch_id, k=4, teacher=None, shard_prompts=5):
    with database.write() as session:
        rescoring.order(session, batch_id, k=k, teacher=teacher, shard_prompts=shard_prompts)


def progress(database, batch_id):
    with database.read() as session:
        return rescoring.progress(session, batch_id)


def done(database, batch_id):
    return lambda: progress(database, batch_id)["unfinished"] == 0


def answered(database, work, fake, texts, **options):
    """A batch with all its answers."""
    batch = submit(database, fake.base_url, texts, **options)
    work(lambda: state(database, batch) == "completed")
    return batch


def test_labels_are_kept_with_the_answers_and_not_a_second_time_in_the_raw_message(database, work, fake):
    batch = submit(database, fake.base_url, numbered(20), n=2, sampling={"top_logprobs": 5})
    with database.write() as session:
        teachers.get(session, "fake").tokenizer_sha256 = SHA
    work(lambda: state(database, batch) == "completed")
    found = rows(database, batch)
    stored = traces(database, batch)
    assert {row.trace_id for row in found} == {trace.id for trace in stored}
    assert {(row.k, row.source, row.tokenizer_sha256, row.reason) for row in found} == {(5, "sampled", SHA, "")}
    assert {row.trace_id: row.tokens for row in found} == {trace.id: trace.completion_tokens for trace in stored}
    labels = unpack(found[0].data)
    assert (labels.logprobs[:, 0] > labels.logprobs[:, 1]).all()
    assert "logprobs" not in orjson.loads(zstandard.decompress(stored[0].raw))
    with database.read() as session:
        assert soft_labels.sampled(session, batch) == (40, sum(len(row.data) for row in found))
        assert soft_labels.reasons(session, batch) == {}


@ON_SQLITE
def test_logprobs_by_text_alone_become_no_labels_and_say_why(database, work, fake):
    sampling = {"logprobs": True, "top_logprobs": 3}
    batch = answered(database, work, fake, numbered(3), sampling=sampling)
    assert [(row.k, row.reason) for row in rows(database, batch)] == [(0, "no_token_ids")] * 3
    raw = orjson.loads(zstandard.decompress(traces(database, batch)[0].raw))
    assert len(raw["logprobs"]["content"][0]["top_logprobs"]) == 3
    with database.read() as session, pytest.raises(NotFound, match=r"unavailable \(no token ids\)"):
        soft_labels.get(session, traces(database, batch)[0].id)


def test_old_traces_get_the_labels_that_they_would_have_had(database, work, fake):
    texts = numbered(20)
    sampled = answered(database, work, fake, texts, n=2, sampling={"top_logprobs": 6})
    old = answered(database, work, fake, texts, n=2)
    assert rows(database, old) == []
    order(database, old, k=6)
    assert progress(database, old) == {
        "total": 40, "stored": 0, "failed": 0, "pending": 40, "unfinished": 4, "bytes": 0
    }  # fmt: skip
    work(done(database, old), kinds=ALL, workers=2)
    assert progress(database, old)["stored"] == 40
    assert {row.source for row in rows(database, old)} == {"rescored"}
    by_trace = {row.trace_id: unpack(row.data) for row in [*rows(database, sampled), *rows(database, old)]}
    for then, later in zip(traces(database, sampled), traces(database, old), strict=True):
        a, b = by_trace[then.id], by_trace[later.id]
        assert np.array_equal(a.ids, b.ids)
        assert np.allclose(a.logprobs, b.logprobs, atol=1e-3)


def test_labels_that_came_later_make_the_same_curation_another_version(database, work, fake):
    batch = answered(database, work, fake, numbered(2))
    recipe = {"filters": [{"kind": "licence", "use": "research"}]}
    wish = VersionIn(name="sums", batches=[batch], recipe=recipe, intended_use="research")
    somebody = Caller(Scope.SUBMIT, "tester", None, "")
    assert [curation.order(database, wish, somebody)[0].number for _ in range(2)] == [1, 1]
    order(database, batch)
    work(done(database, batch), kinds=ALL)
    assert [curation.order(database, wish, somebody)[0].number for _ in range(2)] == [2, 2]


def test_a_second_order_finds_nothing_to_do_and_leaves_the_counts_of_the_batch_alone(database, work, fake):
    batch = answered(database, work, fake, numbered(8))
    with database.read() as session:
        before = batches.counts(session, batches.get(session, batch))
    order(database, batch)
    with pytest.raises(Conflict, match="under way already"):
        order(database, batch)
    work(done(database, batch), kinds=ALL)
    order(database, batch)
    assert progress(database, batch) == progress(database, batch) | {"total": 8, "stored": 8, "unfinished": 0}
    assert len([call for call in fake.calls() if call["prompt"] == "score"]) == 8
    with database.read() as session:
        assert batches.counts(session, batches.get(session, batch)) == before


@ON_SQLITE
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"completion_tokens": 4}, "retokenized_differently"),
        ({"completion_tokens": None}, "token_count_unknown"),
        ({"prompt_tokens": 3}, "prompt_retokenized_differently"),
        ({"raw": b""}, "no_text"),
    ],
)
def test_a_trace_whose_tokens_cannot_be_told_gets_none_and_a_reason(database, work, fake, changes, reason):
    batch = answered(database, work, fake, numbered(2))
    first, second = traces(database, batch)
    with database.write() as session:
        session.merge(Trace(**first.model_dump() | changes))
    order(database, batch)
    work(done(database, batch), kinds=ALL)
    assert {row.trace_id: row.reason for row in rows(database, batch)} == {first.id: reason, second.id: ""}
    with database.read() as session:
        assert soft_labels.reasons(session, batch) == {reason: 1}

    with database.write() as session:
        session.merge(first)
    order(database, batch)
    work(done(database, batch), kinds=ALL)
    assert [row.reason for row in rows(database, batch)] == ["", ""], "it is tried again when asked again"
    assert progress(database, batch) | {"bytes": 0} == {
        "total": 2, "stored": 2, "failed": 0, "pending": 0, "unfinished": 0, "bytes": 0
    }  # fmt: skip


@ON_SQLITE
@pytest.mark.parametrize("era", ["reasoning", "reasoning_content", "inline", "closing_tag"])
def test_the_answer_is_put_together_as_the_teacher_wrote_it(database, work, fake, era):
    fake.play(era=era)
    batch = answered(database, work, fake, numbered(4), n=2)
    order(database, batch)
    work(done(database, batch), kinds=ALL)
    assert [row.reason for row in rows(database, batch)] == [""] * 8


@ON_SQLITE
def test_token_ids_that_were_kept_are_used_as_they_are(database, work, fake):
    batch = answered(database, work, fake, numbered(3), sampling={"return_token_ids": True})
    stored = traces(database, batch)[0]
    raw = orjson.loads(zstandard.decompress(stored.raw))
    raw["token_ids"] = list(range(100, 100 + stored.completion_tokens))
    with database.write() as session:
        session.merge(Trace(**stored.model_dump() | {"raw": zstandard.compress(orjson.dumps(raw))}))
    order(database, batch)
    work(done(database, batch), kinds=ALL)
    scored = next(row for row in rows(database, batch) if row.trace_id == stored.id)
    assert unpack(scored.data).ids[:, 0].tolist() == raw["token_ids"]


def test_a_teacher_that_is_down_makes_scoring_wait_and_fails_nothing(database, work, fake, tmp_path):
    batch = answered(database, work, fake, numbered(6))
    down = Fake(tmp_path / "calls.jsonl")
    down.stop()
    with database.write() as session:
        teachers.get(session, "fake").base_url = down.base_url
    order(database, batch)
    work(lambda: waiting(database, rescoring.subject(batch)) == {"teacher_down": 2}, kinds=ALL)
    assert progress(database, batch)["pending"] == 6
    with database.write() as session:
        teachers.get(session, "fake").base_url = fake.base_url
    work(done(database, batch), kinds=ALL)
    assert progress(database, batch)["stored"] == 6


@ON_SQLITE
def test_a_passing_fault_costs_an_attempt_and_a_lasting_one_is_the_reason(database, work, fake):
    batch = answered(database, work, fake, numbered(3))
    fake.play(faults=[{"kind": "server_error", "requests": None, "tries": 2, "match": "score"}])
    order(database, batch)
    work(done(database, batch), kinds=ALL)
    assert progress(database, batch)["stored"] >= 1
    with database.read() as session:
        assert set(soft_labels.reasons(session, batch)) <= {"server_error"}


def test_a_job_taken_over_goes_on_where_it_was_and_stores_nothing_twice(database, work, fake):
    batch = answered(database, work, fake, numbered(80), shard_prompts=100)
    order(database, batch, shard_prompts=100)
    fake.play(latency_ms=100)

    def taken_over() -> bool:
        if progress(database, batch)["stored"] < 32:
            return False
        with database.write() as session:
            session.connection().exec_driver_sql(
                "update job set attempts = attempts + 1, lease_until = 0 where kind = 'rescore'"
            )
        return True

    work(taken_over, kinds=ALL)
    fake.play()
    work(done(database, batch), kinds=ALL)
    assert progress(database, batch) == progress(database, batch) | {"total": 80, "stored": 80, "failed": 0}
    assert len(rows(database, batch)) == 80


def test_another_teacher_may_score_unless_its_tokenizer_is_known_to_be_another(database, work, fake):
    batch = answered(database, work, fake, numbered(3))
    with database.write() as session:
        teachers.get(session, "fake").tokenizer_sha256 = SHA
        values = {"name": "other", "base_url": fake.base_url, "model": "fake", "tokenizer_sha256": "b" * 64}
        teachers.register(session, values)
    with pytest.raises(Conflict, match="another tokenizer"):
        order(database, batch, teacher="other")
    with database.write() as session:
        teachers.get(session, "other").tokenizer_sha256 = SHA
    order(database, batch, teacher="other")
    work(done(database, batch), kinds=ALL)
    assert {(row.teacher, row.tokenizer_sha256) for row in rows(database, batch)} == {("other", SHA)}


@ON_SQLITE
def test_a_batch_that_is_not_done_is_not_scored(database, fake):
    batch = submit(database, fake.base_url, numbered(3))
    with pytest.raises(Conflict, match="in_progress"):
        order(database, batch)


@ON_SQLITE
def test_labels_are_read_by_trace_for_an_export(database, work, fake):
    batch = answered(database, work, fake, numbered(3), sampling={"top_logprobs": 2})
    ids = [trace.id for trace in traces(database, batch)]
    with database.read() as session:
        found = soft_labels.read(session, [*ids, 10**6])
    assert found.keys() == set(ids)
    row, labels = found[ids[0]]
    assert isinstance(labels, TopK)
    assert labels.ids.shape == (row.tokens, 2)


def test_an_answer_that_another_worker_stored_first_gets_no_labels_of_a_text_it_does_not_hold(database):
    batch = add_batch(database, [prompt(0, "x")], n=1)
    stored = traces(database, batch)[0]
    theirs = {"prompt_id": stored.prompt_id, "sample_index": 0, "created_at": stored.created_at + 1}
    with database.write() as session:
        kept = soft_labels.keep(session, batch, "fake", [theirs | soft_labels.missing_row("no_token_ids")])
        assert (kept, session.exec(select(Job)).all()) == ((0, 0), [])
    assert rows(database, batch) == []
