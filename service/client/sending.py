"""Sending files and rows: streamed, told apart by their form, and sent again where the connection broke."""

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import httpx

from service.connection import CHUNK, CONNECT_S, Object, RetortError, T
from service.formats.detect import CONTENT_TYPES, Format, by_name

Prompts = Path | BinaryIO | Iterable[Object]
"""A file (JSONL, CSV or Parquet), an open one, or rows."""
INGEST_TIMEOUT = httpx.Timeout(600.0, connect=CONNECT_S)
"""The rows of a batch are checked and stored after its last byte arrived; millions take minutes."""
RESEND_S = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Waits before a file whose submission broke off is sent again; together longer than a dead API holds a batch."""
TAKEN_IN_MAX_S = 6 * 3600.0
"""How long another request that takes in the same file is waited for."""
CONTENT_TYPE_OF = {kind: header for header, kind in reversed(CONTENT_TYPES.items())}


def key_of(path: Path, options: Object) -> str:
    """Return an idempotency key for a file submitted with these options: the same again is the same batch."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    digest.update(json.dumps(options, sort_keys=True).encode())
    return f"file-{digest.hexdigest()}"


def resent(send: Callable[[], T], note: Callable[[str], None] | None) -> T:
    """Call `send` until it is answered: after a break a few times, and as long as another request takes the file in."""
    failures, deadline = 0, time.monotonic() + TAKEN_IN_MAX_S
    while True:
        try:
            return send()
        except RetortError as error:
            if error.status == 409 and error.retry_after_s is not None and time.monotonic() < deadline:
                wait_s, failures = error.retry_after_s, 0
            elif failures == len(RESEND_S) or not _broke_off(error, begun=failures > 0):
                raise
            else:
                wait_s = RESEND_S[failures]
                failures += 1
            if note:
                note(f"{error.title}; sending again in {wait_s:.0f} s")
        time.sleep(wait_s)


def _broke_off(error: RetortError, *, begun: bool) -> bool:
    """Whether the same request may go through later: at the first attempt, a service that is not there is not."""
    if error.status:
        return error.status in {502, 503, 504}
    unreached = (httpx.ConnectError, httpx.ConnectTimeout)
    lost = (httpx.NetworkError, httpx.TimeoutException, httpx.RemoteProtocolError)
    return isinstance(error.__cause__, lost) and (begun or not isinstance(error.__cause__, unreached))


def format_of(prompts: Prompts) -> Format | None:
    """Return the form of what is sent, None where only its bytes can tell."""
    if isinstance(prompts, Path):
        return by_name(prompts.name)
    return None if hasattr(prompts, "read") else Format.JSONL


def bytes_of(prompts: Prompts) -> Iterator[bytes]:
    """Yield what is sent, piece by piece; rows as JSON lines."""
    if isinstance(prompts, Path):
        with prompts.open("rb") as file:
            yield from bytes_of(file)
    elif isinstance(prompts, Iterable) and not hasattr(prompts, "read"):
        for row in prompts:
            yield json.dumps(row, ensure_ascii=False).encode() + b"\n"
    else:
        while chunk := prompts.read(CHUNK):  # pyright: ignore[reportAttributeAccessIssue]
            yield chunk
