"""Signing in: a browser shows the key that a person gave it once."""

import re
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from service.sessions import COOKIE
from service.settings import Settings
from tests.service.conftest import HERE

KEY = "s3cret"
BROWSER = {"accept": "text/html"}
OWN = {"sec-fetch-site": "same-origin"}


@pytest.fixture
def locked(tmp_path) -> Iterator[TestClient]:
    settings = Settings(data_dir=tmp_path, database_url="", api_key=KEY)
    with TestClient(create_app(settings), base_url=HERE, follow_redirects=False) as client:
        yield client


def sign_in(client: TestClient, key: str = KEY, to: str = "/"):
    return client.post("/sign-in", data={"key": key, "to": to}, headers=BROWSER)


def made(client: TestClient, scope: str) -> dict:
    admin = {"Authorization": f"Bearer {KEY}"}
    return client.post("/api/keys", json={"name": scope, "scope": scope}, headers=admin).json()


def test_a_browser_without_a_key_is_asked_for_one_and_sent_back(locked):
    sent = locked.get("/traces?q=a%26b", headers=BROWSER)
    assert (sent.status_code, sent.headers["location"]) == (303, "/sign-in?to=%2Ftraces%3Fq%3Da%2526b")
    form = locked.get(sent.headers["location"], headers=BROWSER)
    to = re.search('name="to" value="([^"]*)"', form.text)
    assert to
    assert to[1] == "/traces?q=a%26b"
    back = sign_in(locked, to=to[1])
    assert (back.status_code, back.headers["location"]) == (303, "/traces?q=a%26b")
    assert locked.get(back.headers["location"], headers=BROWSER).status_code == 200


def test_what_the_form_looks_like_needs_no_key(locked):
    assert locked.get("/static/retort.css").status_code == 200


def test_the_cookie_is_for_this_site_alone_and_holds_no_key(locked):
    cookie = sign_in(locked).headers["set-cookie"]
    assert {"HttpOnly", "SameSite=strict"} <= set(cookie.split("; "))
    assert KEY not in cookie


def test_a_wrong_key_is_told_and_opens_nothing(locked):
    answer = sign_in(locked, "wrong")
    assert (answer.status_code, COOKIE in answer.headers.get("set-cookie", "")) == (401, False)
    assert "opens nothing" in answer.text
    assert locked.get("/", headers=BROWSER).status_code == 303


@pytest.mark.parametrize("value", ["", "x", "InMi.x.y"])
def test_a_forged_cookie_opens_nothing(locked, value):
    locked.cookies.set(COOKIE, value)
    assert locked.get("/", headers=BROWSER).status_code == 303
    assert locked.get("/api/batches").status_code == 401


def test_a_session_ends_with_its_key(locked):
    key = made(locked, "read")
    sign_in(locked, key["token"])
    assert locked.get("/", headers=BROWSER).status_code == 200
    locked.delete(f"/api/keys/{key['id']}", headers={"Authorization": f"Bearer {KEY}"})
    assert locked.get("/", headers=BROWSER).status_code == 303


def test_a_session_ends_when_its_time_is_over(locked, monkeypatch):
    sign_in(locked)
    assert locked.get("/", headers=BROWSER).status_code == 200
    monkeypatch.setattr("service.sessions.SESSION_S", -1)
    assert locked.get("/", headers=BROWSER).status_code == 303


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (OWN, 200),
        ({"origin": HERE}, 200),
        ({"sec-fetch-site": "same-site"}, 401),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"origin": "http://127.0.0.1:9"}, 401),
        ({}, 401),
    ],
)
def test_only_pages_of_this_origin_may_change_something_with_the_cookie(locked, headers, status):
    sign_in(locked)
    body = {"teachers": ["mit"], "prompts": ["mit"]}
    assert locked.post("/api/licences/check", json=body, headers=headers).status_code == status


def test_a_session_allows_what_its_key_does(locked):
    sign_in(locked, made(locked, "read")["token"])
    body = {"teachers": ["mit"], "prompts": ["mit"]}
    assert locked.post("/api/licences/check", json=body, headers=OWN).status_code == 403


@pytest.mark.parametrize("to", ["https://evil.example/", "//evil.example", "/\\evil.example", "", "/a\nb"])
def test_nobody_is_sent_elsewhere(locked, to):
    assert sign_in(locked, to=to).headers["location"] == "/"


def test_signing_out_takes_the_cookie_back(locked):
    sign_in(locked)
    assert "Sign out" in locked.get("/sign-in", headers=BROWSER).text
    assert locked.post("/sign-out", headers=BROWSER | OWN).headers["location"] == "/sign-in"
    assert locked.get("/", headers=BROWSER).status_code == 303


def test_without_a_key_nobody_needs_to_sign_in(client):
    assert "No need to sign in" in client.get("/sign-in", headers=BROWSER).text
