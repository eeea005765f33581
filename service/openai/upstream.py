"""Passing a request on to a teacher: one client for all, addresses checked as they are called, errors translated."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import TypeVar

import anyio
import httpx
from starlette.requests import Request

from service import tracing
from service.models import Teacher
from service.openai import network
from service.openai.errors import Refused
from service.openai.network import UnknownHost
from service.settings import Settings
from service.teachers.openai_reply import error_of
from service.teachers.protocol import TeacherBusy, TeacherError
from service.teachers.watched import asking
from service.urls import AddressRefused

Result = TypeVar("Result")

CONNECT_S = 5.0
REPLY_BYTES_MAX = 32 * 2**20
ERROR_BYTES_MAX = 64 * 2**10

STATUS = {
    "rate_limited": 429,
    "quota_exhausted": 429,
    "bad_request": 400,
    "prompt_too_long": 400,
    "max_tokens_too_large": 400,
    "request_too_large": 413,
    "overloaded": 503,
    "connection_refused": 503,
    "unreachable": 503,
    "unknown_host": 503,
    "no_key": 503,
    "timeout": 504,
    "gateway_timeout": 504,
}
"""What a client is told; 502 for all other reasons, which are between Retort and the teacher."""
CODES = {
    "prompt_too_long": "context_length_exceeded",
    "rate_limited": "rate_limit_exceeded",
    "quota_exhausted": "insufficient_quota",
}
"""OpenAI's codes for reasons that clients react to; the others go by their own names."""


class Gone(Exception):
    """Nobody waits for the answer any more."""


class Upstream:
    """All teachers, as this process calls them for those who wait."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def post(self, teacher: Teacher, body: bytes) -> httpx.Response:
        """Send a chat request; return the answer with its body still to come. Raises Refused."""
        key = _key(teacher)
        try:
            with asking(teacher.name, teacher.model):
                return await self._post(teacher, body, key)
        except TeacherError as error:
            raise refused(error, teacher, key) from error

    async def _post(self, teacher: Teacher, body: bytes, key: str) -> httpx.Response:
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"} | tracing.headers()
        if key:
            headers["Authorization"] = f"Bearer {key}"
        url = f"{teacher.base_url}/chat/completions"
        request = self._client.build_request("POST", url, content=body, headers=headers)
        try:
            reply = await self._client.send(request, stream=True)
            if reply.status_code == 200:
                return reply
            text = await read(reply, ERROR_BYTES_MAX, cut=True)
        except (httpx.HTTPError, AddressRefused, UnknownHost) as error:
            raise classified(error) from error
        raise error_of(reply.status_code, reply.headers.get("Retry-After"), text)


@asynccontextmanager
async def client(settings: Settings) -> AsyncIterator[Upstream]:
    """Yield the teachers of the app; connections are closed afterwards."""
    async with httpx.AsyncClient(
        transport=network.transport(settings.networks()),
        timeout=httpx.Timeout(settings.request_timeout_s, connect=CONNECT_S, pool=CONNECT_S),
        # Neither a proxy nor a password from the environment: keys go to the registered address and nowhere else.
        trust_env=False,
    ) as made:
        yield Upstream(made)


async def read(reply: httpx.Response, bytes_max: int, *, cut: bool = False) -> bytes:
    """Return a body and end its answer; past `bytes_max` it is cut off, or a TeacherError."""
    body = bytearray()
    try:
        async for piece in reply.aiter_bytes():
            body += piece
            if len(body) > bytes_max:
                if cut:
                    break
                raise TeacherError("reply_too_large", f"the reply is larger than {bytes_max:,} bytes")
    finally:
        await close(reply)
    return bytes(body[:bytes_max])


async def close(reply: httpx.Response) -> None:
    """End an answer, finished or not; the teacher sees the connection go and stops."""
    with anyio.CancelScope(shield=True):
        await reply.aclose()


def classified(error: Exception, *, begun: bool = False) -> TeacherError:
    """Return what an error of the connection means, in the words that a batch's failures use too.

    `begun` says that the answer was on its way already.
    """
    detail = str(error) or type(error).__name__
    match error:
        case httpx.ConnectTimeout() | httpx.PoolTimeout():
            return TeacherBusy("unreachable", f"no connection within {CONNECT_S:g} s")
        case httpx.TimeoutException():
            return TeacherBusy("timeout", "no reply within the time limit")
        case AddressRefused():
            return TeacherError("address_not_allowed", detail)
        case UnknownHost():
            return TeacherBusy("unknown_host", detail)
        case httpx.ConnectError():
            return TeacherBusy("connection_refused", detail)
        case httpx.RemoteProtocolError() | httpx.ReadError() if begun:
            return TeacherBusy("truncated_body", "the connection ended in the middle of the reply")
        case _:
            return TeacherBusy("connection_lost", detail)


def refused(error: TeacherError, teacher: Teacher, key: str = "") -> Refused:
    """Return what a client is told of a teacher's error; a key that the teacher quotes is blotted out."""
    detail = error.detail.replace(key, "***") if key else error.detail
    headers = {}
    if isinstance(error, TeacherBusy) and error.retry_after_s is not None:
        headers["Retry-After"] = f"{error.retry_after_s:g}"
    return Refused(
        f"teacher '{teacher.name}': {detail or error.reason}",
        status=STATUS.get(error.reason, 502),
        code=CODES.get(error.reason, error.reason),
        headers=headers,
    )


def _key(teacher: Teacher) -> str:
    if not teacher.api_key_env:
        return ""
    key = os.environ.get(teacher.api_key_env, "").strip()
    if not key or not key.isascii() or not key.isprintable():
        detail = f"the environment variable {teacher.api_key_env} holds no usable key where the API runs"
        raise refused(TeacherError("no_key", detail), teacher)
    return key


async def while_connected(request: Request, work: Awaitable[Result]) -> Result:
    """Return what `work` gives; Gone, and `work` is cancelled, when the client leaves before that."""
    working = asyncio.ensure_future(work)
    watching = asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait((working, watching), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise Gone
        return working.result()
    finally:
        watching.cancel()
        working.cancel()


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
