"""What people say of traces: decisions, edits and tags, taken back and found again, on both databases."""

import pytest

from service.errors import Conflict, NotFound
from service.models import Batch, Prompt, Tag, Trace
from service.store import batches, curation, removal, reviews, traces
from service.store.traces import TraceFilter
from service.views import traces_out


@pytest.fixture
def answered(database):
    with database.write() as session:
        session.add(Batch(id="batch_x"))
        session.flush()
        session.add(Prompt(id=1, batch_id="batch_x", key="1", line=1, messages=[{"role": "user", "content": "?"}]))
        session.flush()
        for number in range(1, 6):
            session.add(
                Trace(
                    id=number, batch_id="batch_x", prompt_id=1, teacher="t", sample_index=number, response="It is so."
                )
            )
    return database


def say(database, trace_id=1, author="ann", **said):
    with database.write() as session:
        review = reviews.add(session, trace_id, author, **said)
        session.flush()
        return review.id or 0


def take_back(database, review_id, trace_id=1, author="ben"):
    with database.write() as session:
        return reviews.withdraw(session, trace_id, author, review_id)


def newest(database, trace_id=1):
    with database.read() as session:
        review = reviews.of_trace(session, trace_id)[0]
    return review.outcome, review.reason, review.response, review.tags


def tagged(database, tag):
    with database.read() as session:
        return [trace.id for trace in traces_out(session, traces.page(session, TraceFilter(tag=tag), limit=10))]


def test_what_is_left_unsaid_stays_as_it_was(answered):
    say(answered, outcome="keep", reason="clear", response="It is.")
    say(answered, tags=["b", "a", "b"])
    assert newest(answered) == ("keep", "clear", "It is.", ["a", "b"])
    say(answered, outcome="reject")
    assert newest(answered) == ("reject", "", "It is.", ["a", "b"])
    say(answered, outcome="keep", response=None)
    assert newest(answered) == ("keep", "", None, ["a", "b"])


def test_the_last_thing_said_is_taken_back_one_after_the_other(answered):
    said = [
        say(answered, outcome="keep", tags=["a"]),
        say(answered, outcome="reject", reason="rude"),
        say(answered, tags=[]),
    ]
    states = []
    for review_id in reversed(said):
        states.append(newest(answered))
        take_back(answered, review_id)
    assert states == [("reject", "rude", None, []), ("reject", "rude", None, ["a"]), ("keep", "", None, ["a"])]
    assert newest(answered) == ("", "", None, [])
    with answered.read() as session:
        assert [(row.author, row.withdraws) for row in reviews.of_trace(session, 1)][:3] == [
            ("ben", said[0]),
            ("ben", said[1]),
            ("ben", said[2]),
        ]
    say(answered, outcome="keep")
    assert newest(answered)[0] == "keep"


def test_only_the_last_thing_said_is_taken_back(answered):
    first = say(answered, outcome="keep")
    second = say(answered, author="cyd", outcome="reject")
    with pytest.raises(Conflict, match="by cyd"):
        take_back(answered, first)
    take_back(answered, second)
    with pytest.raises(Conflict, match="not the last"):
        take_back(answered, second)
    take_back(answered, first)
    with pytest.raises(Conflict, match="nothing stands"):
        take_back(answered, first)
    with pytest.raises(NotFound, match="no trace"):
        say(answered, 99, outcome="keep")


def test_traces_are_found_by_the_tags_that_they_have_now(answered):
    for trace_id in (2, 4, 5):
        last = say(answered, trace_id, tags=["odd", f"of-{trace_id}"])
    say(answered, 4, tags=["of-4"])
    assert (tagged(answered, "odd"), tagged(answered, "of-4"), tagged(answered, "none")) == ([2, 5], [4], [])
    with answered.read() as session:
        assert reviews.tag_counts(session, limit=2) == [("odd", 2), ("of-2", 1)]
        assert reviews.tags(session, [1, 4, 5]) == {4: ["of-4"], 5: ["odd", "of-5"]}
    take_back(answered, last, 5)
    assert tagged(answered, "odd") == [2]


def test_curation_follows_what_stands(answered):
    def decided():
        with answered.read() as session:
            marks = batches.newest_review(session, "batch_x")
            return {id: review.outcome for id, review in curation.reviews(session, ["batch_x"]).items()}, marks

    say(answered, 2, tags=["odd"])
    assert decided() == ({}, 0)
    kept = say(answered, 1, outcome="keep")
    assert decided() == ({1: "keep"}, kept)
    back = take_back(answered, kept)
    assert decided() == ({}, back.id)


def test_a_batch_goes_with_all_that_was_said_of_it(answered):
    say(answered, outcome="keep", tags=["odd"])
    with answered.write() as session:
        while removal.clear_batch(session, "batch_x"):
            pass
    with answered.read() as session:
        assert session.get(Tag, ("odd", 1)) is None


def test_pages_of_traces_go_both_ways(answered):
    def ids(limit=2, **edge):
        with answered.read() as session:
            return [trace.id for trace in traces_out(session, traces.page(session, TraceFilter(), limit=limit, **edge))]

    assert (ids(), ids(after=2), ids(before=5), ids(before=2), ids(before=1)) == ([1, 2], [3, 4], [3, 4], [1], [])
