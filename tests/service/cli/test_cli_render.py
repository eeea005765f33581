"""`retort render`: a sealed version on a worker, a folder here; a row that does not fit is told, never cut."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.testing import Result

from service.client import Client
from tests.trainer.tiny import make_row, write_dataset, write_student

Call = Callable[..., Result]
RECIPE: dict[str, Any] = {"filters": [{"kind": "length", "tokens_min": 1}], "on_abstain": "keep"}


@pytest.fixture
def sealed(call: Call, client: Client, teacher: dict[str, Any], worker: None, tmp_path: Path) -> str:
    """A version of twelve rows, one of them with a prompt that takes most of the room."""
    rows = [{"prompt": f"What is {n} + {n}?" + " now" * 300 * (n == 7), "license": "cc0-1.0"} for n in range(12)]
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "recipe.json").write_text(json.dumps(RECIPE))
    followed = call("submit", "prompts.jsonl", "--teacher", "tiny", "--follow", "--json")
    batch = json.loads(followed.stdout.splitlines()[-1])["id"]
    order = ("--recipe", "recipe.json", "--use", "commercial", "--eval", "0", "--test", "0", "--follow")
    assert call("curate", "sums", "--batch", batch, *order).exit_code == 0
    return "sums@1"


def test_a_worker_names_the_rows_that_do_not_fit(call: Call, client: Client, sealed: str, tmp_path: Path) -> None:
    student = str(write_student(tmp_path / "student", positions=4096))
    there = call("render", sealed, "--student", student, "--max-length", "500", "--out", "there", "--json")
    assert there.exit_code == 1, there.output
    told = json.loads(there.stdout)
    train = told["report"]["splits"]["train"]
    assert (train["rows"], train["fit"], train["problems"]) == (12, 11, {"would_be_cut": 1})
    assert (train["reasoning"]["lost"], told["report"]["max_length"]) == (0, 500)
    (rejected,) = pq.read_table(tmp_path / "there" / "rejected.parquet").to_pylist()
    assert (rejected["id"], rejected["reason"]) == (told["report"]["examples"][0]["id"], "would_be_cut")
    assert "now now" in rejected["prompt"][0]["content"]
    assert client.rendering(told["id"]).rendered == 12

    assert "500 tokens a row" in call("status", told["id"]).stdout


def test_a_folder_is_rendered_without_a_service(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETORT_URL", "http://127.0.0.1:9")
    write_dataset(tmp_path / "folder", [make_row(number) for number in range(8)])
    student = str(write_student(tmp_path / "student"))
    sound = call("render", "folder", "--student", student, "--set-knob", "completion=answer_only")
    assert sound.exit_code == 0, sound.output
    assert "every row can be trained on" in sound.stdout
    assert [path.name for path in (tmp_path / "folder-render").iterdir()] == ["render.json"]
