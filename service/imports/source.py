"""What a source of traces is, and how a reply that it holds becomes traces."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from service.formats.columns import Columns
from service.formats.detect import Format
from service.formats.record import Unfit
from service.ingest import PromptLine
from service.store.completions import trace_row
from service.teachers.openai_reply import completions
from service.teachers.protocol import TeacherError

Row = dict[str, Any]
"""A prompt's columns, with the columns of its answers in `traces` and of those that never came in `failures`. An answer
that its source says is a bad one has the columns of a person's review under `review`."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where rows are from: it is kept with every trace."""

    format: str
    file: str
    license: str
    """Of the prompts that have none of their own."""


@dataclass(frozen=True, slots=True)
class Source:
    """A tool whose output is read."""

    name: str
    made_by: str
    row: Callable[[dict[str, Any], int, Origin], Row]
    """Takes an object, its line and its origin; raises ValidationError or Unfit."""
    fields: Mapping[tuple[Any, ...], Collection[str]]
    """The names known at each place of a row."""
    columns: Callable[[Sequence[str]], Columns] | None = None
    """From the asker's `COLUMN:FIELD` entries to a map; None where rows have one shape."""
    forms: frozenset[Format] = frozenset(Format)


def with_answers(prompt: PromptLine, reply: dict[str, Any], line: int, origin: Origin, **more: Any) -> Row:
    """Return the row of a prompt and the choices of a chat completion, taken apart as a teacher's reply is.

    `more` are the prompt's further columns. Raises Unfit where no choice holds anything.
    """
    choices = reply.get("choices")
    count = len(choices) if isinstance(choices, list) else 0
    try:
        found = completions(reply, n=max(1, count), latency_ms=0, thinking=None)
    except TeacherError as error:
        raise Unfit("", f"there is no answer in it: {error.detail or error.reason}", error.reason) from error
    traces = []
    for place, each in enumerate(found):
        # Of the choice as it came nothing is left out, logprobs included: they cannot be had again.
        choice = choices[place] if choices and len(found) == count else orjson.loads(each.raw)
        each.raw = orjson.dumps(choice | {"imported": {"format": origin.format, "file": origin.file, "row": line}})
        traces.append(trace_row(each) | {"latency_ms": None})
    return _row(prompt, line, origin, traces, [], more)


def without_answer(prompt: PromptLine, reason: str, detail: str, line: int, origin: Origin, **more: Any) -> Row:
    """Return the row of a prompt that got no answer where it was asked."""
    return _row(prompt, line, origin, [], [{"reason": reason, "detail": detail}], more)


def _row(
    prompt: PromptLine, line: int, origin: Origin, traces: list[Row], failures: list[Row], more: dict[str, Any]
) -> Row:
    row = prompt.row(line) | {"body": None, "traces": traces, "failures": failures} | more
    row["license"] = row["license"] or origin.license
    return row
