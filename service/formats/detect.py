"""Which form a body has: what was said of it, held against its first bytes."""

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

from service.errors import Problem
from service.formats import csv_table, jsonl, parquet
from service.formats.columns import Columns
from service.formats.record import Record


class Format(StrEnum):
    """A form of rows."""

    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"

    @property
    def place(self) -> str:
        """What a refusal counts."""
        return "row" if self == Format.PARQUET else "line"


class Unsupported(Problem):
    status, title = 415, "The body has a form that is not taken"


CONTENT_TYPES = {
    "application/jsonl": Format.JSONL,
    "application/x-ndjson": Format.JSONL,
    "application/x-jsonlines": Format.JSONL,
    "application/json": Format.JSONL,
    "text/csv": Format.CSV,
    "application/vnd.apache.parquet": Format.PARQUET,
    "application/x-parquet": Format.PARQUET,
}
SAYS_NOTHING = {"", "application/octet-stream", "application/x-www-form-urlencoded", "text/plain"}
"""What clients send who were not told better; curl says that a body is a form."""
SUFFIXES = {
    ".jsonl": Format.JSONL,
    ".ndjson": Format.JSONL,
    ".json": Format.JSONL,
    ".csv": Format.CSV,
    ".parquet": Format.PARQUET,
}
PARQUET_MAGIC = b"PAR1"
PACKED = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"PK\x03\x04": "zip", b"BZh": "bzip2"}


def by_content_type(header: str) -> Format | None:
    """Return what a Content-Type says, None when that is nothing; Unsupported when it is something else."""
    kind = header.partition(";")[0].strip().lower()
    if kind in SAYS_NOTHING:
        return None
    if kind not in CONTENT_TYPES:
        known = "application/jsonl, text/csv and application/vnd.apache.parquet"
        raise Unsupported(f"Content-Type '{kind}' is not taken; known: {known}")
    return CONTENT_TYPES[kind]


def by_name(name: str) -> Format | None:
    """Return what a file's name says, None when that is nothing."""
    return SUFFIXES.get(Path(name).suffix.lower())


def by_content(path: Path, said: Format | None) -> Format:
    """Return the form of a file of which `said` was said; raises a Problem when its first bytes tell otherwise."""
    with path.open("rb") as file:
        start = file.read(4)
    packed = next((name for magic, name in PACKED.items() if start.startswith(magic)), None)
    if packed:
        raise Unsupported(
            f"the body is packed with {packed}; send it unpacked, or as Parquet, which is packed by itself"
        )
    if said is None:
        return Format.PARQUET if start == PARQUET_MAGIC else Format.JSONL
    if (said == Format.PARQUET) != (start == PARQUET_MAGIC):
        found = "Parquet" if start == PARQUET_MAGIC else "no Parquet file"
        raise Problem(f"the body was called {said} and is {found}; send its own Content-Type, or none")
    return said


def records(path: Path, form: Format, columns: Columns, row_bytes_max: int, *, after: int = 0) -> Iterator[Record]:
    """Yield the rows of a file beyond the line (or row) `after`; raises a Problem for a table that does not fit."""
    if form == Format.PARQUET:
        yield from parquet.records(path, columns, row_bytes_max, after=after)
        return
    with path.open("rb") as file:
        if form == Format.CSV:
            yield from csv_table.records(file, columns, row_bytes_max, after=after)
        else:
            yield from jsonl.records(jsonl.lines_of(file, row_bytes_max), row_bytes_max, after=after)
