"""`retort submit` with files from elsewhere, and the same file more than once."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from service.client import Client

Call = Callable[..., Result]


@pytest.fixture
def table(client: Client, tmp_path: Path) -> Path:
    client.add_teacher("tiny", "http://127.0.0.1:9/v1", "model", "apache-2.0")
    path = tmp_path / "table.csv"
    path.write_text("question,answer,level\n1 + 1?,2,easy\n2 + 2?,4,easy\n")
    return path


MAP = ("--map", "question:prompt", "--map", "answer:reference", "--map", "level:category")


def submitted(call: Call, path: Path | str, *more: str, **options: Any) -> dict[str, Any]:
    result = call("submit", str(path), "--teacher", "tiny", "--json", *more, **options)
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_a_table_with_other_column_names_is_submitted_with_a_map(call: Call, table: Path) -> None:
    assert submitted(call, table, *MAP)["prompts"] == 2
    refused = call("submit", str(table), "--teacher", "tiny")
    assert refused.exit_code == 2
    assert "column 'question': unknown column" in refused.stderr
    assert "map=COLUMN:FIELD" in refused.stderr


def test_a_table_from_stdin_is_called_by_its_format(call: Call, table: Path) -> None:
    assert submitted(call, "-", *MAP, "--format", "csv", input=table.read_text())["prompts"] == 2
    assert "expected jsonl, csv or parquet" in call("submit", "-", "--teacher", "tiny", "--format", "xls").stderr


def test_the_same_file_with_the_same_options_is_one_batch_until_asked_again(call: Call, table: Path) -> None:
    first, same = submitted(call, table, *MAP), submitted(call, table, *MAP)
    assert (first["new"], same["new"], same["id"]) == (True, False, first["id"])
    told = call("submit", str(table), "--teacher", "tiny", *MAP).stderr
    assert f"submitted before, as {first['id']} (in_progress); --again asks anew" in told
    others = [submitted(call, table, *MAP, *more) for more in (["--again"], ["--again"], ["-n", "2"])]
    assert len({first["id"], *(other["id"] for other in others)}) == 4


def test_a_bad_row_of_a_table_is_told_with_its_line_and_column(call: Call, table: Path) -> None:
    table.write_text(table.read_text() + ",5,easy\n3 + 3?,6\n")
    refused = call("submit", str(table), "--teacher", "tiny", *MAP)
    assert refused.exit_code == 2
    assert "line 4: give either 'prompt' (text) or 'messages'" in refused.stderr
    assert "line 5: expected 3 cells, as in the header, found 2" in refused.stderr


def test_references_that_cannot_be_graded_are_told_or_refused_before_anything_is_asked(call: Call, table: Path) -> None:
    table.write_text("prompt,reference,verifier\n1 + 1?,two,number\n2 + 2?,4,number\n")
    refused = call("submit", str(table), "--teacher", "tiny", "--ungradable", "refuse")
    assert refused.exit_code == 2
    assert "line 2, field 'reference': the verifier 'number' cannot grade the reference 'two'" in refused.stderr
    told = call("submit", str(table), "--teacher", "tiny")
    assert "1 of 2 references cannot be graded" in told.stdout
    assert "line 2 (2): number cannot grade 'two'" in told.stdout
