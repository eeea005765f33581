"""A teacher behind an OpenAI-compatible server: vLLM, and whatever else speaks `/v1/chat/completions`."""

import errno
import os
import re
import time
from collections.abc import Sequence
from datetime import timedelta
from ipaddress import ip_network
from types import TracebackType
from typing import Any, Self

import orjson
from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import (
    BodyDecodeError,
    ConnectError,
    DecodeError,
    DetailedPyreqwestError,
    ReadError,
    RequestTimeoutError,
)
from pyreqwest.http import Url
from pyreqwest.response import Response

from service import tracing
from service.counting import TEACHER_TOKENS
from service.teachers.openai_reply import completions, error_of
from service.teachers.protocol import Completion, Sampling, TeacherBusy, TeacherError, TeacherRefused
from service.teachers.watched import asking
from service.urls import Network, normal_base_url
from workers.teachers.addresses import Addresses

LOOPBACK: tuple[Network, ...] = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
"""Where teachers may be unless the caller says otherwise."""
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
_CONNECTING = "client error (Connect)"
_OS_ERROR = re.compile(r"\(os error (\d+)\)")
"""How the client words what it was doing, and the system's error number: its classes do not tell them."""


class OpenAITeacher:
    """One model on one server, over one connection pool for each address of it."""

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        api_key_env: str | None = None,
        timeout_s: float = TIMEOUT_S,
        token_ids: bool = False,
        networks: Sequence[Network] = LOOPBACK,
        name: str = "",
    ) -> None:
        """Prepare to ask `model` at `base_url`, given with or without `/v1`. `name` is the teacher's, for figures.

        `token_ids`: the server understands vLLM's `return_token_ids`, and is asked for them where n > 1, since only
        they tell the tokens of each choice, and `return_tokens_as_token_ids`, asked for where `top_logprobs` comes
        without OpenAI's `logprobs`: that is how soft labels are wanted, while both together promise text. Others may
        refuse a field they do not know, hence off by default.
        Only addresses in `networks` are connected to; any other ends as `address_not_allowed`, whatever the name led
        to before.
        Raises ValueError for an unusable address and TeacherRefused (`no_key`, `bad_key`) for a missing key.
        """
        self.model = model
        self.name = name or model
        self._prompt_tokens = TEACHER_TOKENS.labels(self.name, "prompt")
        self._completion_tokens = TEACHER_TOKENS.labels(self.name, "completion")
        self._root = normal_base_url(base_url).removesuffix("/v1")
        self._token_ids = token_ids
        self._key = _key(api_key_env)
        # Identity: compressing costs more than a local network gains, and no small reply can unpack to a huge one.
        self._headers = {"Content-Type": "application/json", "Accept-Encoding": "identity", "User-Agent": "retort"}
        if self._key:
            self._headers["Authorization"] = f"Bearer {self._key}"
        self._timeout_s = timeout_s
        self._addresses = Addresses(Url(self._root), networks)
        self._clients: dict[str, Client] = {}
        """By address: each connects to that one alone, whatever the name leads to by then."""

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
            came = completions(payload, n=n, latency_ms=latency_ms, thinking=sampling.thinking, drop_token_ids=drop_ids)
        except TeacherError as error:
            raise self._without_key(error) from error
        self._prompt_tokens.inc(came[0].prompt_tokens or 0)
        self._completion_tokens.inc(sum(each.completion_tokens or 0 for each in came))
        return came

    async def post(self, path: str, fields: dict[str, Any]) -> Any:
        """Return the decoded reply to `fields`, sent with the model's name to a path of the server: `/tokenize`, …

        Raises TeacherBusy or TeacherRefused, nothing else.
        """
        try:
            body = orjson.dumps(fields | {"model": self.model})
        except TypeError as error:
            raise TeacherRefused("bad_request", f"the request is no JSON: {error}") from error
        long = fields.get("logprobs") or fields.get("prompt_logprobs")
        with asking(self.name, self.model):
            try:
                return await self._post(self._root + path, body, LOGPROBS_BYTES_MAX if long else REPLY_BYTES_MAX)
            except DetailedPyreqwestError as error:
                raise _classified(error) from error
            except TeacherError as error:
                raise self._without_key(error) from error

    async def close(self) -> None:
        """Close the connections; requests still in flight fail."""
        for client in self._clients.values():
            await client.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _post(self, url: str, body: bytes, bytes_max: int) -> Any:
        addresses = await self._addresses.now()
        for address in addresses[:-1]:
            try:
                return await self._post_to(address, url, body, bytes_max)
            except DetailedPyreqwestError as error:
                # Nothing was sent yet, so the next address may be asked the same.
                if not _is_connecting(error):
                    raise
                self._addresses.avoid(address)
        return await self._post_to(addresses[-1], url, body, bytes_max)

    async def _post_to(self, address: str, url: str, body: bytes, bytes_max: int) -> Any:
        client = self._clients.get(address) or self._connected_to(address)
        async with client.post(url).headers(tracing.headers()).body_bytes(body).build_streamed() as reply:
            if reply.status != 200:
                text = await _read(reply, ERROR_BYTES_MAX, cut=True)
                raise error_of(reply.status, reply.get_header("Retry-After"), text)
            text = await _read(reply, bytes_max)
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError as error:
            reason = "invalid_json" if text.strip() else "empty_response"
            raise TeacherBusy(reason, f"{len(text)} bytes that are no JSON: {error}") from error

    def _connected_to(self, address: str) -> Client:
        """Return a new client for one checked address, for the connections of its own only."""
        builder = (
            ClientBuilder()
            .default_headers(self._headers)
            .timeout(timedelta(seconds=self._timeout_s))
            .connect_timeout(timedelta(seconds=CONNECT_TIMEOUT_S))
            .pool_idle_timeout(timedelta(seconds=KEEP_ALIVE_S))
            .max_connections(CONNECTIONS_MAX)
            # A silent connection stays open through firewalls, and a vanished peer is noticed within two minutes.
            .tcp_keepalive(timedelta(seconds=60))
            .tcp_keepalive_interval(timedelta(seconds=15))
            .tcp_keepalive_retries(4)
            .follow_redirects(False)
            .referer(False)
            .no_proxy()
            .gzip(False)
            .brotli(False)
            .zstd(False)
            .deflate(False)
        )
        if self._addresses.host.strip("[]") != address:
            builder.resolve(self._addresses.host, address, 0)
        made = self._clients[address] = builder.build()
        return made

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


async def _read(reply: Response, bytes_max: int, *, cut: bool = False) -> bytes:
    """Return the body, at most `bytes_max` of it; past that cut it off or raise TeacherRefused."""
    if int(reply.get_header("Content-Length") or bytes_max + 1) <= bytes_max:
        return bytes(await reply.body_reader.bytes())
    body = bytearray()
    while piece := await reply.body_reader.read_chunk():
        body += piece
        if len(body) > bytes_max:
            if cut:
                break
            raise TeacherRefused("reply_too_large", f"the reply is larger than {bytes_max} bytes")
    return bytes(body[:bytes_max])


def _is_connecting(error: DetailedPyreqwestError) -> bool:
    return any(cause["message"] == _CONNECTING for cause in error.details["causes"] or ())


def _classified(error: DetailedPyreqwestError) -> TeacherError:
    """Return what an error of the connection means."""
    causes = [cause["message"] for cause in error.details["causes"] or ()]
    detail = causes[-1] if causes else error.message
    number = _OS_ERROR.search(detail)
    match error:
        case RequestTimeoutError() if not _is_connecting(error):
            return TeacherBusy("timeout", "no reply within the time limit")
        case RequestTimeoutError():
            return TeacherBusy("unreachable", f"no connection within {CONNECT_TIMEOUT_S:g} s")
        case ConnectError() if number and int(number[1]) == errno.ECONNREFUSED:
            return TeacherBusy("connection_refused", detail)
        case ConnectError() if "tcp connect error" in causes:
            return TeacherBusy("unreachable", detail)
        case ConnectError() if _is_connecting(error) and not number and not detail.endswith("eof"):
            return TeacherRefused("tls_failed", detail)
        case ReadError() | BodyDecodeError():
            return TeacherBusy("truncated_body", "the connection ended in the middle of the reply")
        case DecodeError():
            return TeacherBusy("wrong_shape", f"the reply is no HTTP: {detail}")
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
