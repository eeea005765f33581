"""Pages of traces: found by facets and words, and told whole."""

import re

import pytest

from tests.service.pages.reader import Page, traces


def test_an_empty_field_of_the_form_asks_for_nothing(filled):
    form = "q=&batch=&teacher=&category=&version=&outcome=&reason="
    assert traces(filled.get(f"/traces?{form}").text) == traces(filled.get("/traces").text)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("outcome=reject&reason=wrong_answer", 14),
        ("version=arithmetic@1&outcome=reject&reason=truncated", 2),
        ("category=<b>speed</b>&outcome=keep&version=arithmetic@1", 16),
        ("q=PERCENT", 0),
        ("q=times 7 is", 15),
        ('q="times 7 is"', 11),
        ("q=t%25answer", 0),
        ("teacher=gone", 0),
        ("batch=' OR 1=1 --", 0),
    ],
)
def test_facets_narrow_the_traces_and_pages_show_each_once(filled, query, found):
    path, seen = f"/traces?{query}", []
    while path:
        page = Page(filled.get(path).text)
        seen += [link for link in page.links if re.fullmatch(r"/traces/\d+(\?.*)?", link)]
        path = next((link for link in page.links if "after=" in link), "")
    assert (len(seen), len(set(seen))) == (found, found)


def test_a_long_text_is_cut_in_the_list_and_whole_on_its_own_page(filled):
    listed = filled.get("/traces", params={"q": "word word", "reason": ""}).text
    trace = traces(listed)[0]
    assert "more characters" in listed
    assert (listed.count("word") < 700, filled.get(trace).text.count("word") > 2000) == (True, True)


def test_a_trace_tells_everything(site):
    page = site["/traces/18"]
    for said in (
        "near_duplicate",
        "trace 16",
        "0.8734",
        "arithmetic@1",
        "split train",
        '"role": "assistant"',
        "198 tokens",
    ):
        assert said in page.text, said
    assert {"del", "ins"} <= {tag for tag, _ in page.tags}


def test_a_trace_shows_what_people_said(site):
    assert any("Ada <ada@example.org>" in page.text for page in site.values())


@pytest.mark.parametrize(
    ("asked", "marked"),
    [
        ("rule", ["rule"]),
        ('"step by step"', ["step by step"]),
        ("APPL*", ["apply"]),
        ("rule -banana", ["rule"]),
        ("-banana", []),
    ],
)
def test_what_was_looked_for_is_shown_with_what_stands_around_it(filled, asked, marked):
    found = filled.get("/traces", params={"q": asked}, headers={"Accept": "text/html"}).text
    assert sorted(set(re.findall("<mark>(.*?)</mark>", found))) == marked
