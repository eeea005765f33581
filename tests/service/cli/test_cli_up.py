"""`retort up` for real: what it starts, what it survives, and what is left of it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

UP = [sys.executable, "-c", "from service.cli import main; main()", "up", "--port", "0", "--json"]


class Started:
    """A running `retort up`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self.process = process
        line = process.stdout.readline()
        assert line, process.communicate()[1]
        self.told: dict[str, Any] = json.loads(line)
        self.url: str = self.told["url"]

    def children(self) -> set[int]:
        """The processes it has started and that live."""
        listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return set(map(int, listed.split()))

    def alive(self) -> bool:
        return httpx.get(f"{self.url}/healthz", timeout=30).status_code == 200


@contextmanager
def up(env: dict[str, str], *arguments: str) -> Iterator[Started]:
    command = [*UP, *arguments]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield Started(process)
        finally:
            process.kill()


def until(true: Callable[[], bool], timeout_s: float = 30) -> None:
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.05)


def gone(pids: set[int]) -> bool:
    return not any(Path(f"/proc/{pid}/cmdline").exists() and _running(pid) for pid in pids)


def _running(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.fixture(autouse=True)
def _linux() -> None:
    if sys.platform != "linux":
        pytest.skip("reads /proc")


def test_up_starts_all_and_a_signal_stops_all(env: dict[str, str]) -> None:
    with up(env, "--workers", "2") as started:
        assert started.alive()
        assert started.told["data_dir"] == env["RETORT_DATA_DIR"]
        until(lambda: len(started.children()) == 3)
        children = started.children()
        started.process.send_signal(signal.SIGTERM)
        assert started.process.wait(40) == 0
        assert gone(children)


def test_the_children_of_a_killed_up_do_not_outlive_it(env: dict[str, str]) -> None:
    with up(env) as started:
        until(lambda: len(started.children()) == 2)
        children = started.children()
        started.process.kill()
        until(lambda: gone(children), 10)


def test_a_killed_api_and_a_killed_worker_are_started_again(env: dict[str, str]) -> None:
    with up(env) as started:
        until(lambda: len(started.children()) == 2)
        before = started.children()
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        until(lambda: len(started.children() - before) == 2)
        assert started.alive()


def test_a_second_up_on_the_same_folder_is_refused(env: dict[str, str]) -> None:
    with up(env, "--workers", "0") as started:
        second = subprocess.run(UP, env=env, capture_output=True, text=True, timeout=120)
        assert second.returncode == 2
        assert f"in use by another `retort up` (process {started.process.pid})" in second.stdout
        assert started.alive()


def test_an_api_that_cannot_start_is_exit_code_1(env: dict[str, str]) -> None:
    broken = env | {"RETORT_DATABASE_URL": "postgresql://nobody@127.0.0.1:9/none"}
    result = subprocess.run(UP, env=broken, capture_output=True, text=True, timeout=120)
    assert result.returncode == 1
    assert "before it was ready; stopping" in result.stderr


def test_with_a_key_every_request_needs_it(env: dict[str, str]) -> None:
    with up(env | {"RETORT_API_KEY": "secret"}, "--host", "0.0.0.0", "--workers", "0") as started:  # noqa: S104
        status = [*UP[:3], "--url", started.url, "status"]
        refused = subprocess.run(status, env=env, capture_output=True, text=True, timeout=120)
        assert refused.returncode == 2
        assert "--api-key or RETORT_API_KEY" in refused.stderr
        given = subprocess.run(status, env=env | {"RETORT_API_KEY": "secret"}, capture_output=True, timeout=120)
        assert given.returncode == 0
