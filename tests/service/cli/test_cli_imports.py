"""`retort import`: which files of a folder are taken, and what a person sees."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from service.cli.imports import completions_of, data_files
from service.cli.terminal import BAD_INPUT, Refused

Call = Callable[..., Result]
OWNED = ("--teacher", "r1", "--license", "mit")


def lay(folder: Path, *names: str, text: str = '{"prompt": "a", "response": "b"}\n') -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_the_data_files_of_a_folder_are_taken_and_nothing_beside_them(tmp_path: Path) -> None:
    names = ("data/train-0.jsonl", "data/train-1.jsonl", "data/validation-0.jsonl", "rejected.parquet", ".cache/a.csv")
    folder = lay(tmp_path, *names)
    assert [path.name for path in data_files(folder, None)] == ["train-0.jsonl", "train-1.jsonl", "validation-0.jsonl"]
    assert [path.name for path in data_files(folder, "eval")] == ["validation-0.jsonl"]
    with pytest.raises(Refused, match="of the split test"):
        data_files(folder, "test")


def test_a_folder_of_save_to_disk_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="write it with to_parquet"):
        data_files(lay(tmp_path, "data-00000-of-00001.arrow"), None)


def test_a_page_of_completions_is_read_and_lines_are_left_to_the_service(tmp_path: Path) -> None:
    page = tmp_path / "page.json"
    page.write_text(json.dumps({"object": "list", "data": [{"id": "a"}, {"id": "b"}]}, indent=1))
    assert [each["id"] for each in completions_of(page) or ()] == ["a", "b"]
    page.write_text('{"id": "a"}\n{"id": "b"}\n')
    assert completions_of(page) is None


def test_a_folder_becomes_a_batch_for_each_file_and_once(call: Call, tmp_path: Path) -> None:
    folder = lay(tmp_path / "made", "train-0.jsonl", "train-1.jsonl")
    first = call("import", str(folder), *OWNED, "--json")
    assert first.exit_code == 0, first.output
    made = json.loads(first.stdout)["data"]
    assert [batch["imported"]["file"] for batch in made] == ["train-0.jsonl", "train-1.jsonl"]
    again = call("import", str(folder), *OWNED)
    assert all(batch["id"] in again.stdout for batch in made)
    assert "was imported before" in again.stderr


def test_bad_rows_are_listed(call: Call, tmp_path: Path) -> None:
    lay(tmp_path, "made.jsonl", text='{"prompt": "a"}\n{"prompt": "a", "respons": "b"}\n')
    refused = call("import", "made.jsonl", *OWNED)
    assert refused.exit_code == BAD_INPUT
    assert "line 1: there is no answer" in refused.stderr
    assert "line 2, respons: unknown field; did you mean 'response'?" in refused.stderr
