"""Fixtures: the fake teacher as a process, and a real one over vLLM."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.teachers.protocol import Completion, Sampling
from tests.workers.teachers.served import Served, serve_teacher
from workers.teachers.fake.scenario import NAMED, Scenario
from workers.teachers.openai_http import OpenAITeacher


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


@pytest.fixture(scope="module")
def teacher_server() -> Iterator[Served]:
    """Yield the example's teacher, served by real vLLM; stopping it by SIGTERM must leave nothing behind.

    For one file: an idle server takes a fifth of a core from the tests behind it.
    """
    served = serve_teacher()
    assert served.process.stdout is not None
    yield served
    served.process.send_signal(signal.SIGTERM)
    assert served.process.wait(30) == 0
    served.process.stdout.close()
    assert served.left() == set()
