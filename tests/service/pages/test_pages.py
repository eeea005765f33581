"""The pages over a real database: each can be read, is safe with hostile text, and leads on to the next."""

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from service.settings import Settings
from tests.service.conftest import HERE as LOCAL
from tests.service.pages.conftest import BROWSER, MOVING, STILL
from tests.service.pages.ids import ASKING, BROKEN, DONE, TRAINED
from tests.service.pages.reader import Page, traces
from tests.service.pages.report import HOSTILE

FIXED = ["/", "/live", "/batches", "/traces", "/datasets", "/recipes", "/runs", "/teachers"]
FIXED += ["/licences", "/settings", "/audit"]


@pytest.mark.parametrize("path", FIXED)
def test_a_page_can_be_read_before_there_is_anything(empty, path):
    answer = empty.get(path)
    assert (answer.status_code, Page(answer.text).unclosed) == (200, [])


def test_the_empty_front_page_tells_the_first_commands(empty):
    text = empty.get("/").text
    places = [text.index(command) for command in ("retort teacher add", "retort submit", "retort curate")]
    assert places == sorted(places)


def test_every_page_is_reached_by_links(site):
    for path in (
        f"/batches/{DONE}",
        "/traces/18",
        "/prompts/9",
        "/datasets/arithmetic/1",
        "/datasets/arithmetic/2",
        f"/runs/{TRAINED}",
        "/datasets/arithmetic/1/ledger?filter=near_duplicate&reason=near_duplicate",
    ):
        assert path in site


def test_every_element_is_closed(site):
    assert {path: page.unclosed for path, page in site.items() if page.unclosed} == {}


def test_no_page_has_code_or_style_of_its_own(site):
    for path, page in site.items():
        assert page.scripts == "", path
        for tag, attributes in page.tags:
            assert tag not in {"style", "iframe", "object", "embed", "base"}, path
            assert not [name for name in attributes if name == "style" or name.startswith("on")], path


def test_pages_load_and_lead_nowhere_else(site):
    for path, page in site.items():
        for tag, attributes in page.tags:
            for name in ("src", "href", "action", "hx-get"):
                url = attributes.get(name, "/")
                if path.startswith("/licences") and attributes.get("rel") == "noreferrer noopener":
                    continue  # the source of a licence, from Retort's own table
                assert re.match(r"#|/(?!/)", url), f"{path}: {tag} {name}={url}"


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_shown_as_text(site, text):
    assert any(text in page.text for page in site.values())


def test_only_the_page_itself_polls(site):
    """A trace that brings `hx-get` of its own must not make a browser ask for anything."""
    for page in site.values():
        assert all(attributes["id"].startswith("poll-") for _, attributes in page.tags if "hx-get" in attributes)


@pytest.mark.parametrize("path", [*FIXED, "/nothing", "/traces/999999", "/traces?after=x", "/static/retort.css"])
def test_headers_forbid_what_a_page_does_not_need(filled, path):
    headers = filled.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    if not path.startswith("/static/"):
        policy = dict(part.strip().partition(" ")[::2] for part in headers["content-security-policy"].split(";"))
        assert "unsafe" not in headers["content-security-policy"]
        assert (policy["default-src"], policy["script-src"], policy["style-src"]) == ("'self'",) * 3
        assert (policy["object-src"], policy["base-uri"], policy["frame-ancestors"]) == ("'none'",) * 3
        assert (policy["img-src"], policy["form-action"]) == ("'self' data:", "'self'")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/nothing", 404),
        ("/batches/batch_x", 404),
        ("/traces/999999", 404),
        ("/traces/abc", 422),
        ("/datasets/arithmetik/1", 404),
        ("/datasets/arithmetic/9", 404),
        ("/traces?version=arithmetic", 200),
        ("/traces?version=arithmetic@x", 422),
        ("/runs/run_x/live", 404),
    ],
)
def test_a_browser_gets_an_error_as_a_page_and_a_program_as_a_document(filled, path, status):
    page, document = filled.get(path), filled.get(path, headers={"Accept": "*/*"})
    assert (page.status_code, document.status_code) == (status, status)
    assert page.headers["content-type"].startswith("text/html")
    if status != 200:
        assert document.headers["content-type"] == "application/problem+json"


def test_the_api_keeps_its_own_errors_for_browsers_too(filled):
    assert filled.get("/api/nothing").headers["content-type"] == "application/problem+json"


def test_an_error_page_names_the_nearest_dataset(filled):
    assert "did you mean &#39;arithmetic&#39;?" in filled.get("/datasets/arithmetik/1").text


@pytest.mark.parametrize("path", MOVING)
def test_what_moves_asks_again(site, path):
    assert [attributes["hx-get"] for _, attributes in site[path].tags if "hx-get" in attributes] == [path]


@pytest.mark.parametrize("path", STILL)
def test_what_has_ended_asks_no_more(site, path):
    assert not [attributes for _, attributes in site[path].tags if "hx-get" in attributes]


def test_with_a_key_set_pages_need_it_too(tmp_path):
    app = create_app(Settings(data_dir=tmp_path, database_url="", api_key="s3cret"))
    with TestClient(app, base_url=LOCAL, follow_redirects=False) as client:
        for path in FIXED:
            asked = client.get(path, headers=BROWSER)
            assert (asked.status_code, asked.headers["location"][:12]) == (303, "/sign-in?to="), path
            assert client.get(path, headers={"Accept": "*/*"}).status_code == 401, path
            assert client.get(path, headers={"Authorization": "Bearer s3cret"}).status_code == 200, path


@pytest.mark.parametrize(
    "said",
    [
        "Teacher gone does not answer: 4 shards wait",
        "retort teacher serve",
        "3 of 80 answers of batch_0f3c9a1b… failed",
        "2 timeout",
        "2 answers of batch_0f3c9a1b… came without the reasoning",
        "web@1 is blocked by its licences: unknown for commercial use",
        "run_deadbeef… failed: diverged",
        "step 120 of 400",
        "33 of 77 judged",
    ],
)
def test_the_front_page_says_what_runs_and_what_needs_a_person(site, said):
    assert said in site["/"].text


@pytest.mark.parametrize(
    "said",
    ["77", "timeout", "no answer within 600 s", "prompt_too_long", "temperature=0.7", "arithmetic@1", "kept 54 of 77"],
)
def test_a_batch_says_what_became_of_it(site, said):
    assert said in site[f"/batches/{DONE}"].text


def test_a_batch_says_what_it_waits_for(site):
    text = " ".join(site[f"/batches/{ASKING}"].text.split())
    assert "4 shards wait for gone: teacher down" in text
    assert "Next try in" in text


@pytest.mark.parametrize("reason", ["truncated", "wrong_answer", "near_duplicate"])
def test_each_reason_of_the_funnel_leads_to_as_many_rows_as_it_counts(filled, site, reason):
    page = site["/datasets/arithmetic/1"]
    link = next(link for link in page.links if f"reason={reason}" in link)
    counted = re.search(rf"{reason}\s+(\d+)", page.text)
    assert counted
    assert int(counted.group(1)) == len(set(traces(filled.get(link).text)))


def test_a_reason_that_only_abstained_says_so(filled):
    assert "abstains" in filled.get("/datasets/arithmetic/1/ledger?reason=no_reference").text


@pytest.mark.parametrize(
    ("path", "said", "unsaid"),
    [
        (
            "/datasets/arithmetic/1",
            ["allowed with duties", "begins with 'Llama'", "Ada allowed mystery-1.0", "load_dataset"],
            [],
        ),
        ("/datasets/web/1", ["unknown", "no licence stated", "neither downloaded nor trained on"], ["Parquet folder"]),
        ("/datasets/arithmetic/2", ["33 of 77 traces judged"], ["Funnel", "Take it away"]),
    ],
)
def test_a_version_says_what_may_be_done_with_it(site, path, said, unsaid):
    text = site[path].text
    assert [word for word in said if word not in text] == []
    assert [word for word in unsaid if word in text] == []


def test_the_card_is_shown_as_text(site):
    assert "# arithmetic, version 1" in site["/datasets/arithmetic/1"].text


def test_a_page_that_is_not_there_names_its_request_as_the_log_does(filled):
    gone = filled.get("/nothing", headers={"Accept": "text/html"})
    assert gone.headers["X-Request-Id"] in gone.text


def test_a_run_draws_its_losses_and_its_distance_from_the_teacher(site):
    drawn = [attributes for tag, attributes in site[f"/runs/{TRAINED}"].tags if tag == "polyline"]
    assert [len(line["points"].split()) for line in drawn] == [40, 8, 8, 8]


def test_a_page_is_the_same_without_its_database_events(filled, library: Path):
    """Old events are dropped from the database; the file of the run still has them."""
    folder = library / "runs" / BROKEN
    folder.mkdir()
    (folder / "events.jsonl").write_text("".join(f'{{"event": "step", "step": {n}, "loss": 1.5}}\n' for n in range(3)))
    assert "polyline" in filled.get(f"/runs/{BROKEN}").text


def test_no_address_of_a_page_is_one_of_the_api(filled):
    assert not [
        path
        for path in filled.get("/openapi.json").json()["paths"]
        if not urlsplit(path).path.startswith(("/api", "/v1", "/healthz", "/readyz", "/metrics"))
    ]
