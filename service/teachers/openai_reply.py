"""Reading what an OpenAI-compatible server answered: completions, or the error that the status and body amount to."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from service.teachers import logprobs as soft
from service.teachers.protocol import Completion, TeacherBusy, TeacherError, TeacherRefused
from service.teachers.reasoning import Note, lost_reasoning, reasoning_tokens, split
from service.teachers.retry import parse_retry_after

BUSY = {
    408: "timeout",
    409: "overloaded",
    425: "overloaded",
    429: "rate_limited",
    500: "server_error",
    502: "bad_gateway",
    503: "overloaded",
    504: "gateway_timeout",
    529: "overloaded",
}
REFUSED = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "unknown_path",
    405: "unknown_path",
    413: "request_too_large",
    422: "bad_request",
}
DETAIL_CHARACTERS_MAX = 500
"""Of a server's own error text: enough for a sentence, too little to fill the database with HTML pages."""
UNFINISHED = frozenset({"abort", "error"})
"""vLLM's finish reasons for a choice it gave up, on shutting down or on an engine fault: no completion."""

_TOO_MANY_ASKED = re.compile(
    r"max_(completion_)?tokens\W.*(cannot be greater|too large|exceed|at most|less than or equal)",
    re.IGNORECASE | re.DOTALL,
)
_TOO_LONG = re.compile(r"context (length|window)|maximum model length|prompt is too long", re.IGNORECASE)


def error_of(status: int, retry_after: str | None, body: bytes) -> TeacherError:
    """Return the error that a reply with a status other than 200 amounts to."""
    error = _error_object(body)
    detail = f"HTTP {status}: {error['message']}"[:DETAIL_CHARACTERS_MAX]
    if 300 <= status < 400:
        return TeacherRefused("redirected", f"HTTP {status}: redirects are not followed; register the final address")
    if status == 429 and "insufficient_quota" in (error.get("code"), error.get("type")):
        return TeacherRefused("quota_exhausted", detail)
    if status in BUSY or status >= 500:
        wait_s = parse_retry_after(retry_after, datetime.now(UTC))
        return TeacherBusy(BUSY.get(status, "server_error"), detail, wait_s)
    return TeacherRefused(_refusal(status, error), detail)


def completions(
    payload: Any, *, n: int, latency_ms: int, thinking: bool | None, drop_token_ids: bool = False
) -> list[Completion]:
    """Return 1 to n completions of a decoded reply; choices past n are dropped. Raises TeacherBusy where there is none.

    With `drop_token_ids` the choices' `token_ids` are counted and then left out of `raw`.
    """
    if not isinstance(payload, dict) or not isinstance(payload.get("choices"), list):
        raise _no_choices(payload)
    choices = [_checked(choice) for choice in payload["choices"][:n]]
    finished = [choice for choice in choices if choice.get("finish_reason") not in UNFINISHED]
    found = [_completion(choice, thinking, drop_token_ids) for choice in finished]
    found = [each for each in found if each.response or each.reasoning or b'"tool_calls":[{' in each.raw]
    if not found:
        raise TeacherBusy("aborted" if len(finished) < len(choices) else "empty_response", "no choice holds any text")
    usage = payload["usage"] if isinstance(payload.get("usage"), dict) else {}
    arrived = "".join([each.response if each.note == Note.MOVED else each.reasoning for each in found])
    # `usage` counts every choice the server made, those we have no use for included.
    made = len(payload["choices"])
    lost = lost_reasoning(usage, arrived, n=made)
    for each in found:
        each.latency_ms = latency_ms
        each.model = str(payload.get("model") or "")
        each.note = Note.LOST_REASONING if lost else each.note
        _count(each, usage, alone=made == 1)
    return found


def _checked(choice: Any) -> dict[str, Any]:
    if not isinstance(choice, dict) or not isinstance(choice.get("message"), dict):
        raise TeacherBusy("wrong_shape", "a choice holds no message")
    return choice


def _completion(choice: dict[str, Any], thinking: bool | None, drop_token_ids: bool) -> Completion:
    try:
        reasoning, response, note = split(choice["message"], thinking=thinking)
    except ValueError as error:
        raise TeacherBusy("wrong_shape", str(error)) from error
    logprobs = choice.get("logprobs") if isinstance(choice.get("logprobs"), dict) else None
    # Both list the tokens of this choice one by one, the final stop token included, as `usage` counts them.
    tokens = choice.get("token_ids") or (logprobs or {}).get("content")
    labels, missing = soft.of_choice(logprobs)
    # What is in the soft labels is not kept a second time, thirty times as large.
    dropped = {"logprobs"} if labels else set()
    dropped |= {"token_ids"} if drop_token_ids else set()
    kept = {key: value for key, value in choice.items() if key not in dropped} if dropped else choice
    return Completion(
        reasoning=reasoning,
        response=response,
        finish_reason=str(choice.get("finish_reason") or ""),
        prompt_tokens=None,
        completion_tokens=len(tokens) if isinstance(tokens, list) else None,
        reasoning_tokens=None,
        latency_ms=0,
        raw=orjson.dumps(kept),
        logprobs=None if labels else logprobs,
        labels=labels,
        labels_missing=missing,
        note=note,
    )


def _count(completion: Completion, usage: Mapping[str, Any], *, alone: bool) -> None:
    """Fill in the counts that `usage` tells for certain: it sums over the choices, so for several it tells few."""
    completion.prompt_tokens = _integer(usage.get("prompt_tokens"))
    thought = reasoning_tokens(usage)
    if alone:
        completion.completion_tokens = _integer(usage.get("completion_tokens"), completion.completion_tokens)
    completion.reasoning_tokens = thought if alone or thought == 0 else None


def _integer(value: Any, default: int | None = None) -> int | None:
    return value if isinstance(value, int) else default


def _no_choices(payload: Any) -> TeacherError:
    """Return the error for a reply without choices; some gateways report the failure behind them under status 200."""
    error = payload.get("error") if isinstance(payload, dict) else None
    if not error:
        return TeacherBusy("wrong_shape", "the reply holds no list of choices")
    code = error.get("code") if isinstance(error, dict) else None
    return error_of(code if isinstance(code, int) and 400 <= code < 600 else 500, None, orjson.dumps(payload))


def _refusal(status: int, error: Mapping[str, Any]) -> str:
    """Return the reason for a permanent error, from vLLM's `param`, OpenAI's `code` and the wording of both."""
    message, param, code = str(error["message"]), error.get("param"), error.get("code")
    if code == "model_not_found" or (status == 404 and (param == "model" or "model" in message.lower())):
        return "unknown_model"
    if status in {400, 422} and _TOO_MANY_ASKED.search(message):
        return "max_tokens_too_large"
    too_long = code == "context_length_exceeded" or param in {"input_tokens", "input_text"} or _TOO_LONG.search(message)
    if status in {400, 413, 422} and too_long:
        return "prompt_too_long"
    return REFUSED.get(status, "unexpected_status")


def _error_object(body: bytes) -> dict[str, Any]:
    """Return OpenAI's error object with a `message`, whatever the body is: theirs, a string, FastAPI's, HTML."""
    text = body.decode(errors="replace").strip()
    try:
        payload = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {"message": text}
    error = payload.get("error", payload) if isinstance(payload, dict) else payload
    if not isinstance(error, dict):
        return {"message": str(error)}
    return {**error, "message": str(error.get("message") or error.get("detail") or text)}
