"""A teacher behind an OpenAI-compatible server: vLLM, and whatever else speaks `/v1/chat/completions`."""

import os
import socket
import time
from io import BytesIO
from types import TracebackType
from typing import Any, Self

import aiohttp
import orjson
from aiohttp.abc import AbstractResolver

from service.teachers.openai_reply import completions, error_of
from service.teachers.protocol import Completion, Sampling, TeacherBusy, TeacherError, TeacherRefused
from service.urls import normal_base_url

TIMEOUT_S = 600.0
"""For a whole request. Without streaming nothing arrives until the last token, so this bounds the longest reasoning; it
is also how long requests hang on a vLLM that got SIGTERM and was not killed after it."""
CONNECT_TIMEOUT_S = 10.0
KEEP_ALIVE_S = 4.0
"""vLLM closes idle connections after 5 s; reusing one at that very moment would lose the request."""
CONNECTIONS_MAX = 4096
"""A backstop: the caller bounds what is in flight, and a request that waits here spends its timeout doing so."""
REPLY_BYTES_MAX = 32 * 1024 * 1024
LOGPROBS_BYTES_MAX = 128 * 1024 * 1024
"""Some 50,000 tokens with their 20 likeliest alternatives each, or 8,000 with 128: JSON takes 130 bytes for each."""
ERROR_BYTES_MAX = 64 * 1024
OURS = frozenset({"metadata", "store", "retort", "stream", "stream_options"})
"""Fields of a request that are meant for Retort: references ride in `metadata`, and no teacher may read those."""
_WARNED_ABOUT_BYTES = 1024 * 1024
"""aiohttp sends a larger body piece by piece only when it is given as a file."""


class OpenAITeacher:
    """One model on one server, over one connection pool. Make it inside a running event loop, close it in the same."""

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        api_key_env: str | None = None,
        timeout_s: float = TIMEOUT_S,
        token_ids: bool = False,
        resolver: AbstractResolver | None = None,
    ) -> None:
        """Prepare to ask `model` at `base_url`, given with or without `/v1`.

        `token_ids`: the server understands vLLM's `return_token_ids`, and is asked for them where n > 1, since only
        they tell the tokens of each choice, and `return_tokens_as_token_ids`, asked for where `top_logprobs` comes
        without OpenAI's `logprobs`: that is how soft labels are wanted, while both together promise text. Others may
        refuse a field they do not know, hence off by default.
        `resolver` decides which addresses may be called; a PermissionError from it ends as `address_not_allowed`.
        Raises ValueError for an unusable address and TeacherRefused (`no_key`, `bad_key`) for a missing key.
        """
        self.model = model
        self._root = normal_base_url(base_url).removesuffix("/v1")
        self._token_ids = token_ids
        self._key = _key(api_key_env)
        # Identity: compressing costs more than a local network gains, and no small reply can unpack to a huge one.
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=CONNECTIONS_MAX, keepalive_timeout=KEEP_ALIVE_S, resolver=resolver, socket_factory=_socket
            ),
            timeout=aiohttp.ClientTimeout(total=timeout_s, sock_connect=CONNECT_TIMEOUT_S),
            headers=headers,
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def complete(self, messages: list[dict[str, Any]], sampling: Sampling, n: int = 1) -> list[Completion]:
        """Return 1 to n completions. Raises TeacherBusy or TeacherRefused, nothing else."""
        lists_tokens = bool(sampling.params.get("logprobs") or sampling.params.get("top_logprobs"))
        ask_ids = self._token_ids and n > 1 and not lists_tokens
        drop_ids = ask_ids and not sampling.params.get("return_token_ids")
        fields = _fields(sampling, soft=self._token_ids) | {"messages": messages, "n": n}
        if ask_ids:
            fields["return_token_ids"] = True
        start = time.perf_counter()
        payload = await self.post("/v1/chat/completions", fields)
        latency_ms = round((time.perf_counter() - start) * 1000)
        try:
            return completions(payload, n=n, latency_ms=latency_ms, thinking=sampling.thinking, drop_token_ids=drop_ids)
        except TeacherError as error:
            raise self._without_key(error) from error

    async def post(self, path: str, fields: dict[str, Any]) -> Any:
        """Return the decoded reply to `fields`, sent with the model's name to a path of the server: `/tokenize`, …

        Raises TeacherBusy or TeacherRefused, nothing else.
        """
        try:
            body = orjson.dumps(fields | {"model": self.model})
        except TypeError as error:
            raise TeacherRefused("bad_request", f"the request is no JSON: {error}") from error
        long = fields.get("logprobs") or fields.get("prompt_logprobs")
        try:
            return await self._post(self._root + path, body, LOGPROBS_BYTES_MAX if long else REPLY_BYTES_MAX)
        except (aiohttp.ClientError, OSError) as error:
            raise _classified(error) from error
        except TeacherError as error:
            raise self._without_key(error) from error

    async def close(self) -> None:
        """Close the connections; requests still in flight fail."""
        await self._session.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _post(self, url: str, body: bytes, bytes_max: int) -> Any:
        data = body if len(body) < _WARNED_ABOUT_BYTES else BytesIO(body)
        async with self._session.post(url, data=data, allow_redirects=False) as reply:
            if reply.status != 200:
                text = await _read(reply, ERROR_BYTES_MAX, cut=True)
                raise error_of(reply.status, reply.headers.get("Retry-After"), text)
            text = await _read(reply, bytes_max)
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError as error:
            reason = "invalid_json" if text.strip() else "empty_response"
            raise TeacherBusy(reason, f"{len(text)} bytes that are no JSON: {error}") from error

    def _without_key(self, error: TeacherError) -> TeacherError:
        """Blot out the key where a server quotes it in its error text: details are stored and shown."""
        if self._key and self._key in error.detail:
            error.detail = error.detail.replace(self._key, "***")
            error.args = (f"{error.reason}: {error.detail}",)
        return error


def _fields(sampling: Sampling, *, soft: bool) -> dict[str, Any]:
    """Return what the request says beside its messages; `soft`: the server knows tokens by their ids."""
    fields: dict[str, Any] = {key: value for key, value in sampling.params.items() if key not in OURS}
    if fields.get("top_logprobs") is not None and "logprobs" not in fields:
        # vLLM and OpenAI refuse the one without the other.
        fields["logprobs"] = True
        if soft:
            fields.setdefault("return_tokens_as_token_ids", True)
    return fields


async def _read(reply: aiohttp.ClientResponse, bytes_max: int, *, cut: bool = False) -> bytes:
    """Return the body, at most `bytes_max` of it; past that cut it off or raise TeacherRefused."""
    length = reply.content_length
    if length is not None and length <= bytes_max and "Content-Encoding" not in reply.headers:
        return await reply.read()
    body = bytearray()
    async for piece in reply.content.iter_any():
        body += piece
        if len(body) > bytes_max:
            if cut:
                break
            raise TeacherRefused("reply_too_large", f"the reply is larger than {bytes_max} bytes")
    return bytes(body[:bytes_max])


def _classified(error: Exception) -> TeacherError:
    """Return what an error of the connection means."""
    cause = getattr(error, "os_error", error)
    detail = f"{type(error).__name__}: {error}"
    match error:
        case _ if isinstance(cause, PermissionError):
            return TeacherRefused("address_not_allowed", str(cause))
        case aiohttp.ClientConnectorDNSError():
            return TeacherBusy("unknown_host", detail)
        case aiohttp.ClientSSLError():
            return TeacherRefused("tls_failed", detail)
        case TimeoutError():
            return TeacherBusy("timeout", "no reply within the time limit")
        case aiohttp.ClientConnectorError():
            return TeacherBusy(
                "connection_refused" if isinstance(cause, ConnectionRefusedError) else "unreachable", detail
            )
        case aiohttp.ClientPayloadError():
            return TeacherBusy("truncated_body", "the connection ended in the middle of the reply")
        case aiohttp.ClientResponseError():
            return TeacherBusy("wrong_shape", f"the reply is no HTTP: {error.message}")
        case _:
            return TeacherBusy("connection_lost", detail)


def _key(api_key_env: str | None) -> str | None:
    if not api_key_env:
        return None
    key = os.environ.get(api_key_env, "").strip()
    if not key:
        raise TeacherRefused("no_key", f"the environment variable {api_key_env} is not set where the worker runs")
    if not key.isascii() or not key.isprintable():
        raise TeacherRefused("bad_key", f"the key in {api_key_env} holds characters no HTTP header can carry")
    return key


def _socket(address: tuple[Any, ...]) -> socket.socket:
    """Return a socket that notices a vanished peer within two minutes and keeps a silent connection open."""
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4}.items():
        if hasattr(socket, name):
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return made
