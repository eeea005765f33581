"""A real API on a free port, and the command line called as a person would."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uvicorn

from service.app import create_app
from service.client import Client
from service.settings import Settings

ROOT = Path(__file__).parents[3]
Retort = Callable[..., subprocess.CompletedProcess[str]]


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
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RETORT_", "DATABASE_URL"))}
    kept.pop("COLUMNS", None)
    return kept | {"PYTHONPATH": str(ROOT), "RETORT_DATA_DIR": str(tmp_path / "data")}


@pytest.fixture
def retort(env: dict[str, str], tmp_path: Path) -> Retort:
    """Call the command line in a process of its own; keyword arguments add to its environment."""

    def call(*arguments: str, stdin: str = "", **more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", "from service.cli import main; main()", *arguments]
        return subprocess.run(
            command, input=stdin, env=env | more, cwd=tmp_path, capture_output=True, text=True, timeout=120
        )

    return call


@pytest.fixture
def against(retort: Retort, url: str) -> Retort:
    """Call the command line against the API of this test."""
    return lambda *arguments, **more: retort(*arguments, RETORT_URL=url, **more)
