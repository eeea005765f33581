"""`POST /v1/chat/completions`: passed on to the teacher that `model` names; with `store: true` the answer is kept."""

import secrets
import time
from dataclasses import dataclass
from typing import Any

import httpx
import orjson
from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import ValidationError
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool

from service.api.deps import DatabaseDep, SettingsDep
from service.errors import TooLarge
from service.ingest import texts_of
from service.models import Teacher
from service.openai import upstream
from service.openai.errors import Refused
from service.openai.keeping import Read, check, keep
from service.openai.models import teacher_called
from service.openai.stream import Relay, renamed
from service.openai.upstream import Gone, Upstream, refused, while_connected
from service.settings import Settings
from service.store.database import Database
from service.teachers.protocol import TeacherBusy, TeacherError

router = APIRouter(prefix="/chat/completions", tags=["OpenAI: chat completions"])

BODY_BYTES_MAX = 20 * 2**20
"""Room for images in messages; held in memory, unlike an upload."""
OURS = {"store", "metadata", "retort"}
"""Fields that no teacher may read: references ride in them."""
SCHEMA = {
    "requestBody": {
        "required": True,
        "description": "OpenAI's body; fields that Retort does not read go to the teacher as they are",
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["model", "messages"],
                    "properties": {
                        "model": {"type": "string", "description": "the name of a teacher"},
                        "messages": {"type": "array", "items": {"type": "object"}},
                        "stream": {"type": "boolean"},
                        "store": {"type": "boolean", "description": "keep the answer as traces"},
                        "metadata": {"type": "object", "additionalProperties": {"type": "string"}},
                    },
                }
            }
        },
    }
}


@dataclass(frozen=True, slots=True)
class Asked:
    """A chat request on its way to its teacher."""

    read: Read
    given: dict[str, Any]
    """The body as it came, decoded."""
    id: str
    """What the completion will be called."""

    @property
    def adds_usage(self) -> bool:
        """Whether the count of tokens is asked for our sake alone: a kept answer has one, whatever the client wants."""
        wanted = (self.read.stream_options or {}).get("include_usage")
        return bool(self.read.store and self.read.stream and not wanted)

    def body_for(self, teacher: Teacher) -> bytes:
        """Return the request that the teacher gets."""
        body = {key: value for key, value in self.given.items() if key not in OURS} | {"model": teacher.model}
        if self.adds_usage:
            body["stream_options"] = {**(self.read.stream_options or {}), "include_usage": True}
        return orjson.dumps(body)


@router.post("", response_class=Response, openapi_extra=SCHEMA)
async def create(request: Request, database: DatabaseDep, settings: SettingsDep) -> Response:
    """Ask a teacher and return what it answers, byte for byte but for the id; streamed where `stream` is true."""
    asked = _asked(await _body(request))
    teacher = await run_in_threadpool(_teacher, database, settings, asked.read.model)
    try:
        return await _answer(request, database, asked, teacher)
    except Gone:
        return Response(status_code=499)


async def _answer(request: Request, database: Database, asked: Asked, teacher: Teacher) -> Response:
    ask: Upstream = request.app.state.upstream
    start = time.perf_counter()

    async def kept(payload: dict[str, Any]) -> None:
        latency_ms = round((time.perf_counter() - start) * 1000)
        await run_in_threadpool(keep, database, asked.read, asked.id, teacher.name, payload, latency_ms)

    reply = await while_connected(request, ask.post(teacher, asked.body_for(teacher)))
    if asked.read.stream:
        relay = Relay(reply, teacher, asked.id, kept if asked.read.store else None, hide_usage=asked.adds_usage)
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        # However the client leaves, even before the first piece, the teacher's answer is ended.
        end = BackgroundTask(upstream.close, reply)
        return StreamingResponse(relay.pieces(), headers=headers, media_type="text/event-stream", background=end)
    try:
        text = await while_connected(request, upstream.read(reply, upstream.REPLY_BYTES_MAX))
        payload = _payload(text)
        if asked.read.store:
            await kept(payload)
    except (httpx.HTTPError, TeacherError) as error:
        trouble = error if isinstance(error, TeacherError) else upstream.classified(error, begun=True)
        raise refused(trouble, teacher) from error
    return Response(renamed(text, payload.get("id"), asked.id), media_type="application/json")


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            raise TooLarge(f"a chat request has at most {BODY_BYTES_MAX:,} bytes")
    return bytes(body)


def _asked(body: bytes) -> Asked:
    try:
        given = orjson.loads(body)
        read = Read.model_validate(given)
        if read.store:
            check(read)
    except orjson.JSONDecodeError as error:
        raise Refused(f"the body is not valid JSON: {error}", code="invalid_json") from error
    except ValidationError as error:
        raise _invalid(error) from error
    if not read.store and (read.metadata or read.retort):
        message = "'metadata' and 'retort' are kept with the answer: set 'store' to true, or leave them out"
        raise Refused(message, param="metadata" if read.metadata else "retort", code="invalid_value")
    if read.store and "\0" in texts_of(given):
        raise Refused("a text holds the NUL character, which databases cannot keep", code="invalid_value")
    return Asked(read, given, f"chatcmpl-{secrets.token_hex(12)}")


def _invalid(error: ValidationError) -> Refused:
    first = error.errors()[0]
    param = ".".join(map(str, first["loc"])) or None
    message = first["msg"].removeprefix("Value error, ")
    code = "missing_required_parameter" if first["type"] == "missing" else "invalid_value"
    return Refused(f"{param}: {message}" if param else "the body is no JSON object", param=param, code=code)


def _teacher(database: Database, settings: Settings, name: str) -> Teacher:
    with database.read() as session:
        return teacher_called(session, settings, name)


def _payload(text: bytes) -> dict[str, Any]:
    try:
        payload = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise TeacherBusy("invalid_json", f"{len(text)} bytes that are no JSON: {error}") from error
    if not isinstance(payload, dict) or not isinstance(payload.get("choices"), list):
        raise TeacherBusy("wrong_shape", "the reply holds no list of choices")
    return payload
