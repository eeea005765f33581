"""Deciding about a trace with the form of its page, and reading on from one to the next."""

import re

import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from service.settings import Settings
from tests.service.conftest import HERE
from tests.service.pages.conftest import BROWSER, filled_folder


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = filled_folder(tmp_path_factory, "reviewed")
    with TestClient(create_app(Settings(data_dir=folder, database_url="")), base_url=HERE, headers=BROWSER) as running:
        yield running


def send(site, trace_id, **form):
    return site.post(f"/traces/{trace_id}/review", data={"author": "Ann", **form}, follow_redirects=False)


def told(site, trace_id):
    trace = site.get(f"/api/traces/{trace_id}").json()
    return [(said["author"], said["outcome"], said["response"], said["withdraws"]) for said in trace["reviews"]]


def test_a_decision_is_noted_and_the_page_shown_again_with_what_was_looked_for(site):
    sent = send(site, 20, do="keep", tags="odd, nice", reason="clear", search="?q=a b&outcome=keep")
    assert (sent.status_code, sent.headers["location"]) == (303, "/traces/20?q=a%20b&outcome=keep#decide")
    page = site.get("/traces/20").text
    assert 'value="Ann"' in page
    assert 'href="/traces?tag=nice"' in page
    assert told(site, 20) == [("Ann", "keep", None, None)]
    send(site, 20, do="edit", tags="odd", response="one\r\ntwo")
    send(site, 20, do="reject")
    last = re.search(r'name="last" value="(\d+)"', site.get("/traces/20").text)
    assert last
    send(site, 20, do="undo", last=last.group(1))
    assert told(site, 20)[0] == ("Ann", "keep", "one\ntwo", int(last.group(1)))
    assert "one\ntwo</textarea>" in site.get("/traces/20").text


def test_a_form_that_says_nothing_or_comes_too_late_is_told_so_on_a_page(site):
    for status, form in [
        (422, {"do": "undo"}),
        (409, {"do": "undo", "last": 999}),
        (422, {"do": "keep", "author": " "}),
    ]:
        refused = send(site, 30, **form)
        assert (refused.status_code, refused.headers["content-type"][:9]) == (status, "text/html")
    assert told(site, 30) == []


@pytest.mark.parametrize("search", ["//evil.example", "?\r\nSet-Cookie: a=b", "?q=<script>", "#x"])
def test_what_was_looked_for_leads_nowhere_else(site, search):
    sent = send(site, 31, do="keep", search=search)
    assert re.fullmatch(r"/traces/31(\?[\w=&%+.~-]*)?#decide", sent.headers["location"])


def test_another_site_cannot_decide(site):
    sent = site.post("/traces/32/review", data={"do": "keep", "author": "x"}, headers={"Sec-Fetch-Site": "cross-site"})
    assert (sent.status_code, told(site, 32)) == (403, [])


@pytest.mark.parametrize(
    ("path", "leads"),
    [
        ("/traces/18/next?outcome=reject", "/traces/19?outcome=reject"),
        ("/traces/18/previous?outcome=reject&q=", "/traces/10?outcome=reject"),
        ("/traces/1/previous", "/traces"),
        ("/traces/77/next?teacher=big", "/traces?teacher=big"),
    ],
)
def test_reading_goes_on_among_what_was_looked_for(site, path, leads):
    assert site.get(path, follow_redirects=False).headers["location"] == leads


def test_answers_to_one_prompt_stand_side_by_side(site):
    page = site.get("/prompts/9").text
    assert re.findall(r'href="/traces/(\d+)">big, answer (\d)', page) == [("17", "1"), ("18", "2")]
    assert site.get("/prompts/9999").status_code == 404


def test_the_api_says_what_a_review_lacks(site):
    for body in ({}, {"tags": ["a b"]}, {"response": "x"}, {"withdraws": 1, "outcome": "keep"}, {"outcome": "maybe"}):
        assert site.patch("/api/traces/33", json={"author": "Ann", **body}).status_code == 422
    kept = site.patch("/api/traces/33", json={"author": "Ann", "outcome": "keep", "tags": ["a"]}).json()
    assert (kept["tags"], kept["reviews"][0]["outcome"]) == (["a"], "keep")
