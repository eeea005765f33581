"""A real API on a free port, a real worker, the fake teacher, and the command line called as a person would."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from typer.testing import CliRunner, Result

from service.app import create_app
from service.cli import app
from service.client import Client
from service.settings import Settings

ROOT = Path(__file__).parents[3]
Retort = Callable[..., subprocess.CompletedProcess[str]]
Call = Callable[..., Result]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data", database_url="", api_key=None, drain_s=5)


@pytest.fixture
def url(settings: Settings) -> Iterator[str]:
    """The address of an API that runs in a thread of this process."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(create_app(settings), log_level="warning", ws="none", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            deadline = time.monotonic() + 30
            while not server.started:
                assert thread.is_alive(), "the API did not start"
                assert time.monotonic() < deadline, "the API did not start within 30 s"
                time.sleep(0.02)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    with Client(url) as client:
        yield client


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """An environment without a person's own settings."""
    own = ("RETORT_", "DATABASE_URL", "COLUMNS")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    return kept | {"PYTHONPATH": str(ROOT), "RETORT_DATA_DIR": str(tmp_path / "data")}


@pytest.fixture
def retort(env: dict[str, str], tmp_path: Path) -> Retort:
    """Call the command line in a process of its own; keyword arguments add to its environment."""

    def call(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", "from service.cli import main; main()", *arguments]
        return subprocess.run(command, env=env | more, cwd=tmp_path, capture_output=True, text=True, timeout=120)

    return call


@pytest.fixture
def call(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Call the command line in this process against the API of this test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RETORT_URL", url)
    monkeypatch.delenv("RETORT_API_KEY", raising=False)
    return lambda *arguments, **options: CliRunner().invoke(app, list(arguments), **options)


@contextmanager
def running(command: list[str], env: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A process that is gone when the block ends."""
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(20)
            finally:
                process.kill()


@pytest.fixture
def worker(url: str, env: dict[str, str]) -> Iterator[None]:
    """A worker beside the API; the API has made the tables when it starts."""
    with running([sys.executable, "-m", "workers"], env | {"RETORT_DRAIN_S": "5"}):
        yield


@pytest.fixture
def teacher(client: Client, env: dict[str, str]) -> Iterator[dict[str, Any]]:
    """The fake teacher, registered as `tiny`."""
    command = [sys.executable, "-m", "workers.teachers.fake", "--port", "0", "--json"]
    with running(command, env) as process:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        client.add_teacher("tiny", told["base_url"], told["model"], "apache-2.0")
        yield told
