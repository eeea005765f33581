"""Two versions beside each other, and the API's reference as a page."""

import re

import pytest

from tests.service.pages.conftest import BROWSER
from tests.service.pages.reader import Page

SAME = "/datasets/arithmetic/diff?from=loose@1&to=1"


def test_two_versions_are_compared_by_reason_with_the_rows_behind_each(filled):
    page = Page(filled.get(SAME).text)
    assert page.unclosed == []
    assert re.search(r"Removed\s*7", page.text)
    assert re.search(r"Moved to another split\s*3", page.text)
    rows = next(link for link in page.links if "change=removed" in link)
    listed = Page(filled.get(rows.partition("#")[0]).text)
    assert len([link for link in listed.links if link.startswith("/traces/")]) == 7
    assert "near_duplicate" in listed.text


def test_the_recipes_are_compared_knob_by_knob(filled):
    page = Page(filled.get(SAME).text)
    assert {"del", "ins"} <= {tag for tag, _ in page.tags}
    assert re.search(r"tokens_max=4096\s*tokens_max=8192", page.text)
    assert re.search(r"near_duplicate\s*not there", page.text)


def test_a_version_shows_what_is_in_it_by_category_and_length(filled):
    page = Page(filled.get("/datasets/arithmetic/1").text)
    text = page.text[page.text.index("By category") : page.text.index("Tokens of the kept answers")]
    rows = re.findall(r"kept (\d+)\s+rejected (\d+)\s+\1[\d.]+ %", text)
    assert len(rows) == 3
    assert (sum(int(kept) for kept, _ in rows), sum(int(rejected) for _, rejected in rows)) == (54, 23)
    assert [tag for tag, attributes in page.tags if attributes.get("class") == "length"]
    assert "Tokens of the kept answers" not in filled.get("/datasets/web/1").text


def test_one_version_alone_says_what_to_do(filled):
    page = Page(filled.get("/datasets/loose/diff").text)
    assert "one sealed version" in page.text
    assert "/recipes?version=loose%401" in page.links


@pytest.mark.parametrize(
    ("query", "status"), [("from=nothing@1&to=1", 404), ("to=2", 409), ("to=x", 422), ("to=1", 404)]
)
def test_what_cannot_be_compared_is_an_error_as_a_page(filled, query, status):
    assert filled.get(f"/datasets/arithmetic/diff?{query}", headers=BROWSER).status_code == status


def test_the_reference_has_every_route_and_loads_nothing_from_elsewhere(filled):
    answer = filled.get("/docs")
    page = Page(answer.text)
    ids = {attributes.get("id") for _, attributes in page.tags}
    document = filled.get("/openapi.json").json()
    assert {f"{method}-{path}" for path, said in document["paths"].items() for method in said} <= ids
    assert {link[1:] for link in page.links if link.startswith("#")} <= ids
    assert set(document["components"]["schemas"]) <= ids
    assert page.unclosed == []
    assert "http" not in " ".join(attributes.get("src", "") for _, attributes in page.tags)
    assert "script-src 'self'" in answer.headers["content-security-policy"]
