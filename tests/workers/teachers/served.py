"""Real teachers as processes, for any test that needs one."""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from tests.conftest import leave_out
from workers.teachers.serve import guard

TEACHER = Path(__file__).parents[3] / "examples" / "arithmetic" / "teacher"


@dataclass
class Served:
    """A teacher that `python -m workers.teachers.serve` started."""

    process: subprocess.Popen[str]
    base_url: str
    model: str
    session: int
    """The session that the engine's processes run in."""

    def left(self) -> set[int]:
        """Return the processes of the session that are alive, its leader included."""
        return {each.pid for each in guard.processes() if each.session == self.session}

    def gone_within(self, seconds: float) -> bool:
        """Return whether all of them end within so many seconds."""
        deadline = time.monotonic() + seconds
        while self.left() and time.monotonic() < deadline:
            time.sleep(0.1)
        return not self.left()


def serve_teacher(model: Path = TEACHER, *options: str) -> Served:
    """Start a real teacher and return it once it answers: half a minute on an idle core, minutes on a crowded one."""
    if not find_spec("vllm"):
        leave_out("the tests with a real teacher: vllm is not installed")
    command = [sys.executable, "-m", "workers.teachers.serve", str(model), "--port", "0", "--json", *options]
    # Settings that the person who runs the tests has for an engine of their own must not reach this one.
    env = {key: value for key, value in os.environ.items() if not key.startswith("VLLM_")}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, f"serve ended with status {process.wait()}"
    ready = json.loads(line)
    return Served(process, ready["base_url"], ready["model"], ready["session"])
