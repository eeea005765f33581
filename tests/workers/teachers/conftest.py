"""Fixtures: the fake teacher as a process, and a real one over vLLM."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from workers.teachers.fake.scenario import NAMED, Scenario
from workers.teachers.openai_http import OpenAITeacher
from workers.teachers.protocol import Completion, Sampling
from workers.teachers.serve import guard

TEACHER = Path(__file__).parents[3] / "examples" / "arithmetic" / "teacher"
BOOT_S = 600
"""vLLM is up in half a minute on an idle core and in several on a crowded one."""


@dataclass
class Fake:
    """A running fake teacher. Its behaviour is changed over HTTP, so that all tests can share one process."""

    base_url: str
    process: subprocess.Popen[str]
    calls_file: Path

    def play(self, scenario: str | dict[str, Any]) -> None:
        """Behave as a named scenario or as the fields of one say, from now on."""
        chosen = NAMED[scenario] if isinstance(scenario, str) else Scenario.model_validate(scenario)
        assert httpx.put(self.url("/fake/scenario"), content=chosen.model_dump_json()).status_code == 200

    def calls(self) -> dict[str, Any]:
        """Return the server's own count."""
        return httpx.get(self.url("/fake/calls")).json()

    def url(self, path: str) -> str:
        return self.base_url.removesuffix("/v1") + path


@pytest.fixture(scope="session")
def fake_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fake]:
    """Yield one fake teacher for the whole session."""
    calls = tmp_path_factory.mktemp("fake") / "calls.jsonl"
    command = [sys.executable, "-m", "workers.teachers.fake", "--port", "0", "--json", "--calls", str(calls)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield Fake(json.loads(process.stdout.readline())["base_url"], process, calls)
        process.terminate()
        assert process.wait(10) == 0


@pytest.fixture
def fake(fake_process: Fake) -> Fake:
    """Return the fake teacher, perfect again whatever the test before had ordered."""
    fake_process.play("perfect")
    return fake_process


@pytest.fixture
def ask(fake: Fake) -> Callable[..., list[Completion]]:
    """Return a function that asks the fake teacher (or the `base_url` given) once and returns the completions."""

    def ask(prompt: str = "What is 2 + 3?", n: int = 1, sampling: dict[str, Any] | None = None, **teacher: Any):
        async def once() -> list[Completion]:
            options = {"base_url": fake.base_url, "model": "fake", **teacher}
            async with OpenAITeacher(**options) as asked:
                return await asked.complete([{"role": "user", "content": prompt}], Sampling(sampling or {}), n)

        return asyncio.run(once())

    return ask


@pytest.fixture
def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


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


def serve_teacher(model: Path, *options: str) -> Served:
    """Start a real teacher and return it once it answers."""
    command = [sys.executable, "-m", "workers.teachers.serve", str(model), "--port", "0", "--json", *options]
    # A settings file of the person who runs the tests must not reach the engine.
    env = {key: value for key, value in os.environ.items() if not key.startswith("VLLM_")}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, f"serve ended with status {process.wait()}"
    ready = json.loads(line)
    return Served(process, ready["base_url"], ready["model"], ready["session"])


def gone_within(served: Served, seconds: float) -> bool:
    """Return whether all processes of the teacher end within so many seconds."""
    deadline = time.monotonic() + seconds
    while served.left() and time.monotonic() < deadline:
        time.sleep(0.1)
    return not served.left()


@pytest.fixture(scope="session")
def teacher_server() -> Iterator[Served]:
    """Yield the example's teacher, served by real vLLM; stopping it by SIGTERM must leave nothing behind."""
    served = serve_teacher(TEACHER)
    assert served.process.stdout is not None
    yield served
    served.process.send_signal(signal.SIGTERM)
    assert served.process.wait(30) == 0
    served.process.stdout.close()
    assert served.left() == set()
