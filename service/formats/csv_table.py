"""CSV with a header row, as spreadsheets and `to_csv` write it: UTF-8, commas, quotes doubled within quotes."""

import csv
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import orjson

from service.errors import Problem
from service.formats.columns import Columns
from service.formats.jsonl import lines_of
from service.formats.record import NUL, Record, fault

AS_JSON = ("messages", "meta")
"""Fields that are no text: their cells hold JSON."""
INVALID = "invalid_csv_line"


class _TooLong(Exception):
    """A row that goes on beyond the limit, as one does whose quote is never closed."""


class _Lines:
    """The text lines of a file, counted; `held` is what the row being read has taken so far."""

    def __init__(self, file: BinaryIO, row_bytes_max: int) -> None:
        self._lines = lines_of(file, row_bytes_max)
        self._row_bytes_max = row_bytes_max
        self.number = 0
        self.held = 0

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.number += 1
        self.held += len(line)
        if self.held > self._row_bytes_max:
            raise _TooLong
        # Spreadsheets put a byte order mark in front.
        return line.decode("utf-8-sig" if self.number == 1 else "utf-8")


def records(file: BinaryIO, columns: Columns, row_bytes_max: int, *, after: int = 0) -> Iterator[Record]:
    """Yield a record for each row that begins beyond line `after`; an empty cell is a value that was not given.

    Raises a Problem for a header that does not fit `columns`.
    """
    csv.field_size_limit(row_bytes_max)
    lines = _Lines(file, row_bytes_max)
    reader = csv.reader(lines, strict=True)
    header = _header(reader, row_bytes_max)
    if not header:
        return
    wanted = set(columns.wanted(header))
    while True:
        number, lines.held = lines.number + 1, 0
        try:
            cells = next(reader, None)
        except _TooLong:
            # Where the next row begins nobody can tell.
            yield fault(
                number, f"the row is longer than {row_bytes_max:,} bytes: is a quote left open?", "line_too_long"
            )
            return
        except csv.Error as error:
            yield fault(number, f"not valid CSV: {error}", INVALID)
            continue
        except UnicodeDecodeError as error:
            yield fault(lines.number, f"not valid UTF-8 (byte {error.start + 1} of the line)", INVALID)
            continue
        if cells is None:
            return
        if cells and number > after:
            yield _record(number, header, cells, wanted, columns, lines.held)


def _header(reader: Iterator[list[str]], row_bytes_max: int) -> list[str]:
    try:
        header = next(reader, [])
    except _TooLong as error:
        raise Problem(f"line 1: the header is longer than {row_bytes_max:,} bytes") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise Problem(f"line 1: not valid CSV: {error}") from error
    if len(header) == 1 and any(mark in header[0] for mark in ";\t"):
        raise Problem(f"line 1: the header is the one column '{header[0][:80]}'; columns are parted by commas here")
    twice = next((name for place, name in enumerate(header) if name in header[:place]), None)
    if twice is not None:
        raise Problem(f"line 1: two columns are called '{twice}'")
    return header


def _record(
    number: int, header: Sequence[str], cells: Sequence[str], wanted: set[str], columns: Columns, size: int
) -> Record:
    if len(cells) != len(header):
        return fault(number, f"expected {len(header)} cells, as in the header, found {len(cells)}", INVALID)
    data: dict[str, Any] = {}
    for name, cell in zip(header, cells, strict=True):
        if name not in wanted or not cell:
            continue
        if "\0" in cell:
            return fault(number, NUL, INVALID, name)
        data[name] = cell
        if columns.place(name) in AS_JSON:
            try:
                data[name] = orjson.loads(cell)
            except orjson.JSONDecodeError as error:
                return fault(number, f"not valid JSON: {error}", INVALID, name)
            if "\\u0000" in cell:
                return fault(number, NUL, INVALID, name)
    return Record(number, data, size)
