"""`curator`: the request logs of Bespoke Curator, `responses_*.jsonl` in its cache folder."""

from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, Field

from service.formats.detect import Format
from service.formats.record import Unfit
from service.imports.chat import Asked, messages_of
from service.imports.source import Origin, Row, Source, with_answers, without_answer
from service.ingest import META_BYTES_MAX, PromptLine


class Request(BaseModel):
    """What Curator asked."""

    model_config = ConfigDict(extra="allow")

    model: str = ""
    messages: list[Asked] = Field(min_length=1)
    original_row: Any = None
    original_row_idx: int | None = None


class Usage(BaseModel):
    """Tokens, under the names of its releases."""

    model_config = ConfigDict(extra="allow")

    input: int | None = None
    output: int | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class CuratorLine(BaseModel):
    """A request and what came of it."""

    model_config = ConfigDict(extra="allow")

    response_message: Any = None
    response_errors: list[str] | None = None
    raw_response: dict[str, Any] | None = None
    generic_request: Request
    token_usage: Usage | None = None
    finish_reason: str | None = None


def _row(data: dict[str, Any], line: int, origin: Origin) -> Row:
    read = CuratorLine.model_validate(data)
    request = read.generic_request
    prompt = PromptLine.model_validate(
        {"id": request.original_row_idx, "messages": messages_of(request.messages), "meta": _meta(request)}
    )
    reply = _reply(read)
    if reply is not None:
        return with_answers(prompt, reply, line, origin)
    if read.response_errors:
        return without_answer(prompt, "failed_elsewhere", "; ".join(read.response_errors), line, origin)
    raise Unfit("response_message", "there is neither a response nor an error", "missing_field")


def _reply(read: CuratorLine) -> dict[str, Any] | None:
    """Return the chat completion: as the server sent it where it was logged, for that has reasoning and usage."""
    for whole in (read.raw_response, read.response_message):
        if isinstance(whole, dict) and isinstance(whole.get("choices"), list):
            return whole
    said = read.response_message
    if said is None:
        return None
    usage = read.token_usage or Usage()
    counts = {
        "prompt_tokens": usage.prompt_tokens if usage.input is None else usage.input,
        "completion_tokens": usage.completion_tokens if usage.output is None else usage.output,
    }
    message = {"role": "assistant", "content": said if isinstance(said, str) else orjson.dumps(said).decode()}
    return {"choices": [{"index": 0, "message": message, "finish_reason": read.finish_reason}], "usage": counts}


def _meta(request: Request) -> dict[str, Any]:
    """Return what stays with the prompt: its row in the table that Curator was given, where that is small."""
    meta = {"model": request.model, "row": request.original_row}
    size = len(orjson.dumps(meta, default=str))
    return meta if size <= META_BYTES_MAX else {"model": request.model, "row_bytes": size}


SOURCE = Source("curator", "Bespoke Curator: responses_*.jsonl", _row, {}, forms=frozenset({Format.JSONL}))
