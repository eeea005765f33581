"""The command line without any Retort: help, typos, what it loads, and how it says that nobody is there."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer.main
from typer.core import TyperCommand

from service.cli import app

ROOT = Path(__file__).parents[3]
Retort = Callable[..., subprocess.CompletedProcess[str]]

NOBODY = "http://127.0.0.1:9"
"""The discard port: nothing listens there."""
PRINTS_A_SCRIPT = {"retort completion"}
BECOMES_ANOTHER_PROGRAM = {"retort worker", "retort teacher serve", "retort teacher fake"}


def test_nobody_there_is_exit_code_3_and_says_what_to_do(retort: Retort) -> None:
    result = retort("status", RETORT_URL=NOBODY)
    assert (result.returncode, result.stdout) == (3, "")
    assert result.stderr == f"no Retort at {NOBODY}: start one with `retort up`\n"


def test_with_json_the_failure_is_json_too(retort: Retort) -> None:
    result = retort("--url", NOBODY, "teacher", "list", "--json")
    assert result.returncode == 3
    assert json.loads(result.stdout)["error"]["title"] == f"no Retort at {NOBODY}"


def test_a_url_that_is_none_is_told(retort: Retort) -> None:
    result = retort("status", RETORT_URL="localhost:8080")
    assert result.returncode == 3
    assert "is not a URL: expected http://host:port" in result.stderr


def test_a_typo_gets_a_suggestion(retort: Retort) -> None:
    result = retort("submitt")
    assert result.returncode == 2
    assert "Did you mean 'submit'?" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("export", "sums"), "'sums' names no dataset version; expected NAME@N"),
        (("status", "sums@one"), "'sums@one' names no dataset version"),
        (("status", "--follow"), "--follow needs"),
        (("train", "sums@1", "--student", "s", "--set-knob", "epochs"), "expected KEY=VALUE"),
        (("curate", "sums", "--batch", "b", "--recipe", "none.json", "--use", "research"), "cannot read none.json"),
        (
            ("curate", "sums", "--batch", "b", "--recipe", "r.yaml", "--use", "research"),
            "expected a .json or .toml file",
        ),
        (("curate", "sums", "--batch", "b", "--recipe", "r.json", "--use", "fun"), "'fun' is not one of"),
        (("cancel", "sums@1"), "a curation cannot be cancelled"),
        (("up", "--host", "0.0.0.0"), "Set RETORT_API_KEY"),  # noqa: S104
    ],
)
def test_wrong_usage_is_exit_code_2_and_says_what_was_expected(
    retort: Retort, arguments: tuple[str, ...], message: str
) -> None:
    result = retort(*arguments, RETORT_URL=NOBODY)
    assert result.returncode == 2
    assert message in result.stderr


def test_what_follows_two_dashes_reaches_the_program_that_a_command_becomes(retort: Retort) -> None:
    result = retort("teacher", "serve", "no-such-model", "--port", "0", "--", "--dtype", "bfloat16")
    assert "no model folder no-such-model" in result.stderr


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from service.cli import app; app(['--help'], standalone_mode=False);"
        "print(sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    heavy = ("httpx", "pydantic", "rich", "fastapi", "sqlmodel", "uvicorn", "asyncio", "torch")
    assert [name for name in heavy if f"'{name}'" in result.stderr] == []
    assert "\x1b" not in result.stdout


def test_help_names_the_exit_codes(retort: Retort) -> None:
    assert "Exit codes: 0 done, 1 the work failed" in retort("--help").stdout


def commands() -> dict[str, TyperCommand]:
    found: dict[str, TyperCommand] = {}

    def collect(name: str, command: TyperCommand) -> None:
        children = getattr(command, "commands", None)
        if children is None:
            found[name] = command
        for part, child in (children or {}).items():
            collect(f"{name} {part}", child)

    collect("retort", typer.main.get_command(app))  # pyright: ignore[reportArgumentType]
    return found


@pytest.mark.parametrize("name", sorted(commands().keys() - BECOMES_ANOTHER_PROGRAM - PRINTS_A_SCRIPT))
def test_every_command_speaks_json_and_has_help(name: str) -> None:
    command = commands()[name]
    options = {option for parameter in command.params for option in parameter.opts}
    assert "--json" in options
    assert command.help
    assert all(getattr(parameter, "help", None) for parameter in command.params)


def test_doctor_names_what_is_missing_and_how_to_get_it(retort: Retort) -> None:
    result = retort("doctor", "--json", RETORT_URL=NOBODY)
    checks = {check["name"]: check for check in json.loads(result.stdout)}
    assert result.returncode == 0
    assert checks["python"]["ok"]
    assert checks["database"]["ok"]
    assert not checks["api"]["ok"]
    assert "retort up" in checks["api"]["todo"]
    assert all(check["todo"] for check in checks.values() if not check["ok"])


def test_doctor_fails_without_its_database(retort: Retort) -> None:
    result = retort("doctor", RETORT_URL=NOBODY, RETORT_DATABASE_URL="postgresql://nobody@127.0.0.1:9/none")
    assert result.returncode == 1
    assert "MISSING  database" in result.stdout
