"""`openai`: stored chat completions, and lines of a batch's output with their requests.

{"object": "chat.completion", "id": …, "choices": […], "usage": …, "messages": […]}
{"custom_id": …, "request": {"messages": …}, "response": {"status_code": 200, "body": {"choices": …}}, "error": null}
"""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from service.formats.detect import Format
from service.formats.record import Unfit
from service.imports.chat import Asked, messages_of
from service.imports.source import Origin, Row, Source, with_answers, without_answer
from service.ingest import PromptLine
from service.openai.words import About, columns

NOT_SAMPLING = frozenset({"messages", "model", "stream", "stream_options", "store", "metadata", "retort", "n"})
ADVICE = (
    "the request is not in it: add its messages as 'messages' (GET /v1/chat/completions/ID/messages has them), or the "
    "line of the batch's input as 'request'"
)


class Request(BaseModel):
    """A chat request; the rest of it is how it was sampled."""

    model_config = ConfigDict(extra="allow")

    messages: list[Asked] = Field(min_length=1)
    metadata: dict[str, str] | None = None
    retort: About | None = None

    @property
    def sampling(self) -> dict[str, Any]:
        """Its fields that say how to answer."""
        return {name: value for name, value in (self.model_extra or {}).items() if name not in NOT_SAMPLING}


def _row(data: dict[str, Any], line: int, origin: Origin) -> Row:
    reply, failure = _reply(data)
    request = Request.model_validate(_request(data, reply))
    about = columns(request.retort, request.metadata)
    named = data.get("custom_id") or (reply or {}).get("id")
    meta = {**(request.metadata or {}), **({"model": str(reply["model"])} if reply and reply.get("model") else {})}
    said = {"id": named, "messages": messages_of(request.messages), "meta": meta or None}
    prompt = PromptLine.model_validate(said | {name: value for name, value in about.items() if value})
    more = {"body": request.sampling or None}
    if reply is None:
        return without_answer(prompt, *failure, line, origin, **more)
    return with_answers(prompt, reply, line, origin, **more)


def _reply(data: dict[str, Any]) -> tuple[dict[str, Any] | None, tuple[str, str]]:
    """Return the chat completion of a line, or the reason and detail of its failure."""
    if isinstance(data.get("choices"), list):
        return data, ("", "")
    response = data.get("response")
    body = response.get("body", response) if isinstance(response, dict) else None
    status = response.get("status_code", 200) if isinstance(response, dict) else None
    if isinstance(body, dict) and status == 200 and not data.get("error"):
        return body, ("", "")
    error = data.get("error") or (body.get("error") if isinstance(body, dict) else None)
    if error or status:
        told = error if isinstance(error, dict) else {"message": str(error or f"HTTP {status}")}
        return None, (str(told.get("code") or "failed_elsewhere")[:64], str(told.get("message") or f"HTTP {status}"))
    raise Unfit("response", "expected 'choices', or 'response' with a body that has them", "missing_field")


def _request(data: dict[str, Any], reply: dict[str, Any] | None) -> dict[str, Any]:
    request = data.get("request") or data.get("body")
    if isinstance(request, dict) and isinstance(request.get("body"), dict):
        request = request["body"]
    request = dict(request) if isinstance(request, dict) else {}
    messages = data.get("messages", request.get("messages"))
    if isinstance(messages, dict):
        messages = messages.get("data")  # the page that lists them
    if not messages:
        raise Unfit("messages", ADVICE, "missing_field")
    metadata = request.get("metadata") or data.get("metadata") or (reply or {}).get("metadata")
    return request | {"messages": messages, "metadata": metadata}


SOURCE = Source(
    "openai", "stored chat completions; batch output with its requests", _row, {}, forms=frozenset({Format.JSONL})
)
