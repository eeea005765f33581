"""Events as they happen, over SSE."""

import asyncio
from collections.abc import AsyncIterator

import orjson
from fastapi import APIRouter, Request
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool

from service.api.deps import DatabaseDep
from service.errors import Problem
from service.models import Event
from service.store import events
from service.store.database import Database

router = APIRouter(tags=["events"])

POLL_S = 0.5
"""Read from the database, so that any API process serves any reader; half a second is what a person notices."""
KEEP_ALIVE_S = 15


@router.get("/api/events", response_class=EventSourceResponse)
def stream(request: Request, database: DatabaseDep, subject: str | None = None) -> EventSourceResponse:
    """Follow everything from now on, or one `subject` from its beginning; `Last-Event-ID` replays what was missed."""
    return follow(request, database, subject)


def follow(request: Request, database: Database, subject: str | None) -> EventSourceResponse:
    """Return the stream of events after the `Last-Event-ID` header."""
    header = request.headers.get("last-event-id")
    if header is not None and not header.isdigit():
        raise Problem(f"Last-Event-ID: expected the number of an event, found '{header}'")
    start = int(header) if header else (0 if subject else None)
    return EventSourceResponse(_events(request, database, subject, start), ping=KEEP_ALIVE_S)


async def _events(
    request: Request, database: Database, subject: str | None, start: int | None
) -> AsyncIterator[ServerSentEvent]:
    last = await run_in_threadpool(_newest, database) if start is None else start
    while not await request.is_disconnected():
        found = await run_in_threadpool(_after, database, last, subject)
        for event in found:
            last = event.id or last
            yield ServerSentEvent(id=str(event.id), event=event.kind, data=_body(event))
        if not found:
            await asyncio.sleep(POLL_S)


def _body(event: Event) -> str:
    return orjson.dumps({"subject": event.subject, "at": event.created_at, **event.data}).decode()


def _newest(database: Database) -> int:
    with database.read() as session:
        return events.newest_id(session)


def _after(database: Database, last: int, subject: str | None) -> list[Event]:
    with database.read() as session:
        return list(events.after(session, last, subject=subject))
