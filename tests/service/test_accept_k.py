"""Asking for right answers over REST, several servers, and what the work took."""

import pytest
from sqlalchemy import text

from service.store.database import Database
from tests.service.conftest import TEACHER
from tests.service.test_batches import LINES, stored_batches


def test_right_answers_are_ordered_with_a_bound_on_tries_and_tokens(submit):
    batch = submit(LINES, accept_k=2, max_tries=7, token_budget=5000).json()
    assert (batch["accept_k"], batch["n"], batch["token_budget"]) == (2, 7, 5000)
    assert batch["counts"]["total"] == 35, "at most"
    assert submit(LINES, accept_k=3).json()["n"] == 12


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"accept_k": 2, "n": 4}, "either 'n'"),
        ({"accept_k": 5, "max_tries": 4}, "4 tries cannot bring 5"),
        ({"max_tries": 4}, "'accept_k', which is not given"),
        ({"token_budget": 4}, "'accept_k', which is not given"),
        ({"accept_k": 0}, "greater than or equal to 1"),
    ],
)
def test_an_order_that_contradicts_itself_is_refused(client, submit, query, said):
    answer = submit(LINES, **query)
    assert answer.status_code == 422
    assert said in answer.text
    assert stored_batches(client) == []


def test_a_prompt_without_a_reference_cannot_be_asked_for_right_answers(client, submit):
    answer = submit([*LINES, {"prompt": "no reference"}], accept_k=1)
    assert answer.status_code == 422
    assert answer.json()["errors"][0] | {"line": 6, "field": "reference"} == answer.json()["errors"][0]
    assert stored_batches(client) == []


def test_the_same_key_with_another_goal_is_a_conflict(submit):
    assert submit(LINES, key="k", accept_k=1).status_code == 201
    assert submit(LINES, key="k", accept_k=1).status_code == 200
    assert submit(LINES, key="k", accept_k=2).status_code == 409


def test_pass_rates_are_read_page_by_page(client, submit, settings):
    batch = submit(LINES, accept_k=1).json()["id"]
    database = Database(settings.url())
    with database.write() as session:
        session.connection().execute(
            text(
                "insert into trace (batch_id, prompt_id, teacher, sample_index, reasoning, response, finish_reason,"
                " accepted, raw, created_at) select batch_id, id, 'tiny', 0, '', '', '', line > 2, x'', 0 from prompt"
            )
        )
    first = client.get(f"/api/batches/{batch}/pass-rates", params={"limit": 3}).json()
    assert [(rate["key"], rate["rate"]) for rate in first["data"]] == [("1", 0.0), ("2", 0.0), ("3", 1.0)]
    rest = client.get(f"/api/batches/{batch}/pass-rates", params={"limit": 3, "after": first["next"]}).json()
    assert [rate["key"] for rate in rest["data"]] == ["4", "5"]
    assert rest["next"] is None
    assert client.get("/api/batches/batch_none/pass-rates").status_code == 404


def test_gpu_hours_and_cost_follow_from_what_the_teacher_is_registered_with(client, submit, settings):
    client.post("/api/teachers", json=TEACHER | {"gpus": 2, "gpu_hour_price": 3.0})
    batch = submit(LINES).json()["id"]
    database = Database(settings.url())
    with database.write() as session:
        session.connection().execute(text("update job set busy_s = 600, completion_tokens = 1000"))
        jobs = session.connection().scalar(text("select count(*) from job"))
    use = client.get(f"/api/batches/{batch}").json()["use"]["tiny"]
    assert use["gpu_hours"] == pytest.approx(jobs * 600 / 3600 * 2)
    assert use["cost"] == pytest.approx(3 * use["gpu_hours"])
    assert use["cost_per_million_tokens"] == pytest.approx(use["cost"] / (jobs * 1000) * 1e6)
    assert "GPU-hours, tiny" in client.get(f"/batches/{batch}").text


def test_nobody_is_told_a_cost_that_nobody_stated(client, submit):
    use = client.get(f"/api/batches/{submit(LINES).json()['id']}").json()["use"]["tiny"]
    assert (use["gpu_hours"], use["cost"], use["cost_per_million_tokens"]) == (None, None, None)


def test_every_server_of_a_teacher_must_be_where_teachers_may_be(client):
    answer = client.post("/api/teachers", json=TEACHER | {"replicas": ["http://127.0.0.1:9/v1", "http://8.8.8.8/v1"]})
    assert answer.status_code == 422
    assert "RETORT_TEACHER_NETWORKS" in answer.text


def test_a_probe_looks_at_every_server(client):
    client.post("/api/teachers", json=TEACHER | {"base_url": "http://127.0.0.1:9", "replicas": ["http://127.0.0.1:11"]})
    found = client.post("/api/teachers/tiny/probe").json()
    assert found["servers"] == {f"http://127.0.0.1:{port}/v1": "connection_refused" for port in (9, 11)}
    assert "2 of 2 servers are not ready" in found["detail"]
