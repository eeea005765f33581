"""A streamed answer on its way through: bytes go on as they come, and are put together where the answer is kept."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import orjson

from service.models import Teacher
from service.openai.errors import Refused, error_object
from service.openai.upstream import REPLY_BYTES_MAX, classified, close, refused
from service.teachers.protocol import TeacherBusy, TeacherError

DONE = b"[DONE]"
Keep = Callable[[dict[str, Any]], Awaitable[None]]
"""Called with the whole answer once it is complete; raises TeacherError when there is nothing in it to keep."""


class Relay:
    """One streamed answer. Iterate `pieces` once."""

    def __init__(
        self, reply: httpx.Response, teacher: Teacher, completion_id: str, keep: Keep | None, *, hide_usage: bool
    ) -> None:
        self._reply, self._teacher, self._id = reply, teacher, completion_id
        self._keep, self._hide_usage = keep, hide_usage
        self._their_id: Any = None
        self._whole = Whole()
        self._done = False
        self._bytes = 0

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the stream with our id in the place of the teacher's; an error ends it in OpenAI's words."""
        try:
            async for lines in _lines(self._reply):
                self._bytes += sum(map(len, lines))
                if self._keep and self._bytes > REPLY_BYTES_MAX:
                    detail = f"a stream of more than {REPLY_BYTES_MAX:,} bytes is not kept"
                    raise TeacherError("reply_too_large", detail)
                passed = b"".join([self._line(line) for line in lines])
                if passed:
                    yield passed
                if self._done:
                    break
            if not self._done:
                raise TeacherBusy("truncated_body", "the stream ended before it was done")
            if self._keep:
                # Before the end is told: who has heard it finds the completion kept.
                await self._keep(self._whole.payload())
            yield b"data: [DONE]\n\n"
        except (httpx.HTTPError, TeacherError) as error:
            trouble = error if isinstance(error, TeacherError) else classified(error, begun=True)
            yield _last_words(refused(trouble, self._teacher))
        finally:
            await close(self._reply)

    def _line(self, line: bytes) -> bytes:
        data = line[5:].strip() if line.startswith(b"data:") else None
        self._done = self._done or data == DONE
        if self._done:
            return b""
        if data is None:
            return line
        if self._keep is None and self._their_id is not None:
            return renamed(line, self._their_id, self._id)
        try:
            chunk = orjson.loads(data)
        except orjson.JSONDecodeError:
            return line
        if not isinstance(chunk, dict):
            return line
        self._their_id = self._their_id or chunk.get("id")
        if self._keep is not None:
            self._whole.add(chunk)
            if self._hide_usage and chunk.get("usage") and not chunk.get("choices"):
                return b""
        return renamed(line, self._their_id, self._id)


def renamed(text: bytes, their_id: Any, our_id: str) -> bytes:
    """Return JSON with another `id`, and every other byte as it was: numbers, spaces and escapes are the teacher's."""
    if not isinstance(their_id, str):
        return text
    pattern = rb'("id"\s*:\s*)' + re.escape(orjson.dumps(their_id))
    return re.sub(pattern, lambda found: found.group(1) + orjson.dumps(our_id), text, count=1)


async def _lines(reply: httpx.Response) -> AsyncIterator[list[bytes]]:
    """Yield the lines that have come whole, with their ends, as they come.

    Split at line feeds alone: httpx would split at U+2028 as well, which JSON may hold inside a string.
    """
    rest = b""
    async for piece in reply.aiter_bytes():
        *lines, rest = (rest + piece).split(b"\n")
        if len(rest) > REPLY_BYTES_MAX:
            raise TeacherError("reply_too_large", f"a line of the stream is larger than {REPLY_BYTES_MAX:,} bytes")
        yield [line + b"\n" for line in lines]
    if rest:
        yield [rest + b"\n"]


def _last_words(error: Refused) -> bytes:
    return b"data: " + orjson.dumps(error_object(error.status, error.detail, error.param, error.code)) + b"\n\n"


class Whole:
    """A streamed answer put together: what the same request without `stream` would have brought."""

    def __init__(self) -> None:
        self._choices: dict[int, dict[str, Any]] = {}
        self._usage: Any = None
        self._model: Any = None

    def add(self, chunk: dict[str, Any]) -> None:
        """Take in one chunk."""
        self._usage, self._model = chunk.get("usage") or self._usage, chunk.get("model") or self._model
        for choice in chunk.get("choices") or ():
            if isinstance(choice, dict):
                self._take(choice)

    def payload(self) -> dict[str, Any]:
        """Return the whole as the body of a chat completion."""
        choices = [self._choices[index] for index in sorted(self._choices)]
        return {"model": self._model, "choices": choices, "usage": self._usage}

    def _take(self, choice: dict[str, Any]) -> None:
        said = choice.get("index")
        index = said if isinstance(said, int) else 0
        known = self._choices.setdefault(index, {"index": index, "message": {"role": "assistant"}})
        delta, logprobs = choice.get("delta"), choice.get("logprobs")
        if isinstance(delta, dict):
            merge(known["message"], delta)
        if isinstance(logprobs, dict):
            merge(known.setdefault("logprobs", {}), logprobs)
        read = {"index", "delta", "logprobs"}
        known.update({key: value for key, value in choice.items() if key not in read and value is not None})


def merge(whole: dict[str, Any], delta: dict[str, Any]) -> None:
    """Add a delta to what came before: texts and lists grow, parts of a list that carry an index grow by it."""
    for key, value in delta.items():
        before = whole.get(key)
        if value is None or before is None:
            whole[key] = before if value is None else _indexed([], value) if isinstance(value, list) else value
        elif isinstance(value, str) and isinstance(before, str) and key not in NAMES:
            whole[key] = before + value
        elif isinstance(value, dict) and isinstance(before, dict):
            merge(before, value)
        elif isinstance(value, list) and isinstance(before, list):
            whole[key] = _indexed(before, value)
        else:
            whole[key] = value


NAMES = {"role", "id", "type", "name"}
"""Said once, or the same again: they do not grow."""


def _indexed(before: list[Any], parts: list[Any]) -> list[Any]:
    for part in parts:
        index = part.get("index") if isinstance(part, dict) else None
        known = next((each for each in before if isinstance(each, dict) and each.get("index") == index), None)
        if index is None or known is None:
            before.append(part)
        else:
            merge(known, {key: value for key, value in part.items() if key != "index"})
    return before
