"""The pages of licences and settings."""

import re

import pytest
from fastapi.testclient import TestClient

from filters.licences.table import rows
from service.app import create_app
from service.settings import Settings
from tests.service.conftest import HERE
from tests.service.pages.reader import Page


@pytest.mark.parametrize(
    ("asked", "decision", "said"),
    [
        ({"teacher": "apache-2.0", "prompts": "cc-by-4.0"}, "allowed with duties", "name the authors"),
        ({"teacher": ["mit", "cc-by-nc-4.0"], "prompts": "own"}, "forbidden", "cc-by-nc"),
        ({"teacher": ["mit", "cc-by-nc-4.0"], "prompts": "own", "use": "research"}, "allowed", "for research use"),
        ({"teacher": "some licence <b>"}, "unknown", "--override"),
        ({"base": "llama3.1", "use": "nonsense"}, "allowed with duties", "for commercial use"),
    ],
)
def test_a_combination_is_answered_with_what_decides(filled, asked, decision, said):
    html = filled.get("/licences", params=asked).text
    page = Page(html)
    answer = page.text[page.text.index("Answer:") : page.text.index("Allowed all the same")]
    assert decision in answer
    assert said in answer
    assert page.unclosed == []
    for name in [asked.get("teacher", "")] if isinstance(asked.get("teacher", ""), str) else asked["teacher"]:
        assert any(attributes.get("value") == name for _, attributes in page.tags)


def test_the_table_has_every_licence_with_source_and_date(filled):
    page = Page(filled.get("/licences").text)
    ids = {attributes.get("id") for tag, attributes in page.tags if tag == "tr"}
    assert {row.id for row in rows()} <= ids
    assert all(str(row.read) in page.text for row in rows())
    assert "Answer:" not in page.text


def test_overrides_are_listed_with_who_and_why(filled):
    text = Page(filled.get("/licences").text).text
    assert re.search(r"arithmetic@1\s*mystery-1.0\s*Ada\s*asked the authors", text)


def test_every_setting_is_shown_and_no_secret(tmp_path, monkeypatch):
    monkeypatch.setenv("RETORT_LEASE_S", "45")
    monkeypatch.setenv("RETORT_API_KEY", "s3cret-key")
    settings = Settings(data_dir=tmp_path, database_url="")
    with TestClient(create_app(settings), base_url=HERE) as client:
        client.headers["Authorization"] = "Bearer s3cret-key"
        made = client.post("/api/keys", json={"name": "Ada <i>", "scope": "read"}).json()
        html = client.get("/settings").text
        reader = client.get("/settings", headers={"Authorization": f"Bearer {made['token']}"}).text
    text = Page(html).text
    for name in Settings.model_fields:
        assert f"RETORT_{name.upper()}" in text
    assert re.search(r"RETORT_LEASE_S\s*45.0\s*environment", text)
    assert re.search(r"RETORT_API_KEY\s*set, not shown\s*environment", text)
    assert re.search(r"RETORT_DRAIN_S\s*30.0\s*default", text)
    assert "s3cret-key" not in html
    assert ("Ada <i>" in text, made["token"] in html) == (True, False)
    assert "Ada" not in reader


def test_workers_are_seen_by_the_jobs_they_took(filled):
    text = Page(filled.get("/settings").text).text
    assert re.search(r"worker-7\s*running\s*1 job", text)
