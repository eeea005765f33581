"""Submitting prompts over REST."""

import pytest

from tests.service.conftest import HERE

LINES = [{"prompt": f"{number} + 1 = ?", "reference": str(number + 1), "category": "add"} for number in range(5)]


def stored_batches(client) -> list:
    return client.get("/api/batches").json()["data"]


def test_a_batch_is_accepted_whole_and_cut_into_shards(client, submit):
    answer = submit(LINES, n=2, temperature=1.0)
    assert answer.status_code == 201
    batch = answer.json()
    assert batch["state"] == "in_progress"
    assert batch["counts"] == {"total": 10, "stored": 0, "failed": 0, "cancelled": 0, "pending": 10}
    assert batch["sampling"] == {"temperature": 1.0}
    assert 'retort_jobs{kind="generate",state="queued"} 3.0' in client.get("/metrics").text


def test_a_file_in_a_form_is_taken_too(client, teacher):
    files = {"file": ("prompts.jsonl", b'{"prompt": "2 + 2 = ?"}\n')}
    answer = client.post("/api/batches", params={"teacher": "tiny"}, files=files)
    assert (answer.status_code, answer.json()["prompts"]) == (201, 1)


@pytest.mark.parametrize(
    ("line", "field", "said"),
    [
        (b'{"prompt": "a"', None, "not valid JSON"),
        (b'["a"]', None, "expected a JSON object, found list"),
        (b'{"promt": "a"}', "promt", "did you mean 'prompt'?"),
        (b'{"prompt": ""}', "prompt", "at least 1 character"),
        (b'{"prompt": 7}', "prompt", "valid string"),
        (b'{"id": "x"}', None, "either 'prompt' (text) or 'messages'"),
        (b'{"prompt": "a", "messages": []}', "messages", "at least 1 item"),
        (b'{"messages": [{"role": "robot", "content": "a"}]}', "messages.0.role", "'system'"),
        (b'{"prompt": "a", "verifier": "maths"}', None, "did you mean 'math'?"),
        (b'{"prompt": "a", "reference": NaN}', None, "not valid JSON"),
        (b'{"prompt": "\\ud800"}', None, "not valid JSON"),
        (b'{"prompt": "a\\u0000b"}', None, "NUL"),
        (b'{"prompt": "\xff"}', None, "not valid UTF-8 (byte 13 of the line)"),
    ],
)
def test_a_bad_line_is_named_with_its_field_and_nothing_is_stored(client, submit, line, field, said):
    answer = submit(b'{"prompt": "fine"}\n' * 3 + line + b'\n{"prompt": "fine"}\n')
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    error = answer.json()["errors"][0]
    assert (error["line"], error.get("field")) == (4, field)
    assert said in error["message"]
    assert stored_batches(client) == []


def test_every_bad_line_is_listed_at_once(submit):
    problem = submit(b'{"prompt": "a"}\nnot json\n{"prompt": 1}\n').json()
    assert [error["line"] for error in problem["errors"]] == [2, 3]
    assert problem["errors_total"] == 2


def test_an_id_that_stands_twice_is_refused_with_both_lines(client, submit):
    problem = submit([{"id": "a", "prompt": "x"}, {"id": "b", "prompt": "x"}, {"id": "a", "prompt": "y"}]).json()
    error = problem["errors"][0]
    assert (error["line"], error["field"], error["message"]) == (3, "id", "the id 'a' stands on line 1 too")


def test_a_line_beyond_the_limit_is_refused_with_its_size(settings, submit):
    settings.row_bytes_max = 100
    answer = submit([{"prompt": "x" * 50}, {"prompt": "x" * 100}])
    assert answer.json()["errors"][0]["line"] == 2


def test_a_body_beyond_the_limit_is_refused(client, settings, submit):
    settings.upload_bytes_max = 1000
    assert submit([{"prompt": "x" * 2000}]).status_code == 413
    assert stored_batches(client) == []


def test_an_empty_batch_is_refused(submit):
    assert submit(b"\n \n").status_code == 422


@pytest.mark.parametrize(
    ("query", "field"),
    [({"n": 0}, "n"), ({"n": 10**9}, "n"), ({"temperature": -1}, "temperature"), ({"temprature": 1}, "temprature")],
)
def test_a_bad_parameter_is_named(submit, query, field):
    answer = submit(LINES, **query)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field


def test_an_unknown_teacher_is_answered_with_the_nearest(client, submit):
    answer = submit(LINES, teacher="tinny")
    assert answer.status_code == 404
    assert "did you mean 'tiny'?" in answer.json()["detail"]


def test_the_same_key_and_body_give_the_same_batch(client, submit):
    first, again = submit(LINES, key="k1"), submit(LINES, key="k1")
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]
    assert len(stored_batches(client)) == 1


@pytest.mark.parametrize("changed", [{"lines": LINES[:2]}, {"n": 3}])
def test_the_same_key_with_something_else_is_a_conflict(submit, changed):
    submit(LINES, key="k1")
    assert submit(changed.pop("lines", LINES), key="k1", **changed).status_code == 409


def test_a_cancelled_batch_counts_what_was_not_asked(client, submit):
    batch_id = submit(LINES).json()["id"]
    batch = client.post(f"/api/batches/{batch_id}/cancel").json()
    assert batch["state"] == "cancelled"
    assert batch["counts"] == {"total": 5, "stored": 0, "failed": 0, "cancelled": 5, "pending": 0}
    assert client.post(f"/api/batches/{batch_id}/cancel").status_code == 409


def test_a_cancelled_batch_can_be_asked_again(client, submit):
    batch_id = submit(LINES).json()["id"]
    client.post(f"/api/batches/{batch_id}/cancel")
    batch = client.post(f"/api/batches/{batch_id}/retry").json()
    assert (batch["state"], batch["counts"]["pending"]) == ("in_progress", 5)


def test_batches_are_listed_newest_first_in_pages(client, submit):
    ids = [submit(LINES[:1]).json()["id"] for _ in range(3)]
    first = client.get("/api/batches", params={"limit": 2}).json()
    assert [batch["id"] for batch in first["data"]] == [ids[2], ids[1]]
    rest = client.get("/api/batches", params={"limit": 2, "after": first["next"]}).json()
    assert [batch["id"] for batch in rest["data"]] == [ids[0]]
    assert rest["next"] is None


def test_a_page_beyond_the_limit_is_refused(client):
    assert client.get("/api/batches", params={"limit": 501}).status_code == 422
    assert client.get("/api/batches", params={"limit": 500}).status_code == 200


def test_uploads_leave_nothing_behind(settings, submit):
    submit(LINES)
    submit(b"broken")
    assert list((settings.data_dir / "uploads").iterdir()) == []


def test_what_a_dead_api_left_half_stored_is_gone_at_the_next_start(client, settings):
    from service.app import create_app
    from service.models import Batch
    from service.store.database import Database

    database = Database(settings.url())
    with database.write() as session:
        session.add(Batch(teachers=["tiny"], prompts=3))
    database.close()
    from fastapi.testclient import TestClient

    with TestClient(create_app(settings), base_url=HERE) as again:
        assert stored_batches(again) == []
