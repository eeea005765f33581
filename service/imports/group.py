"""Rows that answer the same prompt, one after the other, become one prompt with all their answers."""

from collections.abc import Iterable, Iterator

from service.formats.record import Record
from service.imports.source import Row
from service.store.imports import ANSWERS

ANSWERS_MAX = 1024
"""Of one prompt: its rows are held together in memory."""


def grouped(rows: Iterable[tuple[Row, Record]]) -> Iterator[tuple[Row, Record]]:
    """Yield prompts with their answers. Rows with one key that do not ask the same are left apart, as a mistake.

    A prompt's line is that of its last row, so that one who goes on after it misses none and takes none twice.
    """
    held: tuple[Row, Record] | None = None
    for row, record in rows:
        if held is not None and _same(held[0], row):
            prompt = held[0] | {name: held[0][name] + row[name] for name in ANSWERS} | {"line": row["line"]}
            held = prompt, Record(record.number, bytes=held[1].bytes + record.bytes)
            continue
        if held is not None:
            yield _counted(*held)
        held = row, record
    if held is not None:
        yield _counted(*held)


def _same(held: Row, row: Row) -> bool:
    if held["key"] != row["key"] or held["messages"] != row["messages"]:
        return False
    return _answers(held) + _answers(row) <= ANSWERS_MAX


def _counted(row: Row, record: Record) -> tuple[Row, Record]:
    return row | {"n": _answers(row)}, record


def _answers(row: Row) -> int:
    return sum(len(row[name]) for name in ANSWERS)
