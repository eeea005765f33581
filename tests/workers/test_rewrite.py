"""Rewriters: new traces with a parent, in a batch of their own; the old ones stay as they are."""

import pytest

from service.errors import Conflict, Problem
from service.models import JobKind
from service.rewrites import Kind
from service.store import batches, datasets, rewrites, teachers
from tests.workers.conftest import Fake
from tests.workers.help import ON_SQLITE, check_counts, counts, failures, prompt, state, submit, traces, waiting
from tests.workers.made import add_batch, order, questions, review, trace_ids, version

REWRITE = {JobKind.REWRITE}
LONG = "First take twelve. Then add thirty, because the question says so. " * 3 + "Twelve and thirty is 12 + 30 = 42."
SHORT = "Take twelve, then add thirty: 12 + 30 = 42."


@pytest.fixture
def batch(database):
    """An ended batch of two answers to each of three prompts."""
    return add_batch(database, questions(3, reference="42", meta={"level": 3}), reasoning=LONG, response="It is 42.")


def begin(database, source, kind=Kind.COMPACT, shard_prompts=2, key=None, digest="", **changes):
    """Order a rewriting by the teacher `short`; return the new batch's id."""
    options = {"instruction": None, "share_max": 0.9}
    how = {"batch_id": source, "teacher": "short" if kind is Kind.COMPACT else None, "sampling": {"max_tokens": 500}}
    how |= {"options": options, "idempotency_key": key, "digest": digest, "shard_prompts": shard_prompts}
    with database.write() as session:
        made, _ = rewrites.order(session, kind, **how | changes)
        return made.id


def register(database, base_url, licence="mit"):
    with database.write() as session:
        values = {"name": "short", "base_url": base_url, "model": "fake", "license": licence}
        teachers.register(session, values)


def scripted(response, reasoning="", **more):
    return {"answers": [{"match": "Question", "responses": [response], "reasoning": reasoning}], **more}


def done(database, batch_id):
    return lambda: state(database, batch_id) == "completed"


def test_a_teacher_shortens_the_reasoning_into_a_trace_with_a_parent(database, work, fake, batch):
    register(database, fake.base_url)
    fake.play(**scripted(SHORT))
    new = begin(database, batch)
    work(done(database, new), kinds=REWRITE, workers=2)
    old, short = traces(database, batch), sorted(traces(database, new), key=lambda trace: trace.parent_id)
    assert check_counts(database, new)["stored"] == 6
    assert [trace.parent_id for trace in short] == [trace.id for trace in old]
    assert {(each.reasoning, each.response, each.teacher, each.rewriter) for each in short} == {
        (SHORT, "It is 42.", "fake", "short")
    }
    words = len(SHORT.split())
    assert {(each.completion_tokens, each.reasoning_tokens) for each in short} == {(words + 10, words)}
    assert {each.reasoning for each in old} == {LONG}
    with database.read() as session:
        copies = session.exec(batches.select(batches.Prompt).where(batches.Prompt.batch_id == new)).all()
        found = batches.get(session, new)
        assert batches.use(session, new).keys() == {"short"}
    assert {(row.key, row.reference, row.category, row.license, row.meta["level"]) for row in copies} == {
        (str(number), "42", "sums", "mit", 3) for number in range(3)
    }
    assert (found.prompts, found.teachers, found.rewrite["batches"]) == (3, ["short"], [batch])
    asked = fake.calls()[0]["prompt"]
    assert asked.startswith("Below are a question")


@ON_SQLITE
@pytest.mark.parametrize(
    ("play", "reason"),
    [
        (scripted("<reasoning></reasoning>"), "empty"),
        (scripted(LONG), "not_shorter"),
        (scripted("Sorry, nobody here understands your words."), "unrelated"),
        (scripted(SHORT, reasoning="x " * 500), "truncated"),
        ({"faults": [{"kind": "prompt_too_long"}]}, "prompt_too_long"),
    ],
)
def test_a_reply_that_cannot_stand_for_the_reasoning_is_a_failure_and_can_be_had_again(
    database, work, fake, batch, play, reason
):
    register(database, fake.base_url)
    fake.play(**play)
    new = begin(database, batch)
    work(done(database, new), kinds=REWRITE)
    assert check_counts(database, new) == check_counts(database, new) | {"stored": 0, "failed": 6}
    assert {row.reason for row in failures(database, new)} == {reason}

    fake.play(**scripted(SHORT))
    with database.write() as session:
        batches.retry(session, new)
    work(done(database, new), kinds=REWRITE)
    assert check_counts(database, new) == check_counts(database, new) | {"stored": 6, "failed": 0}


def test_without_a_teacher_the_reasoning_is_left_out_and_tokens_are_told_where_they_are_known(database, work):
    known = add_batch(database, questions(2), n=1)
    unknown = add_batch(database, questions(2), n=1, reasoning_tokens=None)
    for source, tokens in ((known, 10), (unknown, None)):
        new = begin(database, source, Kind.ANSWER_ONLY)
        work(done(database, new), kinds=REWRITE)
        old, bare = traces(database, source), traces(database, new)
        assert [(each.reasoning, each.response, each.parent_id) for each in bare] == [
            ("", each.response, each.id) for each in old
        ]
        assert {(each.completion_tokens, each.rewriter, each.teacher) for each in bare} == {(tokens, None, "fake")}
        with database.read() as session:
            assert batches.get(session, new).sampling == {"temperature": 0.7}


def test_a_job_taken_over_goes_on_where_it_was_and_stores_nothing_twice(database, work, fake):
    source = add_batch(database, questions(80), n=1, reasoning=LONG)
    register(database, fake.base_url)
    fake.play(**scripted(SHORT, latency_ms=100))
    new = begin(database, source, shard_prompts=100)

    def taken_over() -> bool:
        if counts(database, new)["stored"] < 32:
            return False
        with database.write() as session:
            session.connection().exec_driver_sql("update job set attempts = attempts + 1, lease_until = 0")
        return True

    work(taken_over, kinds=REWRITE)
    before = {trace.id for trace in traces(database, new)}
    fake.play(**scripted(SHORT))
    work(done(database, new), kinds=REWRITE)
    assert check_counts(database, new) == check_counts(database, new) | {"total": 80, "stored": 80, "failed": 0}
    assert before <= {trace.id for trace in traces(database, new)}
    assert len(fake.calls()) == 80 - len(before)


@ON_SQLITE
def test_a_teacher_that_is_down_makes_rewriting_wait_and_fails_nothing(database, work, fake, batch, tmp_path):
    down = Fake(tmp_path / "calls.jsonl")
    down.stop()
    register(database, down.base_url)
    new = begin(database, batch)
    work(lambda: waiting(database, new) == {"teacher_down": 2}, kinds=REWRITE)
    assert counts(database, new) == counts(database, new) | {"pending": 6, "failed": 0}
    register(database, fake.base_url)
    fake.play(**scripted(SHORT))
    work(done(database, new), kinds=REWRITE)
    assert counts(database, new)["stored"] == 6


@ON_SQLITE
def test_of_a_version_only_what_it_keeps_is_rewritten_and_as_people_edited_it(database, work, batch):
    ids = trace_ids(database, batch)
    review(database, ids[0], "reject")
    review(database, ids[1], "keep", response="It is forty-two.")
    name = version(database, order(database, "sums", [batch], [{"kind": "length"}]))
    work(lambda: version(database, name.id).state == "sealed", kinds={JobKind.CURATE})
    review(database, ids[2], "reject")
    with database.read() as session:
        sealed = datasets.named(session, "sums@1")
    new = begin(database, None, Kind.ANSWER_ONLY, version=sealed)
    work(done(database, new), kinds=REWRITE)
    bare = traces(database, new)
    assert [each.parent_id for each in bare] == [ids[1], *ids[3:]]
    assert bare[0].response == "It is forty-two."


@ON_SQLITE
def test_versions_of_several_batches_keep_prompts_of_one_name_apart(database, work):
    both = [add_batch(database, questions(2), n=1) for _ in range(2)]
    name = version(database, order(database, "sums", both, [{"kind": "length"}]))
    work(lambda: version(database, name.id).state == "sealed", kinds={JobKind.CURATE})
    with database.read() as session:
        sealed = datasets.named(session, "sums@1")
    new = begin(database, None, Kind.ANSWER_ONLY, version=sealed)
    work(done(database, new), kinds=REWRITE)
    assert len({each.prompt_id for each in traces(database, new)}) == 4


def test_what_cannot_be_rewritten_is_refused(database, fake, batch):
    register(database, fake.base_url)
    running = submit(database, fake.base_url, ["x"])
    with pytest.raises(Conflict, match="in_progress"):
        begin(database, running)
    with pytest.raises(Problem, match="nothing to rewrite"):
        begin(database, add_batch(database, [prompt(0, "x")], reasoning=""))
    new = begin(database, batch, key="k", digest="a")
    assert begin(database, batch, key="k", digest="a") == new
    with pytest.raises(Conflict, match="ordered otherwise"):
        begin(database, batch, key="k", digest="b")
    with database.write() as session:
        batches.cancel(session, new)
    with pytest.raises(Conflict, match=f"compact {batch} instead"):
        begin(database, new)


@ON_SQLITE
def test_a_version_answers_for_the_licences_of_both_teachers(database, work, fake, batch):
    register(database, fake.base_url, licence="mrl")
    fake.play(**scripted(SHORT))
    new = begin(database, batch)
    work(done(database, new), kinds=REWRITE)
    bare = begin(database, batch, Kind.ANSWER_ONLY)
    work(done(database, bare), kinds=REWRITE)
    ids = [order(database, "sums", [each], [{"kind": "consistency"}]) for each in (new, bare)]
    work(lambda: all(version(database, each).state == "sealed" for each in ids), kinds={JobKind.CURATE})
    sealed, alone = (version(database, each) for each in ids)
    assert (sealed.kept, alone.kept) == (6, 6)
    licences = [[clause.split(":")[0] for clause in each.licence["clauses"]] for each in (sealed, alone)]
    assert licences == [["teacher mrl", "teacher apache-2.0", "prompts mit"], ["teacher apache-2.0", "prompts mit"]]


@ON_SQLITE
def test_a_new_reasoning_that_does_not_lead_to_the_response_is_for_the_recipe_to_reject(database, work, fake, batch):
    register(database, fake.base_url)
    fake.play(**scripted("Take twelve, then add thirty: 12 + 30 = 43."))
    new = begin(database, batch)
    work(done(database, new), kinds=REWRITE)
    name = order(database, "sums", [new], [{"kind": "verified"}, {"kind": "consistency"}])
    work(lambda: version(database, name).state == "sealed", kinds={JobKind.CURATE})
    assert version(database, name).funnel[1]["reasons"] == {"wrong_step": 6}
