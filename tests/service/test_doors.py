"""Teachers, keys, limits and health."""

import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from service.settings import Settings
from service.store import teachers
from tests.service.conftest import HERE, TEACHER


def test_a_teacher_is_registered_once_and_brought_up_to_date(client):
    assert client.post("/api/teachers", json=TEACHER).status_code == 201
    again = client.post("/api/teachers", json=TEACHER | {"license": "mit"})
    assert (again.status_code, again.json()["license"]) == (200, "mit")
    assert len(client.get("/api/teachers").json()["data"]) == 1


@pytest.mark.parametrize(
    ("given", "kept"),
    [("http://127.0.0.1:8000", "http://127.0.0.1:8000/v1"), ("http://127.0.0.1:8000/v1/", "http://127.0.0.1:8000/v1")],
)
def test_an_address_may_come_with_or_without_v1(client, given, kept):
    assert client.post("/api/teachers", json=TEACHER | {"base_url": given}).json()["base_url"] == kept


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "gopher://x",
        "http://user:key@127.0.0.1/v1",
        "http://a\\b/v1",
        "http://a/v1?x=1",
        "http://a\r\nX: y/v1",
        "127.0.0.1:8000",
    ],
)
def test_a_dangerous_address_is_refused(client, url):
    answer = client.post("/api/teachers", json=TEACHER | {"base_url": url})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "base_url"


@pytest.mark.parametrize("name", ["", "Tiny", "../up", "a" * 65, "a b", "."])
def test_a_name_is_an_id(client, name):
    assert client.post("/api/teachers", json=TEACHER | {"name": name}).status_code == 422


def test_an_unknown_field_is_refused(client):
    answer = client.post("/api/teachers", json=TEACHER | {"licence": "mit"})
    assert answer.json()["errors"][0]["field"] == "licence"


def test_probing_a_teacher_that_is_down_is_an_answer(client, teacher):
    client.post("/api/teachers", json=TEACHER | {"base_url": "http://127.0.0.1:9"})
    found = client.post("/api/teachers/tiny/probe").json()
    assert (found["ok"], found["reason"]) == (False, "connection_refused")
    assert client.get("/api/teachers/tiny").json()["health"]["ok"] is False


def test_what_a_server_can_do_is_known_while_it_does_not_answer_and_forgotten_with_its_address(client, teacher):
    database = client.app.state.database
    with database.write() as session:
        teachers.note_health(session, "tiny", {"ok": True, "max_model_len": 512})
        teachers.note_health(session, "tiny", {"ok": False, "reason": "timeout"})
    health = client.get("/api/teachers/tiny").json()["health"]
    assert (health["ok"], health["max_model_len"]) == (False, 512)
    assert client.post("/api/teachers", json=TEACHER | {"license": "mit"}).json()["health"] == health
    assert client.post("/api/teachers", json=TEACHER | {"model": "other"}).json()["health"] is None


def test_probing_an_unknown_teacher_names_the_nearest(client, teacher):
    answer = client.post("/api/teachers/tinyy/probe")
    assert (answer.status_code, "did you mean 'tiny'?" in answer.json()["detail"]) == (404, True)


@pytest.mark.parametrize(
    ("header", "status"),
    [({}, 401), ({"Authorization": "Bearer wrong"}, 401), ({"Authorization": "Bearer s3cret"}, 200)],
)
def test_with_a_key_set_every_request_must_carry_it(tmp_path, header, status):
    settings = Settings(data_dir=tmp_path, database_url="", api_key="s3cret")
    with TestClient(create_app(settings), base_url=HERE) as client:
        assert client.get("/api/teachers", headers=header).status_code == status
        assert client.get("/healthz").status_code == 200
        assert client.get("/api/teachers?api_key=s3cret").status_code == 401


def test_every_route_needs_the_key(tmp_path):
    with TestClient(
        create_app(Settings(data_dir=tmp_path, database_url="", api_key="s3cret")), base_url=HERE
    ) as client:
        for path, methods in client.app.openapi()["paths"].items():
            for method in methods:
                if path != "/healthz":
                    assert client.request(method, path.replace("{", "").replace("}", "")).status_code == 401, path


def test_a_packed_body_is_refused(client):
    answer = client.post("/api/teachers", content=b"x", headers={"Content-Encoding": "gzip"})
    assert answer.status_code == 415


def test_a_large_body_is_refused_while_it_streams(client, settings):
    settings.body_bytes_max = 1000
    answer = client.post(
        "/api/teachers", content=(b"x" * 100 for _ in range(20)), headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 413


def test_an_unknown_page_is_a_problem_document(client):
    answer = client.get("/api/nothing")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


def test_health(client):
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json()["status"] == "ready"


@pytest.mark.parametrize(
    ("host", "status"), [("127.0.0.1:8080", 200), ("localhost", 200), ("[::1]:9", 200), ("evil.example", 400)]
)
def test_without_a_key_only_this_machines_own_names_are_answered(client, host, status):
    assert client.get("/api/batches", headers={"Host": host}).status_code == status


def test_another_sites_page_changes_nothing(client):
    answer = client.post("/api/teachers", json=TEACHER, headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403
