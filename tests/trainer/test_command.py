"""`python -m trainer` as a person first meets it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


def trainer(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "trainer", *arguments], capture_output=True, text=True, check=False)


def test_help_and_methods_need_no_heavy_library() -> None:
    shown = trainer("methods")
    assert shown.returncode == 0, shown.stderr
    assert json.loads(shown.stdout)["sft"]["config"]["properties"]["epochs"]["default"] == 3
    loaded = (
        "import sys, trainer.__main__; print([m for m in ('torch', 'transformers', 'pyarrow') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--student", "a/b"], "no_manifest"),
        ([], "invalid_knob"),
        (["--student", "a/b", "--set", "epoch=1"], "unknown_knob"),
    ],
)
def test_a_mistake_is_exit_2_one_event_and_a_word_on_stderr(tmp_path: Path, arguments: list[str], reason: str) -> None:
    refused = trainer("sft", str(tmp_path / "gone"), "--out", str(tmp_path / "run"), *arguments)
    assert refused.returncode == 2
    event = json.loads(refused.stdout)
    assert (event["event"], event["reason"]) == ("failed", reason)
    assert refused.stderr == f"{reason}: {event['detail']}\n"


def test_a_missing_option_is_exit_2() -> None:
    assert trainer("sft", "folder").returncode == 2
