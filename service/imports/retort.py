"""`retort`: a sealed version of another Retort, as Parquet or JSON lines of its rows."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import orjson

from service.formats.columns import META, REST, Columns, parse
from service.imports import huggingface
from service.imports.line import FIELDS, NEEDED
from service.imports.source import Origin, Row, Source

ITS_OWN = ("completion:", "sample_index:", f"{META}:{META}.{META}", f"{REST}:{META}")
"""Response and reasoning have columns of their own beside `completion`. What has no place here, such as the teacher's
name there, stays with the prompt."""


def _columns(entries: Sequence[str]) -> Columns:
    said = {entry.rpartition(":")[0] for entry in entries}
    own = [entry for entry in ITS_OWN if entry.rpartition(":")[0] not in said]
    return replace(parse([*own, *entries], FIELDS, NEEDED), optional=(META,))


def row(data: dict[str, Any], line: int, origin: Origin) -> Row:
    """Return the row of a prompt and its one answer, with what was said of the prompt there."""
    noted = data.get(META)
    if isinstance(noted, dict) and isinstance(told := noted.get(META), str | None):
        rest = {name: value for name, value in noted.items() if name != META}
        data = data | {META: _object(told) | rest}
    return huggingface.row(data, line, origin)


def _object(text: str | None) -> dict[str, Any]:
    """Return the object that a text is as JSON; any other text under `meta`."""
    if text is None:
        return {}
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        found = text
    return found if isinstance(found, dict) else {META: text}


SOURCE = Source("retort", "another Retort: a sealed version's rows", row, {(): FIELDS}, _columns)
