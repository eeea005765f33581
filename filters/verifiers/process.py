"""One killable child process: start, send a batch, read replies, kill."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import IO, cast

from filters.verdict import Outcome, Verdict
from filters.verifiers.child import READY

START_TIMEOUT_S = 120.0
"""Importing sympy takes a second on a free core; this much on an overloaded machine is a fault."""
_ENVIRONMENT = ("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
"""All that a child sees of ours: keys and tokens stay out of a process that reads hostile text."""
_ROOT = str(Path(__file__).parents[2])


class Job:
    """One response to judge. `verdict` is None until it is known; equal items share one job."""

    __slots__ = ("item", "size", "tries", "verdict")

    def __init__(self, item: tuple[str, str, str] | None = None, verdict: Verdict | None = None):
        self.item = item
        self.verdict = verdict
        self.size = sum(map(len, item or ()))
        self.tries = 0

    def settle(self, verdict: Verdict) -> None:
        """Note the verdict and let go of the texts."""
        self.verdict, self.item = verdict, None


class Child:
    """A child process and the jobs it holds; the first of them is the one in hand."""

    def __init__(self, registry: str, memory_bytes: int):
        self.jobs: deque[Job] = deque()
        self.ready = False
        self.judged = 0
        self._unread = b""
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the child
        self._started = time.monotonic()
        command = [sys.executable, "-P", "-m", "filters.verifiers.child", registry, str(memory_bytes), str(os.getpid())]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, env=_environment(), bufsize=0
        )
        self._batches, self._replies = cast(IO[bytes], self._process.stdin), cast(IO[bytes], self._process.stdout)

    def fileno(self) -> int:
        """Return the pipe of replies, to wait on."""
        return self._replies.fileno()

    def deadline(self, timeout_s: float) -> float | None:
        """Return when what it is doing will have taken too long; None while it has nothing to do."""
        if not self.ready:
            return self._started + START_TIMEOUT_S
        return self._started + timeout_s if self.jobs else None

    def send(self, jobs: Iterable[Job]) -> None:
        """Hand over a batch. A broken pipe is not reported here: the next `receive` finds the child dead."""
        self.jobs.extend(jobs)
        self._started = time.monotonic()
        line = json.dumps([job.item for job in self.jobs]).encode() + b"\n"
        try:
            view = memoryview(line)
            while view:
                view = view[self._batches.write(view) :]
        except OSError:
            self._process.kill()

    def receive(self) -> bool:
        """Read what has arrived and settle those jobs. False when the child has died."""
        chunk = os.read(self.fileno(), 1 << 16)
        *lines, self._unread = (self._unread + chunk).split(b"\n")
        for line in lines:
            self._started = time.monotonic()
            reply = json.loads(line)
            if reply == READY:
                self.ready = True
                continue
            outcome, reason, detail, evidence = reply
            self.jobs.popleft().settle(Verdict(Outcome(outcome), reason, detail, evidence))
            self.judged += 1
        return bool(chunk)

    def kill(self) -> str:
        """End the process for certain and say how it ended and what it last wrote to stderr."""
        self._process.kill()
        code = self._process.wait()
        self._batches.close()
        self._replies.close()
        self._errors.seek(max(0, self._errors.seek(0, os.SEEK_END) - 2000))
        wrote = self._errors.read().decode(errors="replace").strip()
        self._errors.close()
        return f"the verifier's process ended with code {code}" + (f": {wrote[-500:]}" if wrote else "")


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    path = os.pathsep.join(filter(None, [_ROOT, os.environ.get("PYTHONPATH")]))
    # sympy orders some sets by hash: a fixed seed keeps verdicts the same from run to run.
    return {**kept, "PYTHONPATH": path, "PYTHONHASHSEED": "0"}
