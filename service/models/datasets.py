"""Datasets and their sealed versions."""

from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, UniqueConstraint
from sqlmodel import Field, SQLModel

from service.models.columns import created, json_field, row_id, text_field, word


class VersionState(StrEnum):
    CURATING = "curating"
    SEALED = "sealed"
    FAILED = "failed"
    DELETED = "deleted"
    """Ledger and folder are gone; the row stays, so that its number never stands for anything else."""


class Dataset(SQLModel, table=True):
    """A named line of versions."""

    name: str = Field(primary_key=True)
    created_at: float = created()


class DatasetVersion(SQLModel, table=True):
    """The outcome of one recipe over some batches: numbered, hashed and, once sealed, never changed."""

    __table_args__ = (UniqueConstraint("dataset", "number"),)

    id: int | None = row_id()
    dataset: str = Field(foreign_key="dataset.name")
    number: int
    state: VersionState = word(VersionState, VersionState.CURATING)
    batches: list[str] = json_field(list)
    recipe: dict[str, Any] = json_field(dict)
    recipe_sha256: str = ""
    """Of the recipe with filter versions, the batches, the split and the use: the same order gives the same version."""
    inputs_sha256: str = ""
    """Of the traces and reviews that were judged; empty where some came while it was at work."""
    intended_use: str
    split: dict[str, Any] = json_field(dict)
    near_prompts: dict[str, Any] | None = json_field(nullable=True)
    """What of its prompts is nearly the same and was kept in one split, once it is judged; None where nobody looked."""
    base: str | None = None
    """Licence of the student base, where the asker named one."""
    overrides: list[dict[str, str]] = json_field(list)
    input: int = 0
    kept: int = 0
    funnel: list[dict[str, Any]] = json_field(list)
    splits: dict[str, Any] = json_field(dict)
    licence: dict[str, Any] | None = json_field(nullable=True)
    sha256: str = ""
    path: str = ""
    """The export folder, relative to the data folder."""
    reason: str = ""
    detail: str = text_field()
    created_at: float = created()
    sealed_at: float | None = None


class VersionDiff(SQLModel, table=True):
    """How many rows differ between two sealed versions, and in which ways: counted once, since neither ever changes."""

    before_id: int = Field(primary_key=True, foreign_key="datasetversion.id", sa_type=BigInteger)
    now_id: int = Field(primary_key=True, foreign_key="datasetversion.id", sa_type=BigInteger)
    unchanged: int = Field(sa_type=BigInteger)
    lines: list[list[Any]] = json_field(list)
    """Each the fields of a `service.store.diff.Line` and how many rows changed so; the most come first."""
