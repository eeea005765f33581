"""Exit codes, how a shell completes verbs, what the doctor says, and a backup from the command line."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from service import cli
from service.client import Client

Call = Callable[..., Result]
Retort = Callable[..., subprocess.CompletedProcess[str]]
DOWN = "http://127.0.0.1:9/v1"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("teacher", "list"), 0),
        (("licence", "check", "--teacher", "no-such-licence"), 1),
        (("status", "batch_none"), 2),
        (("submit",), 2),
        (("--url", "http://127.0.0.1:9", "status"), 3),
    ],
)
def test_exit_codes_are_those_of_the_help(call: Call, arguments: tuple[str, ...], code: int) -> None:
    assert call(*arguments).exit_code == code
    assert cli.__doc__
    assert f"| {code} |" in cli.__doc__


def test_bash_completes_verbs_and_options(tmp_path: Path) -> None:
    shim = tmp_path / "retort"
    shim.write_text(f"#!/bin/sh\nexec {sys.executable} -c 'from service.cli import main; main()' \"$@\"\n")
    shim.chmod(0o755)
    ask = """
eval "$(retort completion bash)"
complete_word() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _retort_completion retort; echo "${COMPREPLY[*]}"; }
complete_word retort teac
complete_word retort submit --token
"""
    env = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", ask], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["teacher", "--token-budget"]


@pytest.mark.parametrize(("shell", "word"), [("zsh", "#compdef retort"), ("fish", "complete --command retort")])
def test_other_shells_get_a_script_of_theirs(retort: Retort, shell: str, word: str) -> None:
    assert word in retort("completion", shell).stdout


def found(result: Result) -> dict[str, dict[str, object]]:
    return {check["name"]: check for check in json.loads(result.stdout)}


def test_the_doctor_finds_nothing_to_mend_where_all_is_well(call: Call, tmp_path: Path) -> None:
    result = call("doctor", "--data-dir", str(tmp_path), "--json")
    assert result.exit_code == 0
    checks = found(result)
    assert {"python", "folder", "disk", "database", "sandbox", "vllm", "gpu", "api", "door"} <= set(checks)
    assert all(checks[name]["ok"] for name in ("folder", "disk", "database", "backup", "api", "door"))
    assert "nobody does curate, generate" in str(checks["workers"]["found"])
    assert "retort worker --kinds" in str(checks["workers"]["todo"])
    assert "retort teacher add" in str(checks["teachers"]["todo"])


def test_the_doctor_asks_every_teacher(call: Call, client: Client, tmp_path: Path) -> None:
    client.add_teacher("tiny", DOWN, "model")
    result = call("doctor", "--data-dir", str(tmp_path))
    assert result.exit_code == 0, "a teacher that is down loses nothing"
    line = next(line for line in result.stdout.splitlines() if "teacher tiny" in line)
    assert line.startswith("no ")
    assert "nothing answers at http://127.0.0.1:9/v1" in line
    assert "`retort teacher probe tiny` says more" in result.stdout


def test_the_doctor_says_what_is_missing_and_what_to_do(retort: Retort, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    away = {"RETORT_DATABASE_URL": "postgresql://u@127.0.0.1:9/none", "RETORT_URL": "http://127.0.0.1:9"}
    done = retort("doctor", "--data-dir", "/proc/retort", **away)
    assert done.returncode == 1
    marks = {line[9:21].strip(): line.split()[0] for line in done.stdout.splitlines() if not line.startswith(" ")}
    assert (marks["folder"], marks["database"], marks["api"]) == ("MISSING", "MISSING", "no")
    assert "give another --data-dir" in done.stdout
    assert "is RETORT_DATABASE_URL right" in done.stdout
    assert "Retort cannot work before this is mended: folder, disk, database" in done.stdout


def test_a_backup_from_the_command_line_comes_back(retort: Retort, call: Call, client: Client, tmp_path: Path) -> None:
    client.add_teacher("tiny", DOWN, "model")
    made = retort("backup", "b.tar.zst", "--json")
    assert made.returncode == 0, made.stderr
    told = json.loads(made.stdout)
    assert (told["path"], told["database"], told["counts"]["traces"]) == ("b.tar.zst", "sqlite", 0)
    again = retort("backup", "b.tar.zst")
    assert (again.returncode, "is there already" in again.stderr) == (1, True)
    back = retort("restore", "b.tar.zst", "--data-dir", "other")
    assert back.returncode == 0, back.stderr
    assert back.stdout.startswith("other holds again 0 batches, 0 prompts, 0 traces")
    assert (tmp_path / "other/retort.db").is_file()
    nothing = retort("backup", "c", "--data-dir", "nowhere")
    assert (nothing.returncode, "there is no Retort in nowhere" in nothing.stderr) == (2, True)
