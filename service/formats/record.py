"""One row of a file, before anybody has judged what it says."""

from dataclasses import dataclass, field
from typing import Any

Fault = dict[str, Any]
"""What is wrong with a row: `message`, `code`, and where known `field`."""


@dataclass(slots=True)
class Record:
    """A row as it stands in the file: its object, or the faults that kept it from being one."""

    number: int
    """Its line in the file, or its row in a Parquet file, from 1."""
    data: dict[str, Any] | None = None
    bytes: int = 0
    """About what it holds in memory."""
    faults: list[Fault] = field(default_factory=list)


def fault(number: int, message: str, code: str, name: str | None = None) -> Record:
    """Return the record of a row that cannot be read; `name` is the column it is about."""
    return Record(number, faults=[{"message": message, "code": code} | ({"field": name} if name else {})])


def texts_of(value: Any) -> str:
    """Return all texts of a decoded value, keys too, one after the other."""
    if isinstance(value, dict):
        return "".join(texts_of(part) for pair in value.items() for part in pair)
    if isinstance(value, list):
        return "".join(map(texts_of, value))
    return value if isinstance(value, str) else ""


class Unfit(ValueError):
    """A row that cannot become what it should; `field` is its place in the row."""

    def __init__(self, field: str, message: str, code: str = "unfit") -> None:
        super().__init__(message)
        self.fault: Fault = {"message": message, "code": code} | ({"field": field} if field else {})


NUL = "a text holds the NUL character, which databases cannot keep"
