"""From documents to prompts: a real API, a real worker, and the fake teacher with its replies written down."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import Result

from service.client import Client

Call = Callable[..., Result]

TEXT = "\n\n".join(
    f"The {name} is a river that rises in the hills and carries sand past {count} mills on its way down to the sea."
    for count, name in enumerate(["Elbe", "Oder", "Weser", "Main"], start=1)
)
REPLIES = {
    "The Elbe": '{"question": "How many mills does the Elbe pass?", "answer": "1"}',
    "The Oder": 'Here it is:\n```json\n{"question": "how many mills  does the elbe pass?", "answer": "1"}\n```',
    "The Weser": '{"question": "What does the passage say?", "answer": "3"}',
    "The Main": "I would rather not.",
}


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "rivers.txt").write_text(TEXT)
    return folder


def script(teacher: dict[str, Any]) -> None:
    answers = [{"match": match, "responses": [reply], "reasoning": "hm"} for match, reply in REPLIES.items()]
    url = teacher["base_url"].replace("/v1", "/fake/scenario")
    httpx.put(url, json={"answers": answers}, trust_env=False).raise_for_status()


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_documents_become_prompts_that_know_their_passage(
    call: Call, client: Client, teacher: dict[str, Any], worker: None, documents: Path, tmp_path: Path
) -> None:
    script(teacher)
    ask = ("questions", "write", str(documents), "--teacher", "tiny", "--passage-words", "25", "--answers")
    told = call(*ask, "--seed", "5", "--license", "cc0-1.0", "--category", "rivers", "--follow", "--json")
    assert told.exit_code == 0, told.stderr
    batch = json.loads(told.stdout.splitlines()[-1])
    assert (batch["prompts"], batch["state"], batch["sampling"]) == (4, "completed", {"seed": 5})

    out, rejected = tmp_path / "prompts.jsonl", tmp_path / "rejected.jsonl"
    collected = call("questions", "collect", batch["id"], "--out", str(out), "--rejected", str(rejected))
    assert collected.exit_code == 0, collected.stderr
    assert f"1 questions written to {out}" in collected.stdout
    assert "3 replies dropped: 1 duplicate, 1 not_json, 1 refers_to_passage" in collected.stdout

    [question] = rows(out)
    origin = question["meta"]["passage"]
    trace = client.trace(question["meta"]["trace"])
    assert (question["prompt"], question["reference"]) in {
        ("How many mills does the Elbe pass?", "1"),
        ("how many mills  does the elbe pass?", "1"),
    }
    assert (question["source"], question["license"], question["category"]) == (origin["document"], "cc0-1.0", "rivers")
    assert trace.meta is not None
    assert trace.meta["passage"] == origin
    assert TEXT[origin["start"] : origin["end"]] in trace.messages[0]["content"]
    assert (origin["seed"], question["meta"]["teacher"], question["meta"]["batch"]) == (5, "tiny", batch["id"])
    assert {row["reason"] for row in rows(rejected)} == {"duplicate", "not_json", "refers_to_passage"}
    assert all(client.trace(row["trace"]).batch == batch["id"] for row in rows(rejected))
    assert list(client.questions(batch["id"])) == [question]

    submitted = call("submit", str(out), "--teacher", "tiny", "--follow", "--json")
    assert submitted.exit_code == 0, submitted.stderr
    again = json.loads(call(*ask, "--seed", "5", "--license", "cc0-1.0", "--category", "rivers", "--json").stdout)
    assert (again["new"], again["id"]) == (False, batch["id"])


def test_prompts_can_be_written_instead_of_submitted(call: Call, documents: Path, tmp_path: Path) -> None:
    out = tmp_path / "asked.jsonl"
    write = ("questions", "write", str(documents), "--passage-words", "25", "--per-passage", "2", "--out", str(out))
    assert call(*write, "--limit", "3").exit_code == 0
    first = rows(out)
    assert len(first) == 6
    call(*write, "--limit", "3")
    assert rows(out) == first


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["none.txt", "--out", "x"], "none.txt: there is no such file or folder"),
        (["docs"], "give either --teacher, who is asked, or --out"),
        (["docs/empty.md", "--out", "x"], "the documents hold no passage that is long enough"),
    ],
)
def test_what_cannot_be_asked_about_is_told(
    call: Call, documents: Path, tmp_path: Path, arguments: list[str], said: str
) -> None:
    (documents / "empty.md").write_text("# Nothing\n")
    result = call("questions", "write", *arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert not (tmp_path / "x").exists()


def test_a_batch_that_asked_for_no_questions_has_none(
    call: Call, client: Client, teacher: dict[str, Any], worker: None, tmp_path: Path
) -> None:
    (tmp_path / "p.jsonl").write_text('{"prompt": "1 + 1?"}\n')
    batch = json.loads(call("submit", "p.jsonl", "--teacher", "tiny", "--follow", "--json").stdout.splitlines()[-1])
    collected = call("questions", "collect", batch["id"], "--out", "q.jsonl", "--json")
    assert collected.exit_code == 1
    assert json.loads(collected.stdout) == {"kept": 0, "dropped": {"no_passage": 1}, "out": "q.jsonl"}
    assert call("questions", "collect", "batch_none", "--out", "q.jsonl").exit_code == 2
