"""The fake teacher's refusals, worded as vLLM words them."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import orjson

from workers.teachers.fake.scenario import Fault, Kind

STATUSES: dict[Kind, tuple[int, str, str, str | None]] = {
    Kind.RATE_LIMITED: (429, "Too many requests", "RateLimitError", None),
    Kind.SERVER_ERROR: (500, "Internal server error", "InternalServerError", None),
    Kind.OVERLOADED: (503, "The engine is overloaded", "ServiceUnavailableError", None),
    Kind.UNKNOWN_MODEL: (404, "The model `x` does not exist. Valid aliases: y.", "NotFoundError", "model"),
    Kind.PROMPT_TOO_LONG: (
        400,
        "This model's maximum context length is 512 tokens. However, your prompt contains at least 513 input tokens, "
        "which exceeds this limit even without any output tokens. Please reduce the length of the input prompt.",
        "BadRequestError",
        "input_tokens",
    ),
}
"""Status, message, type and param of vLLM's error object."""


def error(status: int, message: str, kind: str, param: str | None = None) -> tuple[int, bytes, bytes]:
    """Return status, body and header lines of an error reply."""
    body: dict[str, Any] = {"error": {"message": message, "type": kind, "param": param, "code": status}}
    return status, orjson.dumps(body), b""


def of_fault(fault: Fault) -> tuple[int, bytes, bytes] | None:
    """Return the error reply of a fault that is a status; None for the other kinds."""
    if fault.kind is Kind.UNAUTHORIZED:
        return unauthorized()
    if fault.kind not in STATUSES:
        return None
    status, body, _ = error(*STATUSES[fault.kind])
    if fault.retry_after_s is None:
        return status, body, b""
    wait = f"{fault.retry_after_s:g}"
    if fault.retry_after_form == "date":
        # HTTP dates have whole seconds: round up, so that the date is never earlier than what was asked for.
        wait = format_datetime(datetime.now(UTC) + timedelta(seconds=fault.retry_after_s + 0.999), usegmt=True)
    return status, body, f"retry-after: {wait}\r\n".encode()


def unauthorized() -> tuple[int, bytes, bytes]:
    """Return vLLM's 401, whose `error` is a string and no object."""
    return 401, b'{"error":"Unauthorized"}', b""
