"""The fake teacher's HTTP: a protocol of its own, since a stub must cost less than the client it measures.

(aiohttp's server took five times the CPU per request; and no framework breaks connections to order.)
"""

import asyncio
import socket
import struct
from http import HTTPStatus
from typing import cast

import httptools
import orjson

from workers.teachers.fake.scenario import Fault, Kind, ScenarioError, parse
from workers.teachers.fake.teacher import FakeTeacher, Reply

BODY_BYTES_MAX = 64 * 1024 * 1024
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER of zero: closing sends a reset instead of an orderly end."""
PIECES = 10
"""Of a slow body."""
PHRASES = {status.value: status.phrase.encode() for status in HTTPStatus}


class Connection(asyncio.Protocol):
    """One client connection; requests on it are answered one after the other."""

    def __init__(self, teacher: FakeTeacher) -> None:
        self._teacher = teacher
        self._parser = httptools.HttpRequestParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclass of asyncio's, hence no isinstance.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            # In plain text even to a client that began with TLS, as uvicorn does: its error then names the mistake.
            self._write(_head(400, 0))
            self._transport.close()

    def on_message_begin(self) -> None:
        """Start a request; the parser calls this and the other `on_…`."""
        self._path, self._authorization, self._pieces, self._size = b"", b"", [], 0

    def on_url(self, url: bytes) -> None:
        self._path += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"authorization":
            self._authorization = value

    def on_body(self, body: bytes) -> None:
        self._size += len(body)
        if self._size > BODY_BYTES_MAX:
            self._transport.abort()
            self._pieces.clear()
        self._pieces.append(body)

    def on_message_complete(self) -> None:
        if self._teacher.scenario.down and not self._path.startswith(b"/fake/"):
            self._transport.close()
            return
        body = b"".join(self._pieces)
        match self._parser.get_method(), self._path:
            case b"POST", b"/v1/chat/completions":
                self._answer(self._teacher.chat(body, self._authorization))
            case b"POST", b"/v1/completions":
                self._answer(self._teacher.score(body, self._authorization))
            case b"POST", b"/tokenize":
                self._answer(self._teacher.tokenize(body, self._authorization))
            case b"GET", b"/health":
                self._send(200, b"")
            case b"GET", b"/v1/models":
                self._send(200, orjson.dumps(self._teacher.models()))
            case b"GET", b"/fake/calls":
                self._send(200, orjson.dumps(self._teacher.counts()))
            case b"PUT", b"/fake/scenario":
                self._change(body)
            case _:
                self._send(404, b'{"detail":"Not Found"}')

    def _change(self, body: bytes) -> None:
        try:
            self._teacher.play(parse(body))
        except ScenarioError as error:
            self._send(422, orjson.dumps({"detail": str(error)}))
        else:
            self._send(200, b"{}")

    def _answer(self, reply: Reply) -> None:
        if reply.fault and reply.fault.kind in BROKEN:
            self._break(reply.fault, reply.body)
        elif reply.wait_s > 0:
            loop = asyncio.get_running_loop()
            loop.call_later(reply.wait_s, self._send, reply.status, reply.body, reply.headers)
        else:
            self._send(reply.status, reply.body, reply.headers)

    def _send(self, status: int, body: bytes, headers: bytes = b"") -> None:
        self._write(_head(status, len(body), headers) + body)
        if not self._parser.should_keep_alive():
            self._transport.close()

    def _write(self, data: bytes) -> None:
        # A client may have gone while its answer was held back.
        if not self._transport.is_closing():
            self._transport.write(data)

    def _break(self, fault: Fault, body: bytes) -> None:
        """Answer in a way that no well-behaved server does."""
        half = _head(200, len(body)) + body[: len(body) // 2]
        later = asyncio.get_running_loop().call_later
        match fault.kind:
            case Kind.DROPPED:
                self._transport.close()
            case Kind.TRUNCATED_BODY:
                self._transport.write(half)
                self._transport.close()
            case Kind.DROPPED_IN_BODY:
                self._transport.write(half)
                # A moment later: a reset would overtake what the client has not read yet.
                later(0.02, self._reset)
            case Kind.INVALID_JSON:
                self._send(200, body[: len(body) // 2])
            case Kind.SLOW_BODY:
                self._transport.write(_head(200, len(body)))
                size = -(-len(body) // PIECES)
                for k, start in enumerate(range(0, len(body), size), start=1):
                    later(fault.delay_s * k / PIECES, self._write, body[start : start + size])

    def _reset(self) -> None:
        raw: socket.socket | None = self._transport.get_extra_info("socket")
        if raw is not None and not self._transport.is_closing():
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self._transport.abort()


BROKEN = frozenset(
    {Kind.DROPPED, Kind.TRUNCATED_BODY, Kind.DROPPED_IN_BODY, Kind.INVALID_JSON, Kind.SLOW_BODY, Kind.HANG}
)
"""Faults of the connection rather than of what is said; to `hang` is to do nothing at all."""


def _head(status: int, length: int, headers: bytes = b"") -> bytes:
    start = b"HTTP/1.1 %d %s\r\ncontent-type: application/json\r\n" % (status, PHRASES[status])
    return start + b"content-length: %d\r\n%s\r\n" % (length, headers)
