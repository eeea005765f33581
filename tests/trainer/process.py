"""`python -m trainer` as a real process with its own id, without half a minute of imports for each.

A fork server imports torch, transformers and TRL once; every run is forked from it, has its own stdout and stderr, and
can be killed like any other.
"""

import json
import multiprocessing
import os
import runpy
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

PRELOADED = ["torch", "transformers", "datasets", "peft", "scipy.stats", "tests.trainer.preload"]


@dataclass
class Trainer:
    """One process of the trainer."""

    process: ForkServerProcess
    stdout: Path
    stderr: Path

    def events(self) -> list[dict[str, Any]]:
        """Return the events told so far: every whole line of stdout."""
        lines = self.stdout.read_text().split("\n")[:-1] if self.stdout.exists() else []
        return [json.loads(line) for line in lines]

    def wait(self, timeout_s: float = 240) -> int:
        """Return the exit code; negative where a signal ended it."""
        self.process.join(timeout_s)
        assert self.process.exitcode is not None, f"still running: {self.stderr.read_text()[-2000:]}"
        return self.process.exitcode

    def wait_for(self, wanted: Callable[[dict[str, Any]], bool], timeout_s: float = 240) -> dict[str, Any]:
        """Return the first event that is wanted."""
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            found = next((event for event in self.events() if wanted(event)), None)
            if found is not None:
                return found
            assert self.process.is_alive(), self.stderr.read_text()[-2000:]
            time.sleep(0.01)
        raise TimeoutError(self.stdout.read_text())

    def signal(self, number: int) -> None:
        """Send a signal to the process."""
        assert self.process.pid is not None
        os.kill(self.process.pid, number)


def start(folder: Path, *arguments: object) -> Trainer:
    """Start `python -m trainer` with these arguments; its output goes to files in the folder."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    number = len(list(folder.glob("*.stdout")))
    stdout, stderr = folder / f"{number}.stdout", folder / f"{number}.stderr"
    process = context.Process(target=_main, args=([str(argument) for argument in arguments], stdout, stderr))
    process.start()
    return Trainer(process, stdout, stderr)


def _main(arguments: list[str], stdout: Path, stderr: Path) -> None:
    for path, number in ((stdout, 1), (stderr, 2)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    sys.argv = ["python -m trainer", *arguments]
    runpy.run_module("trainer", run_name="__main__")
