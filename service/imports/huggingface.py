"""`huggingface`: rows of any dataset, their columns called like the fields or mapped to them."""

from collections.abc import Sequence
from typing import Any

from service.formats.columns import Columns, parse
from service.imports.line import FIELDS, NEEDED, TraceLine
from service.imports.source import Origin, Row, Source, with_answers


def row(data: dict[str, Any], line: int, origin: Origin) -> Row:
    """Return the row of a prompt and its one answer."""
    read = TraceLine.model_validate(data)
    return with_answers(read, read.reply(), line, origin)


def columns(entries: Sequence[str]) -> Columns:
    """Return the map that the asker gave."""
    return parse(entries, FIELDS, NEEDED)


SOURCE = Source("huggingface", "any dataset: messages, prompt and completion, or columns", row, {(): FIELDS}, columns)
