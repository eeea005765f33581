"""Workers against a real database and a real fake teacher: nothing of ours is replaced."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.models import JobKind
from service.settings import Settings
from service.store.database import Database
from workers.worker import Worker

PERFECT: dict[str, Any] = {"reasoning_words": 4, "response_words": 3}


class Fake:
    """A running fake teacher: what it was asked, and how it is to behave from now on."""

    def __init__(self, calls: Path, port: int = 0) -> None:
        self._calls, self._seen = calls, 0
        command = [sys.executable, "-m", "workers.teachers.fake", "--port", str(port), "--json", "--calls", str(calls)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self._process.stdout
        self.base_url: str = json.loads(self._process.stdout.readline())["base_url"]

    def play(self, **scenario: Any) -> None:
        """Behave as the scenario says, and forget the calls so far."""
        url = self.base_url.replace("/v1", "/fake/scenario")
        httpx.put(url, json=PERFECT | scenario, trust_env=False).raise_for_status()
        self._seen = len(self._lines())

    def calls(self) -> list[dict[str, Any]]:
        """Return the calls since `play`, by the file that it writes apart from any database."""
        return [json.loads(line) for line in self._lines()[self._seen :]]

    def stop(self) -> None:
        """End it at once; again does no harm."""
        with self._process:
            self._process.kill()

    def _lines(self) -> list[str]:
        return self._calls.read_text().splitlines() if self._calls.exists() else []


@pytest.fixture(scope="session")
def _fake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fake]:
    fake = Fake(tmp_path_factory.mktemp("fake") / "calls.jsonl")
    yield fake
    fake.stop()


@pytest.fixture
def fake(_fake: Fake) -> Fake:
    """Return a teacher that answers everything at once, until told otherwise."""
    _fake.play()
    return _fake


@pytest.fixture
def settings(tmp_path: Path, database: Database) -> Settings:
    """Return settings that give up soon, so that the tests need not wait."""
    url = database.engine.url.render_as_string(hide_password=False)
    values: dict[str, Any] = {"RETORT_DATABASE_URL": url, "lease_s": 30, "attempts_max": 2, "drain_s": 20}
    return Settings(data_dir=tmp_path / "data", request_timeout_s=2, **values)


@pytest.fixture
def work(database: Database, settings: Settings) -> Callable[..., None]:
    """Run workers in this process until `done` is true, then stop them."""

    def run(
        done: Callable[[], bool], *, kinds: set[JobKind] | None = None, workers: int = 1, within_s: float = 150
    ) -> None:
        async def main() -> None:
            crew = [Worker(settings, database, kinds or {JobKind.GENERATE}) for _ in range(workers)]
            tasks = [asyncio.create_task(worker.run()) for worker in crew]
            end = time.monotonic() + within_s
            while not await asyncio.to_thread(done):
                assert time.monotonic() < end, "the workers did not get there in time"
                assert not any(task.done() for task in tasks), "a worker ended by itself"
                await asyncio.sleep(0.02)
            for worker in crew:
                worker.stop()
            await asyncio.gather(*tasks)

        asyncio.run(main())

    return run
