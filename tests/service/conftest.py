"""The app over an empty database in a temporary folder, and helpers to fill it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from service.settings import Settings

HERE = "http://127.0.0.1:8080"
"""Where a browser on this machine would say that it is."""
TEACHER = {"name": "tiny", "base_url": "http://127.0.0.1:8000/v1", "model": "teacher", "license": "apache-2.0"}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, database_url="", shard_prompts=2)


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(settings), base_url=HERE) as running:
        yield running


@pytest.fixture
def teacher(client: TestClient) -> dict[str, Any]:
    return client.post("/api/teachers", json=TEACHER).json()


@pytest.fixture
def submit(client: TestClient, teacher: dict[str, Any]) -> Callable[..., Any]:
    """Return a function that posts prompt lines (dicts, or bytes as they are) and gives the response."""

    def post(lines: Any, *, key: str | None = None, **query: Any) -> Any:
        body = lines if isinstance(lines, bytes) else b"\n".join(map(orjson.dumps, lines))
        headers = {"Idempotency-Key": key} if key else {}
        return client.post("/api/batches", params={"teacher": "tiny"} | query, content=body, headers=headers)

    return post
