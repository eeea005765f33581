"""The code blocks of the documentation, as a reader would copy them."""

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.processes import kill_tree

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: str, language: str) -> list[str]:
    """Return a page's blocks in a language, in their order."""
    return [code for found, code in FENCE.findall((ROOT / page).read_text(encoding="utf-8")) if found == language]


def play(script: str, folder: Path, env: Mapping[str, str], timeout_s: float = 600) -> str:
    """Run lines as a person types them into one shell; return what was printed, or fail with all of it.

    Jobs that the lines put into the background end with them.
    """
    told = ["set -euo pipefail", "set -m", "trap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT", script]
    said = folder / "printed.txt"
    with said.open("w") as out:
        shell = subprocess.Popen(
            ["bash", "-c", "\n".join(told)], cwd=folder, env={**os.environ, **env}, stdout=out, stderr=out
        )
        try:
            code: int | str = shell.wait(timeout_s)
        except subprocess.TimeoutExpired:
            code = f"none within {timeout_s} s"
        finally:
            kill_tree(shell.pid)
            shell.wait()
    printed = said.read_text()
    assert code == 0, f"exit status {code}\n{printed[-6000:]}"
    return printed
