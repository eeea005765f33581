"""Why a trace was kept or not, and what a filter is worth against chance."""

import hashlib

import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from service.models import JobKind, Trace, VersionState
from service.store import batches
from service.store.database import insert_new
from tests.workers.made import add_batch, ledger, order, questions, review, trace_ids, version
from tests.workers.made import trace as made_trace

RECIPE = [{"kind": "length", "tokens_min": 30}, {"kind": "verified"}, {"kind": "near_duplicate"}]


@pytest.fixture
def client(settings):
    with TestClient(create_app(settings), base_url="http://127.0.0.1:8080") as running:
        yield running


@pytest.fixture
def sealed(database, work):
    def make(batches, recipe=RECIPE) -> int:
        version_id = order(database, "sums", batches, recipe)
        work(lambda: version(database, version_id).state != VersionState.CURATING, kinds={JobKind.CURATE})
        return version_id

    return make


def test_each_filter_says_what_it_made_of_a_trace(database, client, sealed):
    short = add_batch(database, questions(2, reference="7"), n=1, completion_tokens=8)
    wrong = add_batch(database, questions(1, reference="7"), n=1, response=r"\boxed{8}")
    unsure = add_batch(database, questions(1), n=1)
    sealed([short, wrong, unsure])

    def why(batch):
        return client.get(f"/api/traces/{trace_ids(database, batch)[0]}/why").json()

    assert [step["outcome"] for step in why(short)["steps"]] == ["rejected", "not_reached", "not_reached"]
    found = why(wrong)
    assert (found["outcome"], found["decided_by"], found["reason"]) == ("reject", "verified", "wrong_answer")
    assert [step["outcome"] for step in found["steps"]] == ["passed", "rejected", "not_reached"]
    assert found["steps"][1]["evidence"] == {"extracted": "8", "expected": "7"}
    assert [step["outcome"] for step in why(unsure)["steps"]] == ["passed", "abstained", "passed"]
    assert why(unsure)["steps"][1]["reason"] == "no_reference"


def test_a_person_decided_is_told_as_such(database, client, sealed):
    batch = add_batch(database, questions(2), n=1)
    trace = trace_ids(database, batch)[0]
    review(database, trace, "reject", reason="off topic")
    sealed([batch])
    found = client.get(f"/api/traces/{trace}/why").json()
    assert (found["decided_by"], found["detail"]) == ("person", "kim: off topic")
    assert {step["outcome"] for step in found["steps"]} == {"not_asked"}


def test_what_was_never_judged_says_so(database, client, sealed):
    first, second = (add_batch(database, questions(1), n=1) for _ in range(2))
    sealed([first])
    judged, unjudged = (trace_ids(database, batch)[0] for batch in (first, second))
    missing = client.get(f"/api/traces/{unjudged}/why")
    assert (missing.status_code, "not judged in any version" in missing.json()["detail"]) == (404, True)
    other = client.get(f"/api/traces/{judged}/why", params={"version": "sums@9"})
    assert other.status_code == 404
    assert "sums@1" in other.json()["detail"]


def test_a_control_keeps_as_many_as_the_filter_did_but_others(database, client, sealed, work):
    good = add_batch(database, questions(20, reference="7"), n=1, response=r"\boxed{7}")
    bad = add_batch(database, questions(20, reference="7"), n=1, response=r"\boxed{8}")
    sealed([good, bad], RECIPE[:2])
    made = client.post("/api/datasets/sums/versions/1/control", json={"filter": "verified"})
    assert made.status_code == 202, made.text
    assert [filter_["kind"] for filter_ in made.json()["recipe"]["filters"]] == ["length", "select"]
    work(lambda: version(database, 2).state != VersionState.CURATING, kinds={JobKind.CURATE})
    kept = [{row.trace_id for row in ledger(database, v).values() if row.outcome == "keep"} for v in (1, 2)]
    assert len(kept[0]) == len(kept[1]) == 20
    assert kept[0] != kept[1]
    unknown = client.post("/api/datasets/sums/versions/1/control", json={"filter": "verifid"})
    assert (unknown.status_code, "it has length, verified" in unknown.json()["detail"]) == (422, True)
    idle = client.post("/api/datasets/sums/versions/1/control", json={"filter": "length"})
    assert (idle.status_code, "kept everything" in idle.json()["detail"]) == (409, True)


def test_a_judge_that_is_not_registered_is_refused_before_anything_is_judged(database, client):
    batch = add_batch(database, questions(1), teacher="fake")
    recipe = {"filters": [{"kind": "judged", "teacher": "fakee", "rubric": "It is polite."}]}
    body = {"name": "sums", "batches": [batch], "recipe": recipe, "intended_use": "research"}
    for answer in (
        client.post("/api/datasets", json=body),
        client.post("/api/recipes/preview", json={"batches": [batch], "recipe": recipe}),
    ):
        assert answer.status_code == 422
        assert "filters[0] (judged): knob 'teacher': no teacher is called 'fakee'" in answer.json()["detail"]
        assert "'fake'" in answer.json()["detail"]


def origin(client, trace_id: int) -> dict:
    return client.get(f"/api/traces/{trace_id}/why").json()["origin"]


def test_a_trace_leads_back_to_the_row_of_the_file_that_asked_for_it(database, client, sealed):
    lines = b"".join(b'{"id": "p%d", "prompt": "Say %d", "source": "notes"}\n' % (row, row) for row in (1, 2))
    add_batch(database, questions(1))
    query = {"teacher": "fake", "temperature": 0.5, "file": "asked.jsonl"}
    batch = client.post("/api/batches", params=query, content=lines).json()["id"]
    with database.write() as session:
        (prompt_id,) = [each for each in batches.ids_of_keys(session, batch, ["p2"]).values()]
        insert_new(session, Trace, [made_trace(batch, prompt_id, 0, "fake")])
    client.post(f"/api/batches/{batch}/cancel")
    sealed([batch])
    found = origin(client, trace_ids(database, batch)[0])
    assert (
        found
        | {
            "made": "asked",
            "file": "asked.jsonl",
            "sha256": hashlib.sha256(lines).hexdigest(),
            "row": 2,
            "prompt": "p2",
            "source": "notes",
            "model": "maker/fake",
            "sampling": {"temperature": 0.5},
            "parent": None,
        }
        == found
    )


def test_what_was_imported_and_rewritten_leads_back_to_the_file_it_was_in(database, client, sealed):
    row = b'{"prompt": "One and one?", "response": "Two."}\n'
    query = {"format": "huggingface", "teacher": "r1", "license": "mit", "file": "r1.jsonl"}
    batch = client.post("/api/imports", params=query, content=row + row.replace(b"One", b"Six")).json()["id"]
    last = trace_ids(database, batch)[1]
    short = add_batch(database, questions(1), n=1, teacher="r1", licence="mit", parent_id=last)
    sealed([batch, short])
    found = origin(client, last)
    assert found["imported"] == {"format": "huggingface", "file": "r1.jsonl", "row": 2}
    assert (found["made"], found["file"], found["row"]) == ("imported", "r1.jsonl", 2)
    assert origin(client, trace_ids(database, short)[0])["parent"] == found
