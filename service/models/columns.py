"""Column helpers every table uses."""

import secrets
import time
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, BigInteger, Column, Enum, Integer, Text
from sqlmodel import Field


def new_id(prefix: str) -> str:
    """Return an unguessable id such as `batch_6f0c…`: 96 random bits, so that two machines never collide."""
    return f"{prefix}_{secrets.token_hex(12)}"


def row_id() -> Any:
    """Primary key counted by the database; SQLite counts only columns it knows as INTEGER."""
    return Field(default=None, sa_column=Column(BigInteger().with_variant(Integer(), "sqlite"), primary_key=True))


def json_field(default: Any = None, *, nullable: bool = False) -> Any:
    """A JSON column; `default` is a factory such as `dict` or `list`."""
    column = Column(JSON, nullable=nullable)
    return Field(default_factory=default, sa_column=column) if default else Field(default=None, sa_column=column)


def word(of: type[StrEnum], default: Any = ..., **options: Any) -> Any:
    """A StrEnum kept as its text, so that a new member needs no change of the database's types."""
    kept = Enum(of, native_enum=False, length=32, values_callable=lambda members: [member.value for member in members])
    return Field(default=default, sa_type=kept, **options)  # pyright: ignore[reportCallIssue, reportArgumentType]


def text_field(default: str = "") -> Any:
    """Unbounded text."""
    return Field(default=default, sa_column=Column(Text, nullable=False))


def created() -> Any:
    """The time the row was made, by this machine's clock; leases use the database's instead."""
    return Field(default_factory=time.time)
