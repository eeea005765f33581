"""JSON lines: one object a line."""

from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import orjson

from service.formats.record import NUL, Record, fault, texts_of

INVALID = "invalid_json_line"


def lines_of(file: BinaryIO, bytes_max: int) -> Iterator[bytes]:
    """Yield the lines of a file; of one longer than `bytes_max` only the start, so that none can fill the memory."""
    while line := file.readline(bytes_max + 1):
        yield line
        while len(line) > bytes_max and not line.endswith(b"\n"):
            line = file.readline(bytes_max + 1)


def records(lines: Iterable[bytes], row_bytes_max: int, *, after: int = 0) -> Iterator[Record]:
    """Yield the object of each non-empty line beyond line `after`; longer ones and what is no object as faults."""
    for number, read in enumerate(lines, start=1):
        line = read.removeprefix(BOM_UTF8) if number == 1 else read  # some editors begin a file with it
        if number > after and line.strip():
            yield _record(line, number, row_bytes_max)


def _record(line: bytes, number: int, row_bytes_max: int) -> Record:
    if len(line) > row_bytes_max:
        return fault(number, f"the line is longer than {row_bytes_max:,} bytes", "line_too_long")
    try:
        data = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        if wrong := _not_utf8(line):
            return fault(number, wrong, INVALID)
        return fault(number, f"not valid JSON: {error}", INVALID)
    if not isinstance(data, dict):
        return fault(number, f"expected a JSON object, found {type(data).__name__}", INVALID)
    try:
        if b"\\u0000" in line and "\0" in texts_of(data):
            return fault(number, NUL, INVALID)
    except RecursionError:
        return fault(number, "the JSON is nested too deeply", INVALID)
    return Record(number, data, len(line))


def _not_utf8(line: bytes) -> str:
    """Return what is wrong with a line's encoding; empty where nothing is."""
    try:
        line.decode()
    except UnicodeDecodeError as error:
        return f"not valid UTF-8 (byte {error.start + 1} of the line); save the file as UTF-8"
    return ""
