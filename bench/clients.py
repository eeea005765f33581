"""HTTP clients to compare: each posts the same chat request `count` times, `in_flight` at once, and reads the JSON."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson

Post = Callable[[], Awaitable[Any]]
"""Sends one request and returns the decoded reply."""
BODY = orjson.dumps({"model": "fake", "messages": [{"role": "user", "content": "What is 12 + 30?"}], "n": 1})
HEADERS = {"Content-Type": "application/json"}


@asynccontextmanager
async def httpx_client(url: str, in_flight: int) -> AsyncIterator[Post]:
    """One plain httpx client, as most code has it."""
    import httpx

    limits = httpx.Limits(max_connections=in_flight, max_keepalive_connections=in_flight)
    async with httpx.AsyncClient(limits=limits, timeout=60) as client:

        async def post() -> Any:
            return orjson.loads((await client.post(url, content=BODY, headers=HEADERS)).content)

        yield post


@asynccontextmanager
async def httpx_over_aiohttp(url: str, in_flight: int) -> AsyncIterator[Post]:
    """httpx's interface over aiohttp's connections."""
    import httpx
    from aiohttp import ClientSession, TCPConnector
    from httpx_aiohttp import AiohttpTransport

    session = ClientSession(connector=TCPConnector(limit=in_flight))
    async with httpx.AsyncClient(transport=AiohttpTransport(client=session), timeout=60) as client:

        async def post() -> Any:
            return orjson.loads((await client.post(url, content=BODY, headers=HEADERS)).content)

        yield post


@asynccontextmanager
async def aiohttp_client(url: str, in_flight: int) -> AsyncIterator[Post]:
    """One aiohttp session."""
    import aiohttp

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=in_flight), headers=HEADERS) as session:

        async def post() -> Any:
            async with session.post(url, data=BODY) as reply:
                return orjson.loads(await reply.read())

        yield post


@asynccontextmanager
async def pyreqwest_client(url: str, in_flight: int) -> AsyncIterator[Post]:
    """pyreqwest, the fastest well-kept client we know; its work is done by Rust's reqwest in another thread."""
    from pyreqwest.client import ClientBuilder

    async with ClientBuilder().max_connections(in_flight).build() as client:

        async def post() -> Any:
            reply = await client.post(url).headers(HEADERS).body_bytes(BODY).build().send()
            return orjson.loads(bytes(await reply.bytes()))

        yield post


CLIENTS = {
    "httpx": httpx_client,
    "httpx over aiohttp": httpx_over_aiohttp,
    "aiohttp": aiohttp_client,
    "pyreqwest": pyreqwest_client,
}


async def ask(post: Post, count: int, in_flight: int, keep: Callable[[Any], None] = lambda reply: None) -> None:
    """Send `count` requests from `in_flight` askers and hand each reply to `keep`."""
    left = iter(range(count))

    async def asker() -> None:
        for _ in left:
            keep(await post())

    await asyncio.gather(*(asker() for _ in range(in_flight)))


class Core:
    """What a careful hand-written script does: replies stored in batches by SQLAlchemy Core, durably."""

    FLUSH_ROWS = 32
    """As often as the worker commits, so that a crash costs both the same."""

    def __init__(self, path: Path) -> None:
        from sqlalchemy import Column, Integer, LargeBinary, MetaData, Table, Text, create_engine, event

        self._engine = create_engine(f"sqlite:///{path}")

        @event.listens_for(self._engine, "connect")
        def _durable(connection: sqlite3.Connection, _: Any) -> None:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")

        columns = [Column("id", Integer, primary_key=True), Column("reasoning", Text), Column("response", Text)]
        columns += [Column("raw", LargeBinary), Column("created_at", Text)]
        self._table = Table("trace", MetaData(), *columns)
        self._table.metadata.create_all(self._engine)
        self._rows: list[dict[str, Any]] = []

    def keep(self, reply: Any) -> None:
        """Take a reply; every 32nd call commits."""
        message = reply["choices"][0]["message"]
        text = {"reasoning": message.get("reasoning") or "", "response": message["content"]}
        self._rows.append(text | {"raw": orjson.dumps(reply["choices"][0]), "created_at": str(time.time())})
        if len(self._rows) >= self.FLUSH_ROWS:
            self.flush()

    def flush(self) -> None:
        """Commit what is there."""
        rows, self._rows = self._rows, []
        if rows:
            with self._engine.begin() as connection:
                connection.execute(self._table.insert(), rows)
