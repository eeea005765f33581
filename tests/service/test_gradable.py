import pytest

from service.gradable import SHOWN_MAX, ungradable

PROSE = "Proved by induction over the number of edges in the graph."
GOOD = {"prompt": "?", "reference": "42", "verifier": "number"}
BAD = {"prompt": "?", "id": "p2", "reference": "forty-two", "verifier": "number"}


def about(**known):
    return {"prompt": "?", **known}


def test_a_batch_tells_which_references_no_verifier_can_grade(client, submit):
    prose = {"reference": PROSE}
    batch = submit([GOOD, BAD, about(), about(**prose), about(**prose, verifier="exact"), about(reference=" ")]).json()
    assert batch["ungradable"] == 2
    assert batch["ungradable_first"] == [
        {"line": 2, "id": "p2", "verifier": "number", "reference": "forty-two"},
        {"line": 4, "id": "4", "verifier": "math", "reference": PROSE},
    ]
    assert client.get(f"/api/batches/{batch['id']}").json()["ungradable"] == 2
    assert "2 of 6 references cannot be graded" in client.get(f"/batches/{batch['id']}").text


def test_they_are_refused_where_the_submitter_says_so(client, submit):
    answer = submit([GOOD, BAD, GOOD], ungradable="refuse")
    assert answer.status_code == 422
    assert [(error["line"], error["field"], error["code"]) for error in answer.json()["errors"]] == [
        (2, "reference", "ungradable_reference")
    ]
    assert "'number' cannot grade the reference 'forty-two'" in answer.json()["detail"]
    assert client.get("/api/batches").json()["data"] == []


def test_a_batch_that_asks_until_answers_are_right_refuses_them_by_itself(submit):
    assert submit([GOOD, BAD], accept_k=1).status_code == 422
    assert submit([GOOD, BAD], accept_k=1, ungradable="report").json()["ungradable"] == 1


def test_the_count_is_whole_where_the_list_is_cut(submit):
    batch = submit([BAD | {"id": at} for at in range(2500)]).json()
    assert (batch["ungradable"], len(batch["ungradable_first"])) == (2500, SHOWN_MAX)


def test_an_unknown_verifier_is_refused_with_the_nearest_name(submit):
    answer = submit([about(reference="1", verifier="numbr")])
    assert answer.status_code == 422
    assert "unknown verifier 'numbr'; did you mean 'number'?" in answer.text


@pytest.mark.parametrize("verifier", ["math", "number", "regex", "json_schema", "choice", "exact", None])
def test_hostile_references_are_looked_at_and_cut(verifier):
    hostile = ["9^{9^{9^9}}", "{" * 500_000, "(a{1000}){1000}" * 50, '{"not":' * 2000, r"\boxed{" * 70_000, "1/" * 900]
    rows = [{"line": at, "key": "k" * 500, "verifier": verifier, "reference": text} for at, text in enumerate(hostile)]
    assert all(len(found["reference"]) <= 80 and len(found["id"]) <= 80 for found in ungradable(rows))
