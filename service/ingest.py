"""Reading prompt lines: every line is checked before one is stored, and each refusal names its line and field."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal

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
        check_verifier(self.verifier)
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


def check_verifier(name: str | None) -> None:
    """Raise ValueError, with the nearest name there is, for a verifier that nobody wrote."""
    if name is not None and name not in VERIFIERS:
        raise ValueError(f"unknown verifier '{name}'{nearest(name, VERIFIERS)}")


@dataclass(frozen=True, slots=True)
class Form:
    """A kind of line: how it becomes a prompt's row, and what its fields are called."""

    row: Callable[[dict[str, Any], int], dict[str, Any]]
    """Takes a line's object and number; raises ValidationError."""
    fields: Mapping[tuple[Any, ...], Collection[str]]
    """The names known at each place of the line, so that a refusal can suggest the nearest."""
    id_field: str = "id"


NATIVE = Form(lambda data, line: PromptLine.model_validate(data).row(line), {(): PromptLine.model_fields})


def lines_of(file: BinaryIO, bytes_max: int) -> Iterator[bytes]:
    """Yield the lines of a file; of one longer than `bytes_max` only the start, so that none can fill the memory."""
    while line := file.readline(bytes_max + 1):
        yield line
        while len(line) > bytes_max and not line.endswith(b"\n"):
            line = file.readline(bytes_max + 1)


def read_lines(lines: Iterable[bytes], *, row_bytes_max: int, form: Form = NATIVE) -> Iterator[dict[str, Any]]:
    """Yield a prompt row for each non-empty line of JSONL; raise one Problem with all bad lines at the end.

    A caller that stores rows while reading must throw them away when this raises.
    """
    errors: list[dict[str, Any]] = []
    seen: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        if len(line) > row_bytes_max:
            message = f"the line is longer than {row_bytes_max:,} bytes"
            errors.append({"line": number, "message": message, "code": "line_too_long"})
            continue
        row, found = _parse(line, number, form)
        errors.extend(found)
        if row is None:
            continue
        first = seen.setdefault(row["key"], number)
        if first != number:
            message = f"the id '{row['key']}' stands on line {first} too"
            code = f"duplicate_{form.id_field}"
            errors.append({"line": number, "field": form.id_field, "message": message, "code": code})
        elif not errors:
            yield row
    if errors:
        raise refusal(errors)
    if not seen:
        raise Problem('the batch holds no prompt: send one JSON object a line, such as {"prompt": "2 + 2 = ?"}')


def refusal(errors: list[dict[str, Any]]) -> Problem:
    """Return the problem that lists bad lines, the first ones in its sentence."""
    first = errors[0]
    place = f"line {first['line']}" + (f", field '{first['field']}'" if first.get("field") else "")
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return Problem(f"{place}: {first['message']}{more}; nothing of the batch was stored", errors[: SHOWN_MAX * 10])


def _parse(line: bytes, number: int, form: Form) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
    wrong = {"line": number, "code": "invalid_json_line"}
    try:
        data = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return None, [wrong | {"message": f"not valid JSON: {error}"}]
    if not isinstance(data, dict):
        return None, [wrong | {"message": f"expected a JSON object, found {type(data).__name__}"}]
    if b"\\u0000" in line and "\0" in texts_of(data):
        return None, [wrong | {"message": "a text holds the NUL character, which databases cannot keep"}]
    try:
        return form.row(data, number), []
    except ValidationError as error:
        return None, [_explain(item, number, form) for item in error.errors()]


def texts_of(value: Any) -> str:
    """Return all texts of a decoded JSON value, keys too, one after the other."""
    if isinstance(value, dict):
        return "".join(texts_of(part) for pair in value.items() for part in pair)
    if isinstance(value, list):
        return "".join(map(texts_of, value))
    return value if isinstance(value, str) else ""


CODES = {"extra_forbidden": "unknown_field", "missing": "missing_field"}
"""What the commonest mistakes are called."""


def _explain(item: Any, number: int, form: Form) -> dict[str, Any]:
    *place, last = item["loc"] or ("",)
    message = item["msg"].removeprefix("Value error, ")
    if item["type"] == "extra_forbidden":
        message = f"unknown field{nearest(str(last), form.fields.get(tuple(place), ()))}"
    found = {"line": number, "message": message, "code": CODES.get(item["type"], item["type"])}
    return found | {"field": ".".join(map(str, item["loc"]))} if item["loc"] else found
