"""The processes of a bench: started, killed, frozen and ended by their own pids; none outlives the bench."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx

from tests.processes import free_ports, kill_tree

STOP_S = 15.0
"""How long a process may take to end when asked; then it is killed."""


class Member:
    """One process with its log. `start` it again as often as it ends."""

    def __init__(self, name: str, command: Sequence[str], env: Mapping[str, str], log: Path) -> None:
        self.name, self.log = name, log
        # On the leash: killed by the kernel should the bench itself be killed.
        self._command = [sys.executable, "-m", "workers.leash", str(os.getpid()), *command]
        self._env = dict(env)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def runs(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Of the process that was started last."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it and return at once."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # a Ctrl-C is for the bench, which then ends it in order
            )

    def crash(self) -> None:
        """`kill -9` it and what it started."""
        if self._process is not None:
            kill_tree(self._process.pid)
            self._process.wait()

    def freeze(self) -> None:
        """Stop it where it stands: to all others it is as good as dead."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen process go on as if nothing had been."""
        os.kill(self.pid, signal.SIGCONT)

    def stop(self) -> None:
        """Ask it to end; kill it if it does not."""
        if self._process is None:
            return
        if self.runs:
            self._process.terminate()
            self.thaw()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_S)
        self.crash()


class Crew:
    """An API, its workers and a fake teacher over one database, all on 127.0.0.1, with what they need in `folder`."""

    def __init__(
        self, folder: Path, workers: int, scenario: Mapping[str, Any], database_url: str = "", **settings: Any
    ) -> None:
        self.http = httpx.Client(trust_env=False, timeout=30)
        port = free_ports(2)
        self.url, self.teacher_url = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{port + 1}"
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("RETORT_", "DATABASE_URL"))}
        given = {"data_dir": folder / "data", **({"database_url": database_url} if database_url else {}), **settings}
        env = clean | {f"RETORT_{name.upper()}": str(value) for name, value in given.items()}
        retort = str(Path(sys.executable).with_name("retort"))
        up = [retort, "up", "--port", str(port), "--workers", "0"]
        work = [retort, "worker", "--kinds", "generate"]
        self.api = Member("api", up, env, folder / "api.log")
        self.workers = [
            Member(f"worker {number}", work, env, folder / f"worker-{number}.log") for number in range(1, workers + 1)
        ]
        (folder / "scenario.json").write_text(json.dumps(scenario))
        serve = [sys.executable, "-m", "workers.teachers.fake", "--port", str(port + 1)]
        serve += ["--scenario", str(folder / "scenario.json")]
        self.teacher = Member("teacher", serve, clean, folder / "teacher.log")

    def start(self, teacher: str, max_concurrency: int) -> None:
        """Start teacher and API, make the one known to the other as `teacher`, and let the workers at it."""
        self.teacher.start()
        self.api.start()
        for worker in self.workers:
            worker.start()
        until(lambda: self.answers(f"{self.teacher_url}/health"), 60, f"the fake teacher, see {self.teacher.log}")
        until(lambda: self.answers(f"{self.url}/healthz"), 60, f"the API, see {self.api.log}")
        said = {"name": teacher, "base_url": f"{self.teacher_url}/v1", "model": "fake", "license": "apache-2.0"}
        said |= {"max_concurrency": max_concurrency}
        self.http.post(f"{self.url}/api/teachers", json=said).raise_for_status()

    def asked(self) -> dict[str, Any]:
        """Return what the teacher counted: `calls`, and `choices` sent in answer."""
        return self.http.get(f"{self.teacher_url}/fake/calls").json()

    def answers(self, url: str) -> bool:
        """Whether somebody says 200 there."""
        try:
            return self.http.get(url).status_code == 200
        except httpx.HTTPError:
            return False

    def stop(self) -> list[str]:
        """End all; return the names of those that were there."""
        members = [*self.workers, self.api, self.teacher]
        ended = [member.name for member in members if member.runs]
        for member in members:
            member.stop()
        return ended


def until(condition: Any, within_s: float, what: str) -> None:
    """Wait for a condition; RuntimeError when it does not come true in time."""
    end = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError(f"{what} did not come up within {within_s:g} s")
        time.sleep(0.05)
