"""Taking in a benchmark: its columns become texts, one a line, in the data folder; the whole file or nothing."""

import itertools
from collections.abc import Iterator, Sequence

from filters import benchmarks
from filters.benchmarks import Line
from service.errors import Problem, nearest
from service.formats import detect
from service.formats.columns import Columns
from service.formats.record import Record, texts_of
from service.models import Benchmark
from service.settings import Settings
from service.spooling import Spooled
from service.store import benchmarks as store
from service.store.database import Database

FAULTS_MAX = 20
"""Named in a refusal; a wrong column is wrong in every line."""


class _Refused(Exception):
    """Lines that hold no text in one of the columns."""

    def __init__(self, faults: list[dict[str, object]]) -> None:
        super().__init__(faults)
        self.faults = faults


def add(
    database: Database, settings: Settings, name: str, columns: Sequence[str], body: Spooled
) -> tuple[Benchmark, bool]:
    """Store the texts of some columns of a file as a benchmark; return it and whether it is new.

    Raises a Problem that names the lines without text, and Conflict where the name means other texts.
    """
    try:
        written = benchmarks.write(_lines(body, columns, settings.row_bytes_max), settings.benchmarks)
    except _Refused as refused:
        first, more = refused.faults[0], len(refused.faults) - 1
        others = f" (and {more} more)" if more else ""
        message = f"{body.form.place} {first[body.form.place]}: {first['message']}{others}; nothing was stored"
        raise Problem(message, refused.faults) from refused
    values = {"sha256": written.sha256, "file_sha256": body.sha256, "columns": list(columns), "lines": written.lines}
    with database.write() as session:
        return store.add(session, Benchmark(name=name, **values))


def _lines(body: Spooled, columns: Sequence[str], row_bytes_max: int) -> Iterator[Line]:
    wanted = Columns(fields=columns, places={name: name for name in columns}, rest="")
    faults: list[dict[str, object]] = []
    count = 0
    for record in detect.records(body.path, body.form, wanted, row_bytes_max):
        found = list(_faults(record, columns))
        faults += [{body.form.place: record.number, **fault} for fault in found]
        if len(faults) >= FAULTS_MAX:
            break
        if not found and record.data:
            count += 1
            yield Line(record.number, "\n".join(_text(record, name) for name in columns))
    if faults:
        raise _Refused(faults[:FAULTS_MAX])
    if not count:
        raise Problem("the file holds no line; nothing was stored")


def _faults(record: Record, columns: Sequence[str]) -> Iterator[dict[str, object]]:
    if record.data is None:
        yield from record.faults
        return
    for name in columns:
        if name not in record.data:
            yield {"field": name, "message": f"there is no column '{name}'{nearest(name, record.data)}"}
        elif not _text(record, name).strip():
            yield {"field": name, "message": f"column '{name}' holds no text"}


def _text(record: Record, name: str) -> str:
    """Return a column's text; that of a list, such as the choices of a question, is its texts one under the other."""
    value = (record.data or {})[name]
    if isinstance(value, list):
        return "\n".join(map(texts_of, itertools.islice(value, 1000)))
    return texts_of(value) if isinstance(value, (str, dict)) else str(value)
