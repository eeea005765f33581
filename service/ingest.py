"""Reading prompts: every row is checked before one is stored, and each refusal names its line and field."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from filters.verifiers import VERIFIERS
from service.errors import SHOWN_MAX, Problem, nearest
from service.formats import jsonl
from service.formats.columns import Columns, ColumnsClash
from service.formats.jsonl import lines_of
from service.formats.record import Fault, Record, Unfit, texts_of

__all__ = ["Form", "Message", "PromptLine", "lines_of", "read_lines", "texts_of"]

MESSAGES_MAX = 1000
WORD_MAX = 512
"""Characters of an id or a category: both are looked up, and Postgres bounds what an index holds."""
META_BYTES_MAX = 16 * 1024
"""Of the JSON of one prompt's `meta`: it travels with every answer."""
ERRORS_MAX = 10 * SHOWN_MAX
"""Bad rows remembered; at so many, reading ends: a file like that is wrong as a whole."""


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
    category: str = Field(default="", max_length=WORD_MAX)
    source: str = ""
    license: str = ""
    meta: dict[str, Any] | None = None
    """What the submitter notes beside it, such as where it is from; kept with it, never sent to the teacher."""

    @field_validator("id")
    @classmethod
    def _is_a_word(cls, value: str | int | None) -> str | int | None:
        if len(str(value)) > WORD_MAX:
            raise ValueError(f"at most {WORD_MAX} characters")
        return value

    @field_validator("meta")
    @classmethod
    def _is_small(cls, meta: dict[str, Any] | None) -> dict[str, Any] | None:
        try:
            size = len(orjson.dumps(meta))
        except orjson.JSONEncodeError as error:
            raise ValueError(f"it cannot be kept as JSON: {error}") from error
        if size > META_BYTES_MAX:
            raise ValueError(f"it has {size:,} bytes as JSON; at most {META_BYTES_MAX:,} are kept")
        return meta

    @model_validator(mode="after")
    def _one_form(self) -> "PromptLine":
        if (self.prompt is None) == (self.messages is None):
            raise ValueError("give either 'prompt' (text) or 'messages' (a list of chat messages)")
        check_verifier(self.verifier)
        return self

    def asked(self) -> list[dict[str, Any]]:
        """Return the chat messages that the prompt is."""
        if self.messages is not None:
            return [message.model_dump() for message in self.messages]
        return [{"role": "user", "content": self.prompt}]

    def row(self, line: int) -> dict[str, Any]:
        """Return the values of its row in the prompt table."""
        return {
            "key": str(line if self.id is None else self.id),
            "line": line,
            "messages": self.asked(),
            "reference": None if self.reference is None else str(self.reference),
            "verifier": self.verifier,
            "category": self.category,
            "source": self.source,
            "license": self.license,
            "meta": self.meta,
        }


class JudgedLine(PromptLine):
    """A line of a batch that asks until answers are right: its reference says what is."""

    reference: str | int | float  # pyright: ignore[reportIncompatibleVariableOverride, reportGeneralTypeIssues]


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


FIELDS = tuple(PromptLine.model_fields)
NEEDED = ("prompt", "messages")
NATIVE = Form(lambda data, line: PromptLine.model_validate(data).row(line), {(): FIELDS})
JUDGED = Form(lambda data, line: JudgedLine.model_validate(data).row(line), {(): FIELDS})
"""The same, where every prompt needs a reference."""


@dataclass(slots=True)
class Findings:
    """The bad rows of a body; at most ERRORS_MAX of them."""

    place: str = "line"
    """What is counted: `line`, or `row` in Parquet."""
    errors: list[dict[str, Any]] = field(default_factory=list)
    cut: bool = False
    """Whether there may be more than are listed."""

    def __bool__(self) -> bool:
        return bool(self.errors)

    @property
    def full(self) -> bool:
        """Whether reading on is of no use."""
        return len(self.errors) >= ERRORS_MAX

    def add(self, number: int, faults: Iterable[Fault]) -> None:
        """Note what is wrong with a row."""
        self.errors.extend({self.place: number} | found for found in faults)

    def refuse(self) -> None:
        """Raise a Problem that lists the bad rows in their order, if there are any."""
        if not self.errors:
            return
        found = sorted(self.errors, key=lambda error: error[self.place])
        first, more = found[0], len(found) - 1
        place = f"{self.place} {first[self.place]}" + (f", field '{first['field']}'" if first.get("field") else "")
        others = f" (and {'at least ' if self.cut else ''}{more} more)" if more else ""
        raise Problem(f"{place}: {first['message']}{others}; nothing of the batch was stored", found)


def read(
    records: Iterable[Record], found: Findings, *, form: Form = NATIVE, columns: Columns | None = None
) -> Iterator[tuple[dict[str, Any], Record]]:
    """Yield the prompt row of each good record, and the record; bad ones are noted in `found`.

    A row is yielded even when `found` holds others: whoever stores them throws them away then. Ids may repeat.
    """
    for record in records:
        if found.full:
            found.cut = True
            return
        row, faults = (None, record.faults) if record.data is None else _row(record, record.data, form, columns)
        found.add(record.number, faults)
        if row is not None:
            yield row, record


def read_lines(lines: Iterable[bytes], *, row_bytes_max: int, form: Form) -> Iterator[dict[str, Any]]:
    """Yield a prompt row for each non-empty line of JSONL; raise one Problem with all bad lines at the end.

    All ids are held in memory, so this is for files with a limit of lines. A caller that stores rows while reading must
    throw them away when this raises.
    """
    found = Findings()
    seen: dict[str, int] = {}
    for row, record in read(jsonl.records(lines, row_bytes_max), found, form=form):
        first = seen.setdefault(row["key"], record.number)
        if first != record.number:
            found.add(record.number, [repeated(row["key"], first, form)])
        elif not found:
            yield row
    found.refuse()
    if not seen:
        raise nothing()


def repeated(key: str, first: int, form: Form, place: str = "line") -> Fault:
    """Return what is wrong with a row whose id another one has."""
    message = f"the id '{key}' stands {'on' if place == 'line' else 'in'} {place} {first} too"
    return {"field": form.id_field, "message": message, "code": f"duplicate_{form.id_field}"}


def nothing() -> Problem:
    """Return the refusal of a body without a prompt."""
    return Problem('the batch holds no prompt: send one JSON object a line, such as {"prompt": "2 + 2 = ?"}')


def _row(
    record: Record, data: dict[str, Any], form: Form, columns: Columns | None
) -> tuple[dict[str, Any] | None, list[Fault]]:
    try:
        return form.row(columns.row(data) if columns else data, record.number), []
    except ColumnsClash as error:
        return None, [{"message": str(error), "code": "columns_clash"}]
    except Unfit as error:
        return None, [error.fault]
    except ValidationError as error:
        found = [_explain(item, form) for item in error.errors()]
        for each in found:
            if columns and "field" in each:
                first, dot, rest = each["field"].partition(".")
                each["field"] = columns.source(first, data) + dot + rest
        return None, found


CODES = {"extra_forbidden": "unknown_field", "missing": "missing_field"}
"""What the commonest mistakes are called."""


def _explain(item: Any, form: Form) -> Fault:
    *place, last = item["loc"] or ("",)
    message = item["msg"].removeprefix("Value error, ")
    if item["type"] == "extra_forbidden":
        message = f"unknown field{nearest(str(last), form.fields.get(tuple(place), ()))}"
    found = {"message": message, "code": CODES.get(item["type"], item["type"])}
    return found | {"field": ".".join(map(str, item["loc"]))} if item["loc"] else found
