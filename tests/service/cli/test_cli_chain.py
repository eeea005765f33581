"""The whole way through the command line: ask, look, curate, take away; a teacher that is down meanwhile."""

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from service.client import Client

Call = Callable[..., Result]
RECIPE = '{"filters": [{"kind": "length", "tokens_min": 1}], "on_abstain": "keep"}'


@pytest.fixture
def prompts(tmp_path: Path) -> str:
    path = tmp_path / "prompts.jsonl"
    rows = ({"prompt": f"What is {n} + {n}?", "category": "sum", "license": "cc0-1.0"} for n in range(40))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.fixture
def batch(call: Call, teacher: dict[str, Any], worker: None, prompts: str) -> str:
    followed = call("submit", prompts, "--teacher", "tiny", "--follow", "--json")
    assert followed.exit_code == 0, followed.output
    states = [json.loads(line) for line in followed.stdout.splitlines()]
    assert states[-1]["state"] == "completed"
    return states[-1]["id"]


def test_from_prompts_to_a_folder(call: Call, batch: str, tmp_path: Path) -> None:
    table = call("traces", "--batch", batch, "--limit", "5").stdout
    assert len(table.splitlines()) == 6
    found = json.loads(call("traces", "-q", "Answer", "--json").stdout)
    assert len(found) == 40
    shown = call("trace", str(found[0]["id"])).stdout
    assert found[0]["response"].splitlines()[0] in shown
    assert "── reasoning" in shown

    (tmp_path / "recipe.json").write_text(RECIPE)
    order = ("curate", "sums", "--batch", batch, "--recipe", "recipe.json", "--use", "commercial")
    preview = call(*order, "--preview")
    assert "would keep 40 of a sample of 40" in preview.stdout
    sealed = call(*order, "--follow")
    assert sealed.exit_code == 0, sealed.output
    assert "sums@1 sealed" in sealed.stdout
    assert re.search(r"length +40 +40 +0 +0", sealed.stdout)
    assert "licence: allowed" in sealed.stdout
    assert "sums@1" in call("status").stdout
    assert call("wait", "sums@1").exit_code == 0

    exported = call("export", "sums@1", "--json")
    assert exported.exit_code == 0, exported.output
    assert sum(json.loads(exported.stdout)["rows"].values()) == 40
    assert (tmp_path / "sums-v1" / "manifest.json").is_file()
    other = call("export", "sums@1", "--format", "sharegpt", "--split", "train", "--reasoning", "drop")
    assert other.exit_code == 0, other.output
    named = json.loads((tmp_path / "sums-v1-sharegpt" / "dataset_info.json").read_text())
    assert named["sums-v1-train"]["file_name"] == "train.jsonl"
    assert "<think>" not in (tmp_path / "sums-v1-sharegpt" / "train.jsonl").read_text()
    assert "no place for it as 'field'" in call("export", "sums@1", "--format", "openai", "--reasoning", "field").stderr
    assert (tmp_path / "sums-v1" / "README.md").is_file()
    again = call("export", "sums@1")
    assert again.exit_code == 2
    assert "exists and is not empty" in again.stderr
    lines = call("export", "sums@1", "--format", "jsonl", "--out", "lines")
    assert 'load_dataset("json"' in lines.stdout
    assert sum(len(path.read_text().splitlines()) for path in (tmp_path / "lines").glob("*.jsonl")) == 40
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


def test_a_version_whose_licence_is_unknown_is_not_taken_away(
    call: Call, client: Client, teacher: dict[str, Any], worker: None, prompts: str, tmp_path: Path
) -> None:
    client.add_teacher("tiny", teacher["base_url"], teacher["model"], "")
    batch = json.loads(call("submit", prompts, "--teacher", "tiny", "--json").stdout)["id"]
    assert call("wait", batch).exit_code == 0
    (tmp_path / "recipe.json").write_text(RECIPE)
    sealed = call("curate", "sums", "--batch", batch, "--recipe", "recipe.json", "--use", "research", "--follow")
    assert "licence: unknown for research use" in sealed.stdout
    refused = call("export", "sums@1")
    assert refused.exit_code == 2
    assert "override" in refused.stderr
    assert not (tmp_path / "sums-v1").exists()


def test_work_that_waits_for_its_teacher_says_so(call: Call, client: Client, worker: None, prompts: str) -> None:
    client.add_teacher("tiny", "http://127.0.0.1:9/v1", "model", "apache-2.0")
    batch = json.loads(call("submit", prompts, "--teacher", "tiny", "--json").stdout)["id"]
    deadline = time.monotonic() + 60
    # It does not wait in the moments when the worker looks whether the teacher is back.
    while "waiting for teacher tiny" not in (told := call("status", batch).stdout):
        assert time.monotonic() < deadline, told
        time.sleep(0.2)
    assert "waiting for teacher tiny: connection refused. Start it with `retort teacher serve`" in told


@pytest.mark.train
def test_a_run_that_fails_says_why(call: Call, batch: str, tmp_path: Path) -> None:
    (tmp_path / "recipe.json").write_text(RECIPE)
    call("curate", "sums", "--batch", batch, "--recipe", "recipe.json", "--use", "research", "--follow")
    order = ("train", "sums@1", "--student", str(tmp_path / "nobody"), "--key", "once")
    failed = call(*order, "--follow")
    assert failed.exit_code == 1
    assert "student_not_found" in failed.stdout
    again = json.loads(call(*order, "--json").stdout)
    assert again["id"] in failed.stdout
    assert call("report", again["id"]).exit_code == 2
    assert again["id"] in call("status").stdout
