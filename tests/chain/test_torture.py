"""`bench/torture.py` played small: real processes, killed and frozen, under a batch of a real user."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import leave_out

ROOT = Path(__file__).parents[2]
SMALL = ["--lines", "600", "--kills", "2", "--in-flight", "32", "--latency-ms", "1300"]
SMALL += ["--shard-prompts", "40", "--lease-s", "2", "--life-s", "2", "--bound-s", "270"]


def play(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "bench" / "torture.py"), *SMALL, *options]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)


@pytest.mark.parametrize("options", [["--sqlite"], pytest.param([], marks=pytest.mark.postgres)])
def test_nothing_is_lost_or_doubled_whatever_is_killed(options):
    played = play(*options)
    if played.returncode == 2:
        leave_out(f"the torture: {played.stderr.strip()}")
    assert played.returncode == 0, f"{played.stdout}\n{played.stderr}"
    assert "NOTHING LOST, NOTHING TWICE" in played.stdout
    assert "kill -9 of worker 2" in played.stdout
