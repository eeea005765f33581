"""Two versions beside each other: every row that differs says why."""

import json

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, update

from service.app import create_app
from service.models import JobKind, VersionDiff, VersionState
from tests.workers.made import add_batch, order, questions, review, trace_ids, version


@pytest.fixture
def client(settings):
    with TestClient(create_app(settings), base_url="http://127.0.0.1:8080") as running:
        yield running


@pytest.fixture
def sealed(database, work):
    def make(name, batches, filters, **changes) -> int:
        version_id = order(database, name, batches, filters, **changes)
        work(lambda: version(database, version_id).state != VersionState.CURATING, kinds={JobKind.CURATE})
        return version_id

    return make


def test_a_diff_gives_every_row_that_came_went_or_moved_with_its_reason(database, client, sealed):
    long, short, late = (
        add_batch(database, questions(count), n=1, completion_tokens=tokens)
        for count, tokens in ((20, 40), (3, 20), (4, 40))
    )
    unliked = trace_ids(database, long)[0]
    review(database, unliked, "reject", reason="rude")
    sealed("sums", [long, short], [{"kind": "length"}], split={"eval": 0.2, "test": 0.2})
    review(database, unliked, "keep")
    sealed("sums", [long, short, late], [{"kind": "length", "tokens_min": 30}], split={"eval": 0.0, "test": 0.4})

    with database.read() as session:
        assert session.scalars(select(VersionDiff.now_id)).all() == [2], "counted when it was sealed"
    found = client.get("/api/datasets/sums/versions/2/diff?with=1").json()
    assert (found["kept_before"], found["kept_now"]) == (22, 24)
    assert (found["added"], found["removed"]) == (5, 3)
    assert found["unchanged"] + found["moved"] + found["added"] == 24
    assert {(line["filter"], line["reason"]) for line in found["why"] if line["change"] == "added"} == {
        ("", "not_judged"),
        ("person", "person"),
    }
    assert {(line["filter"], line["reason"]) for line in found["why"] if line["change"] == "removed"} == {
        ("length", "too_short")
    }
    moved = [(line["split_before"], line["split_now"]) for line in found["why"] if line["change"] == "moved"]
    assert moved == [("eval", "test")]
    assert [knob["filter"] for knob in found["recipe"]] == ["length"]
    assert (found["batches_added"], found["batches_removed"]) == ([late], [])

    def rows(change, **query):
        answer = client.get("/api/datasets/sums/versions/2/diff/rows", params={"change": change} | query).json()
        return answer["data"], answer["next"]

    removed, following = rows("removed", limit=2)
    assert [row["trace"] for row in removed] == trace_ids(database, short)[:2]
    assert removed[0]["detail"] == "20 < 30 tokens"
    assert [row["trace"] for row in rows("removed", after=following)[0]] == trace_ids(database, short)[2:]
    assert [(row["trace"], row["detail"]) for row in rows("added", filter="person")[0]] == [(unliked, "kim: rude")]
    assert len(rows("added", reason="not_judged")[0]) == 4
    assert len(rows("moved")[0]) == found["moved"]


def test_versions_of_other_datasets_compare_and_equal_ones_say_so(database, client, sealed):
    batch = add_batch(database, questions(3), n=1)
    for name in ("sums", "again"):
        sealed(name, [batch], [{"kind": "length"}])
    found = client.get("/api/datasets/again/versions/1/diff?with=sums@1").json()
    assert (found["unchanged"], found["why"], found["recipe"], found["same_rows"]) == (3, [], [], True)
    with database.write() as session:
        session.execute(update(VersionDiff).values(unchanged=2))
    again = client.get("/api/datasets/again/versions/1/diff?with=sums@1").json()
    assert again == found | {"unchanged": 2}, "counted once"
    assert client.get("/api/datasets/sums/versions/1/diff").status_code == 404
    assert json.loads(client.get("/api/datasets/sums/versions/1/diff?with=7").text)["status"] == 404
