"""Reading prompt lines: every line is checked before one is stored, and each refusal names its line and field."""

from collections.abc import Iterable, Iterator
from typing import Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from filters.verifiers import VERIFIERS
from service.errors import SHOWN_MAX, Problem, nearest

MESSAGES_MAX = 1000


class Message(BaseModel):
    """One chat message."""

    model_config = ConfigDict(extra="forbid")

    role: Literal["system", "user", "assistant", "developer", "tool"]
    content: str = Field(min_length=1)


class PromptLine(BaseModel):
    """One line of a native batch: a prompt as text or as messages, and what is known about it."""

    model_config = ConfigDict(extra="forbid")

    id: str | int | None = None
    """The submitter's id, unique in the batch; the line's number where none is given."""
    prompt: str | None = Field(default=None, min_length=1)
    messages: list[Message] | None = Field(default=None, min_length=1, max_length=MESSAGES_MAX)
    reference: str | int | float | None = None
    verifier: str | None = None
    category: str = ""
    source: str = ""
    license: str = ""

    @model_validator(mode="after")
    def _one_form(self) -> "PromptLine":
        if (self.prompt is None) == (self.messages is None):
            raise ValueError("give either 'prompt' (text) or 'messages' (a list of chat messages)")
        if self.verifier is not None and self.verifier not in VERIFIERS:
            raise ValueError(f"unknown verifier '{self.verifier}'{nearest(self.verifier, VERIFIERS)}")
        return self

    def row(self, line: int) -> dict[str, Any]:
        """Return the values of its row in the prompt table."""
        messages = [{"role": "user", "content": self.prompt}]
        if self.messages is not None:
            messages = [message.model_dump() for message in self.messages]
        return {
            "key": str(line if self.id is None else self.id),
            "line": line,
            "messages": messages,
            "reference": None if self.reference is None else str(self.reference),
            "verifier": self.verifier,
            "category": self.category,
            "source": self.source,
            "license": self.license,
        }


def read_lines(lines: Iterable[bytes], *, row_bytes_max: int) -> Iterator[dict[str, Any]]:
    """Yield a prompt row for each non-empty line of JSONL; raise one Problem with all bad lines at the end.

    A caller that stores rows while reading must throw them away when this raises.
    """
    errors: list[dict[str, Any]] = []
    seen: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        if len(line) > row_bytes_max:
            errors.append({"line": number, "message": f"the line has {len(line):,} bytes; at most {row_bytes_max:,}"})
            continue
        row, found = _parse(line, number)
        errors.extend(found)
        if row is None:
            continue
        first = seen.setdefault(row["key"], number)
        if first != number:
            errors.append({"line": number, "field": "id", "message": f"the id '{row['key']}' stands on line {first} too"})
        elif not errors:
            yield row
    if errors:
        raise refusal(errors)
    if not seen:
        raise Problem("the batch holds no prompt: send one JSON object a line, such as {\"prompt\": \"2 + 2 = ?\"}")


def refusal(errors: list[dict[str, Any]]) -> Problem:
    """Return the problem that lists bad lines, the first ones in its sentence."""
    first = errors[0]
    place = f"line {first['line']}" + (f", field '{first['field']}'" if first.get("field") else "")
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return Problem(f"{place}: {first['message']}{more}; nothing of the batch was stored", errors[: SHOWN_MAX * 10])


def _parse(line: bytes, number: int) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
    try:
        data = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return None, [{"line": number, "message": f"not valid JSON: {error}"}]
    if not isinstance(data, dict):
        return None, [{"line": number, "message": f"expected a JSON object, found {type(data).__name__}"}]
    try:
        return PromptLine.model_validate(data).row(number), []
    except ValidationError as error:
        return None, [_explain(item, number) for item in error.errors()]


def _explain(item: Any, number: int) -> dict[str, Any]:
    field = ".".join(map(str, item["loc"]))
    message = item["msg"].removeprefix("Value error, ")
    if item["type"] == "extra_forbidden":
        message = f"unknown field{nearest(field, PromptLine.model_fields)}"
    return {"line": number, "field": field, "message": message} if field else {"line": number, "message": message}
