"""Keys and scopes, and the networks where teachers may be."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from service.settings import Settings
from service.urls import AddressRefused, check_reachable
from tests.service.conftest import HERE, TEACHER

ADMIN = {"Authorization": "Bearer s3cret"}


@pytest.fixture
def locked(tmp_path) -> Iterator[TestClient]:
    with TestClient(
        create_app(Settings(data_dir=tmp_path, database_url="", api_key="s3cret")), base_url=HERE
    ) as client:
        yield client


def made(client: TestClient, scope: str) -> dict:
    return client.post("/api/keys", json={"name": scope, "scope": scope}, headers=ADMIN).json()


@pytest.mark.parametrize(
    ("scope", "reads", "submits", "registers"),
    [("read", 200, 403, 403), ("submit", 200, 200, 403), ("admin", 200, 200, 201)],
)
def test_a_scope_allows_itself_and_what_lies_below(locked, scope, reads, submits, registers):
    headers = {"Authorization": f"Bearer {made(locked, scope)['token']}"}
    assert locked.get("/api/batches", headers=headers).status_code == reads
    licences = {"teachers": ["mit"], "prompts": ["mit"]}
    assert locked.post("/api/licences/check", json=licences, headers=headers).status_code == submits
    assert locked.post("/api/teachers", json=TEACHER, headers=headers).status_code == registers


def test_a_revoked_key_opens_nothing(locked):
    key = made(locked, "read")
    headers = {"Authorization": f"Bearer {key['token']}"}
    assert locked.get("/api/batches", headers=headers).status_code == 200
    locked.delete(f"/api/keys/{key['id']}", headers=ADMIN)
    assert locked.get("/api/batches", headers=headers).status_code == 401


def test_a_token_is_shown_once_and_stored_nowhere(locked, tmp_path):
    token = made(locked, "read")["token"]
    assert token not in locked.get("/api/keys", headers=ADMIN).text
    assert not any(token.encode() in path.read_bytes() for path in tmp_path.iterdir() if path.is_file())


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/v1",
        "http://[fd00:ec2::254]/v1",
        "http://10.0.0.1/v1",
        "http://2130706433/v1",
        "http://0x7f000001/v1",
        "http://0177.0.0.1/v1",
        "http://127.1/v1",
        "http://[::ffff:127.0.0.1]/v1",
        "http://0.0.0.0/v1",
        "http://[fe80::1]/v1",
    ],
)
def test_a_teacher_outside_the_allowed_networks_is_refused(client, url):
    answer = client.post("/api/teachers", json=TEACHER | {"base_url": url})
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["field"] == "base_url"


def test_the_refusal_names_the_setting(client):
    answer = client.post("/api/teachers", json=TEACHER | {"base_url": "http://10.0.0.1/v1"})
    assert "RETORT_TEACHER_NETWORKS" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("http://127.0.0.1:8000/v1", "10.0.0.0/8"),
        ("http://169.254.169.254/v1", "0.0.0.0/0"),
        ("http://localhost/v1", "10.0.0.0/8"),
    ],
)
def test_only_listed_networks_count_and_link_local_never(url, allowed):
    with pytest.raises(AddressRefused):
        check_reachable(url, Settings(teacher_networks=allowed).networks())


@pytest.mark.parametrize(
    ("url", "allowed"), [("http://10.1.2.3/v1", "10.0.0.0/8"), ("http://localhost/v1", "127.0.0.0/8,::1/128")]
)
def test_a_listed_network_is_allowed(url, allowed):
    check_reachable(url, Settings(teacher_networks=allowed).networks())
