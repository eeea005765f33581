"""The recipe editor: forms made of the filters' schemas, the funnel of a sample, errors at their knobs, a version."""

import json
import re
from html import unescape
from urllib.parse import quote, urlencode

import pytest
from starlette.datastructures import QueryParams

from filters.recipe import FILTERS, Recipe
from service.pages import draft, knobs
from tests.service.pages.conftest import BROWSER, filled_folder, with_key
from tests.service.pages.ids import DONE
from tests.service.pages.reader import Page, fields

LENGTH = {"begun": "1", "batch": DONE, "f0.kind": "length", "f0.tokens_min": "200"}


def read(**fields: str) -> draft.Draft:
    return draft.read(QueryParams(list(fields.items())))


@pytest.mark.parametrize("kind", sorted(FILTERS))
def test_every_knob_of_every_filter_has_a_field_with_its_reason(filled, kind):
    html = filled.get("/recipes", params={"begun": "1", "f0.kind": kind}).text
    shown, page = Page(html), html
    names = {attributes.get("name") for tag, attributes in shown.tags if tag in {"input", "select", "textarea"}}
    for name in FILTERS[kind].model_json_schema()["properties"]:
        assert f"f0.{name}" in names
        assert name == "kind" or re.search(rf'id="f0-{name}-why">(<code>)?\w', page), name
    assert shown.unclosed == []


@pytest.mark.parametrize("kind", sorted(FILTERS))
def test_a_form_that_nobody_touched_changes_no_knob(filled, kind):
    """Whatever a field shows of a default is read back as that default."""
    html = filled.get("/recipes", params={"begun": "1", "f0.kind": kind}).text
    assert draft.read(QueryParams(fields(html, "recipe"))).filters == [{"kind": kind}]


@pytest.mark.parametrize(
    "filters",
    [
        [{"kind": "length", "tokens_min": 8, "response_chars_max": 100}, {"kind": "length", "tokens_max": 64}],
        [{"kind": "pii", "find": ["email"]}, {"kind": "pii", "find": []}],
        [{"kind": "language", "languages": ["de", "en"], "confidence_min": 0.5}],
        [{"kind": "consistency", "answer": False, "tolerance": 0.05}],
        [{"kind": "licence", "overrides": [{"licence": "x", "reason": "ä <b>", "author": "Ada"}]}],
        [{"kind": "judged", "teacher": "big", "rubric": "Is it\nright?"}],
        [{"kind": "select", "count": 10, "by": "diversity", "balance": True}],
        [],
    ],
)
def test_a_recipe_goes_through_text_and_form_unchanged(filled, filters):
    recipe = {"filters": filters, "on_abstain": "reject"}
    by_text = filled.get("/recipes", params={"text": json.dumps(recipe), "begun": "1"})
    kept = filled.get("/recipes/recipe.json", params=fields(by_text.text, "recipe")).json()
    assert kept == recipe
    assert Recipe.parse(kept) == Recipe.parse(recipe)


def test_filters_are_added_moved_and_removed():
    begun = {"begun": "1", "f0.kind": "length", "f1.kind": "verified"}

    def kinds(**more: str) -> list[str]:
        return [each["kind"] for each in read(**begun, **more).filters]

    assert kinds(do="add", new="refusal") == ["length", "verified", "refusal"]
    assert kinds(do="add", new="nonsense") == ["length", "verified"]
    assert kinds(do="up.1") == kinds(do="down.0") == ["verified", "length"]
    assert kinds(do="up.0") == kinds(do="down.1") == kinds(do="up.7") == ["length", "verified"]
    assert kinds(do="remove.0") == ["verified"]


def test_the_number_of_filters_is_bounded():
    many = {f"f{place}.kind": "length" for place in range(draft.FILTERS_MAX + 5)}
    assert len(read(begun="1", do="add", new="length", **many).filters) == draft.FILTERS_MAX


def test_the_editor_begins_with_a_recipe_that_stands():
    begun = read()
    assert begun.recipe()
    assert [each["kind"] for each in begun.filters][:2] == ["licence", "length"]


def test_the_funnel_tells_reasons_with_traces_to_look_at(filled):
    page = Page(filled.post("/recipes/funnel", data=LENGTH).text)
    assert "69 of 77" in page.text
    assert re.search(r"too_short\s+6", page.text)
    assert "/traces/1" in page.links
    answer = filled.get("/traces/1")
    assert answer.status_code == 200


def test_without_javascript_a_button_gives_the_same_funnel(filled):
    whole = filled.post("/recipes", data=LENGTH, headers=BROWSER).text
    assert "69 of 77" in whole
    assert ("f0.tokens_min", "200") in fields(whole, "recipe")


@pytest.mark.parametrize(
    ("sent", "knob", "said"),
    [
        ({"f0.tokens_min": "x"}, "f0-tokens_min", "valid integer"),
        ({"f0.tokens_min": "0"}, "f0-tokens_min", "greater than 0"),
        ({"f1.kind": "contamination", "f1.benchmarks": ""}, "f1-benchmarks", "missing"),
        ({"f1.kind": "contamination", "f1.benchmarks": "gsm9k"}, "f1-benchmarks", "no benchmark is called"),
        ({"f1.kind": "judged", "f1.teacher": "bigg", "f1.rubric": "r"}, "f1-teacher", "did you mean &#39;big&#39;"),
    ],
)
def test_an_error_is_named_at_its_knob(filled, sent, knob, said):
    for path in ("/recipes", "/recipes/funnel"):
        html = filled.post(path, data=LENGTH | sent).text
        assert f'href="#{knob}"' in html
        assert said in html
    whole = filled.post("/recipes", data=LENGTH | sent).text
    assert re.search(rf'id="{knob}" [^>]*aria-invalid=true', whole)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{bad", "this is no JSON"),
        ("[]", "valid"),
        ('{"filters": [{"kind": "lenght"}]}', "did you mean &#39;length&#39;"),
        ('{"filters": [{"kind": "length", "token_min": 3}]}', "did you mean &#39;tokens_min&#39;"),
    ],
)
def test_a_text_that_cannot_be_used_stays_and_says_why(filled, text, said):
    html = filled.get(f"/recipes?begun=1&text={quote(text)}").text
    assert said in html
    assert re.sub(r"\s", "", unescape(html)).count(re.sub(r"\s", "", text)) >= 1


def test_a_versions_recipe_is_where_one_may_begin(filled):
    html = filled.get("/recipes?version=arithmetic@1").text
    assert ("batch", DONE) in fields(html, "recipe")
    assert ("name", "arithmetic") in fields(html, "recipe")
    assert filled.get("/recipes?version=arithmetic@9", headers=BROWSER).status_code == 404


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    with with_key(filled_folder(tmp_path_factory, "recipes")) as client:
        yield client


def test_curating_starts_the_version_that_the_form_describes(own):
    order = LENGTH | {"name": "fresh", "use": "commercial", "base": "mit", "eval": "0.1"}
    assert own.post("/recipes/curate", data=order).headers["location"] == "/datasets/fresh/1"
    made = own.get("/api/datasets/fresh/versions/1").json()
    assert made["recipe"]["filters"][0]["tokens_min"] == 200
    assert (made["intended_use"], made["batches"], made["split"]["eval"]) == ("commercial", [DONE], 0.1)


def test_an_overridden_licence_and_a_review_stand_in_the_audit(own):
    override = {"licence": "mystery-1.0", "reason": "asked the authors", "author": "Ada"}
    body = {"name": "cleared", "batches": [DONE], "recipe": {"filters": []}, "overrides": [override]}
    for _ in range(2):  # the same order again is the same version, and no new act
        assert own.post("/api/datasets", json=body).status_code < 300
    own.patch("/api/traces/7", json={"outcome": "reject", "author": "Ada"})
    rows = own.get("/api/audit?limit=2").json()["data"]
    assert [(row["act"], row["subject"]) for row in rows] == [
        ("trace.reviewed", "7"),
        ("licence.overridden", "cleared@1"),
    ]
    assert rows[1]["detail"] == override


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"name": "No Name"}, "name: "),
        ({"name": "a", "eval": "2"}, "split.eval: "),
        ({"name": "a", "f0.tokens_min": "x"}, "valid integer"),
    ],
)
def test_an_order_that_cannot_be_carried_out_keeps_the_form(own, wrong, said):
    answer = own.post("/recipes/curate", data=LENGTH | wrong)
    assert answer.status_code == 422
    assert said in answer.text
    assert ("batch", DONE) in fields(answer.text, "recipe")


def test_a_key_that_may_only_read_edits_and_downloads_but_starts_nothing(own):
    token = own.post("/api/keys", json={"name": "r", "scope": "read"}).json()["token"]
    headers = {"Authorization": f"Bearer {token}"}
    page = own.get(f"/recipes?{urlencode(LENGTH)}", headers=headers)
    assert (page.status_code, "needs a key with the scope submit" in page.text) == (200, True)
    assert "hx-post" not in page.text
    assert (
        own.get(f"/recipes/recipe.json?{urlencode(LENGTH)}", headers=headers).json()["filters"][0]["tokens_min"] == 200
    )
    for path in ("/recipes", "/recipes/funnel", "/recipes/curate"):
        assert own.post(path, data=LENGTH, headers=headers).status_code == 403


@pytest.mark.parametrize(("site", "status"), [("same-origin", 200), ("same-site", 403), ("cross-site", 403)])
def test_no_other_page_sends_the_form_of_a_retort_without_a_key(filled, site, status):
    assert filled.post("/recipes/funnel", data=LENGTH, headers={"Sec-Fetch-Site": site}).status_code == status


def test_a_form_without_end_is_refused(filled):
    assert filled.post("/recipes/funnel", data=LENGTH | {"f1.kind": "x" * 2**20}).status_code == 413


def test_purposes_and_knobs_come_from_the_filters_themselves():
    assert all(knobs.purpose(kind) and all(knob.reason for knob in knobs.knobs(kind)) for kind in FILTERS)
