"""The real SDK against a real server on 127.0.0.1, with a real fake teacher and real worker processes behind it."""

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
import uvicorn
from openai import OpenAI
from openai.types import Batch
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from service.app import create_app
from service.models import Batch as Row
from service.settings import Settings
from service.store import generation, queue, teachers
from service.store.database import Database
from tests.workers.conftest import Fake


class Served:
    """An ASGI app on a free port, in a thread."""

    def __init__(self, app: Any) -> None:
        config = uvicorn.Config(app, port=0, log_level="warning", ws="none", timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run)
        self._thread.start()
        wait_for(lambda: self._server.started, within_s=20)
        port = self._server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"

    def stop(self) -> None:
        """End it and wait for that."""
        self._server.should_exit = True
        self._thread.join()


def wait_for(done: Callable[[], Any], *, within_s: float = 120) -> Any:
    """Return what `done` gives once it is true."""
    end = time.monotonic() + within_s
    while not (found := done()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)
    return found


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data", database_url="", shard_prompts=4, page_rows_max=50)


@pytest.fixture
def server(settings: Settings) -> Iterator[Served]:
    served = Served(create_app(settings))
    yield served
    served.stop()


@pytest.fixture
def database(settings: Settings, server: Served) -> Iterator[Database]:
    """Look into the database of the running server."""
    database = Database(settings.url())
    yield database
    database.close()


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[OpenAI, Settings]]:
    """Return a server with the teacher `tiny`, shared by tests that leave nothing behind in it."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("refusing"), database_url="")
    app = create_app(settings)
    served = Served(app)
    register(app.state.database, "tiny")
    with OpenAI(base_url=f"{served.url}/v1", api_key="x", max_retries=0) as client:
        yield client, settings
    served.stop()


@pytest.fixture
def sdk(server: Served) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{server.url}/v1", api_key="x", max_retries=0) as client:
        yield client


@pytest.fixture(scope="session")
def _fake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fake]:
    fake = Fake(tmp_path_factory.mktemp("fake") / "calls.jsonl")
    yield fake
    fake.stop()


@pytest.fixture
def fake(_fake: Fake, database: Database) -> Fake:
    """Return a teacher that answers at once, registered as `tiny` and as `small`."""
    _fake.play()
    for name in ("tiny", "small"):
        register(database, name, _fake.base_url)
    return _fake


def register(database: Database, name: str, base_url: str = "http://127.0.0.1:9/v1", **values: Any) -> None:
    """Register a teacher; without an address it is one that nobody asks."""
    given = {"name": name, "base_url": base_url, "model": "fake", "license": "apache-2.0"}
    with database.write() as session:
        teachers.register(session, given | values)


@pytest.fixture
def teacher(database: Database) -> None:
    """Register `tiny`, which is not there."""
    register(database, "tiny")


@pytest.fixture
def worker(settings: Settings) -> Iterator[Callable[[], None]]:
    """Return a function that starts a worker process; it is stopped at the end."""
    started: list[subprocess.Popen[bytes]] = []

    def start() -> None:
        command = [sys.executable, "-m", "workers", "--kinds", "generate", "--data-dir", str(settings.data_dir)]
        environment = {key: value for key, value in os.environ.items() if not key.startswith("RETORT_")}
        started.append(subprocess.Popen(command, env=environment | {"RETORT_ATTEMPTS_MAX": "2", "RETORT_DRAIN_S": "1"}))

    yield start
    for process in started:
        process.terminate()
    for process in started:
        process.wait(timeout=30)


def line(custom_id: str, content: str = "2 + 2 = ?", *, body: Any = None, **changes: Any) -> dict[str, Any]:
    """One line of a batch file."""
    asked = {"model": "tiny", "messages": [{"role": "user", "content": content}]} | (body or {})
    said = {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": asked}
    return said | changes


def jsonl(*lines: Any) -> bytes:
    """Lines as a file; bytes stay as they are."""
    return b"".join((each if isinstance(each, bytes) else orjson.dumps(each)) + b"\n" for each in lines)


def upload(sdk: OpenAI, *lines: Any, purpose: Any = "batch") -> Any:
    """Upload lines as a file."""
    return sdk.files.create(file=("prompts.jsonl", jsonl(*lines)), purpose=purpose)


def submit(sdk: OpenAI, *lines: Any, **options: Any) -> Any:
    """Upload lines and start their batch."""
    file = upload(sdk, *lines)
    wanted = {"endpoint": "/v1/chat/completions", "completion_window": "24h"} | options
    return sdk.batches.create(input_file_id=file.id, **wanted)


def rows(sdk: OpenAI, file_id: str) -> dict[str, Any]:
    """The lines of an output file by their `custom_id`; none is there twice."""
    found = [orjson.loads(each) for each in sdk.files.content(file_id).content.splitlines()]
    assert len({row["custom_id"] for row in found}) == len(found)
    return {row["custom_id"]: row for row in found}


def strict(kind: Any, raw: Any) -> Any:
    """Return a raw response's body as one of the SDK's own types, which must fit without any conversion."""
    return kind.model_validate_json(raw.content, strict=True)


class Streamer:
    """A teacher that streams what it is told to, and notices when nobody listens any more."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.pause_s = 0.0
        self.requests: list[dict[str, Any]] = []
        self.left = threading.Event()
        self.finished = threading.Event()

    def app(self) -> Starlette:
        """Return it as an ASGI app."""
        return Starlette(routes=[Route("/v1/chat/completions", self._answer, methods=["POST"])])

    async def _answer(self, request: Request) -> StreamingResponse:
        self.requests.append(await request.json())
        streams = self.requests[-1].get("stream")
        return StreamingResponse(self._said(), media_type="text/event-stream" if streams else "application/json")

    async def _said(self) -> Any:
        try:
            for piece in self.pieces:
                await asyncio.sleep(self.pause_s)
                yield piece
            self.finished.set()
        finally:
            if not self.finished.is_set():
                self.left.set()


@pytest.fixture
def streamer(database: Database) -> Iterator[Streamer]:
    """Return a streaming teacher, registered as `stream`."""
    streamer = Streamer()
    served = Served(streamer.app())
    register(database, "stream", f"{served.url}/v1", model="served-name")
    yield streamer
    served.stop()


def chunk(delta: dict[str, Any] | None = None, **said: Any) -> bytes:
    """One event of a stream, as vLLM words it."""
    choice = {"index": 0, "delta": delta or {}, "logprobs": None, "finish_reason": said.pop("finish_reason", None)}
    body = {"id": "chatcmpl-theirs", "object": "chat.completion.chunk", "created": 1, "model": "served-name"}
    return b"data: " + orjson.dumps(body | {"choices": [choice]} | said) + b"\n\n"


def post(base_url: object, path: str, **options: Any) -> httpx.Response:
    """Send a request that the SDK would not."""
    return httpx.request(options.pop("method", "POST"), f"{base_url}{path}", trust_env=False, **options)


def ended(sdk: OpenAI, batch_id: str, state: str = "completed") -> Batch:
    """Return a batch once it has ended so."""
    return wait_for(lambda: (found := sdk.batches.retrieve(batch_id)).status == state and found)


def store(database: Database, batch_id: str, sample_index: int, nth: int = 0) -> None:
    """Store one answer to the nth prompt of a batch, as its worker would."""
    with database.write() as session:
        job = queue.claim(session, ["generate"], worker="w", lease_s=-1)[0]
        prompt = session.connection().exec_driver_sql(
            "select id from prompt where batch_id = ? order by id limit 1 offset ?", (batch_id, nth)
        )
        trace = {
            "batch_id": batch_id,
            "prompt_id": prompt.scalar_one(),
            "teacher": "tiny",
            "sample_index": sample_index,
        }
        text = {"reasoning": "", "response": "4", "finish_reason": "stop", "raw": b"", "created_at": time.time()}
        generation.store(session, job, lease_s=-1, traces=[trace | text], failures=[])


def change(database: Database, batch_id: str, **values: Any) -> None:
    """Change columns of a batch."""
    with database.write() as session:
        batch = session.get_one(Row, batch_id)
        for name, value in values.items():
            setattr(batch, name, value)
        session.add(batch)
