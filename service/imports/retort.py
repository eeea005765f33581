"""`retort`: a sealed version of another Retort, as Parquet or JSON lines of its rows."""

from collections.abc import Sequence

from service.formats.columns import META, REST, Columns, parse
from service.imports.huggingface import row
from service.imports.line import FIELDS, NEEDED
from service.imports.source import Source

ITS_OWN = ("completion:", "sample_index:", f"{REST}:{META}")
"""Response and reasoning have columns of their own beside `completion`. What has no place here, such as the teacher's
name there, stays with the prompt."""


def _columns(entries: Sequence[str]) -> Columns:
    said = {entry.rpartition(":")[0] for entry in entries}
    own = [entry for entry in ITS_OWN if entry.rpartition(":")[0] not in said]
    return parse([*own, *entries], FIELDS, NEEDED)


SOURCE = Source("retort", "another Retort: a sealed version's rows", row, {(): FIELDS}, _columns)
