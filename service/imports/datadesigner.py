"""`datadesigner`: NeMo Data Designer's tables, in which every column has the name that its author gave it."""

from collections.abc import Sequence
from dataclasses import replace

from service.formats.columns import META, REST, Columns, parse
from service.imports.huggingface import row
from service.imports.line import FIELDS, NEEDED
from service.imports.source import Source

REASONING, TRACE = "__reasoning_content", "__trace"
"""What a column's name is followed by: for the reasoning behind it, and for the whole talk, which repeats both."""


def _columns(entries: Sequence[str]) -> Columns:
    """Return the asker's map; reasoning beside the mapped response is found, and other columns become `meta`."""
    said = [entry.rpartition(":") for entry in entries]
    places = {name: place for name, _, place in said}
    response = next((name for name, place in places.items() if place == "response"), "response")
    beside = {f"{response}{REASONING}": "reasoning", f"{response}{TRACE}": ""}
    added = [f"{name}:{place}" for name, place in beside.items() if name not in places]
    rest = [] if REST in places else [f"{REST}:{META}"]
    return replace(parse([*entries, *added, *rest], FIELDS, NEEDED), optional=tuple(beside))


SOURCE = Source("datadesigner", "NeMo Data Designer", row, {(): FIELDS}, _columns)
