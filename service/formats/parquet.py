"""Parquet, read page by page: a file of any size, in row groups of any size, costs the same memory."""

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from service.errors import Problem
from service.formats.columns import Columns
from service.formats.record import NUL, Record, fault, texts_of

if TYPE_CHECKING:
    from pyarrow import RecordBatch
    from pyarrow.parquet import ParquetFile

BUFFER_BYTES = 2**20
"""Read ahead of a column chunk; without it whole chunks are read, and those of a million rows are gigabytes."""
ROWS_AT_ONCE, BYTES_AT_ONCE = 256, 8 * 2**20
"""Rows made into objects at a time, whichever is less."""
HEADROOM = 4
"""A page's statistics repeat its least and greatest value: only a mean beyond this many limits tells of huge rows."""
INVALID = "invalid_parquet_row"


def records(path: Path, columns: Columns, row_bytes_max: int, *, after: int = 0) -> Iterator[Record]:
    """Yield a record for each row beyond row `after`; a null is a value that was not given.

    Raises a Problem where the file cannot be read, its columns do not fit, or its rows are far beyond the limit.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, pre_buffer=False, buffer_size=BUFFER_BYTES, memory_map=False) as file:
            names = columns.wanted(file.schema_arrow.names)
            groups, number, mean = _groups(file, set(names), row_bytes_max, after)
            rows = min(ROWS_AT_ONCE, max(1, BYTES_AT_ONCE // max(1, mean)))
            pieces = file.iter_batches(rows, row_groups=groups, columns=names, use_threads=False)
            for piece in pieces if names else ():
                yield from _records(piece, number, after, row_bytes_max)
                number += len(piece)
    except (pa.ArrowException, OSError) as error:
        raise Problem(f"the Parquet file cannot be read: {error}") from error


def _groups(file: "ParquetFile", names: set[str], row_bytes_max: int, after: int) -> tuple[list[int], int, int]:
    """Return the row groups that hold rows beyond row `after`, the rows before them, and the bytes of a mean row."""
    groups, before, number, greatest = [], 0, 0, 0
    for index in range(file.num_row_groups):
        group = file.metadata.row_group(index)
        number += group.num_rows
        if number <= after:
            before = number
            continue
        chunks = (group.column(place) for place in range(group.num_columns))
        size = sum(chunk.total_uncompressed_size for chunk in chunks if chunk.path_in_schema.split(".")[0] in names)
        mean = size // max(1, group.num_rows)
        if mean > HEADROOM * row_bytes_max:
            message = f"its rows hold {mean:,} bytes on average; at most {row_bytes_max:,} are taken"
            raise Problem(f"row group {index + 1}: {message}")
        greatest = max(greatest, mean)
        groups.append(index)
    return groups, before, greatest


def _records(piece: "RecordBatch", before: int, after: int, row_bytes_max: int) -> Iterator[Record]:
    size = piece.nbytes // max(1, len(piece))
    try:
        rows = piece.to_pylist()
    except UnicodeDecodeError:
        yield fault(before + 1, f"this row or one of the {len(piece) - 1} after it holds invalid UTF-8", INVALID)
        return
    for number, row in enumerate(rows, start=before + 1):
        if number <= after:
            continue
        yield _record(number, row, size, row_bytes_max)


def _record(number: int, row: dict[str, Any], size: int, row_bytes_max: int) -> Record:
    data: dict[str, Any] = {}
    held = 0
    for name, value in row.items():
        try:
            plain = _plain(value)
        except ValueError as error:
            return fault(number, str(error), INVALID, name)
        if plain is None:
            continue
        texts = texts_of(plain)
        held += len(texts)
        if "\0" in texts:
            return fault(number, NUL, INVALID, name)
        data[name] = plain
    if held > row_bytes_max:
        return fault(number, f"the row is longer than {row_bytes_max:,} characters", "line_too_long")
    return Record(number, data, max(size, held))


def _plain(value: Any) -> Any:
    """Return a value as JSON has it, without nulls: a struct's absent field is one. Raises ValueError."""
    if isinstance(value, dict):
        return {name: plain for name, part in value.items() if (plain := _plain(part)) is not None}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    if isinstance(value, float) and value != value:
        return None  # what pandas writes for a value that is not there
    if isinstance(value, Decimal | date | datetime | time | timedelta):
        return str(value)
    if isinstance(value, bytes):
        raise ValueError("expected text or a number, found bytes")
    return value
