"""Two dataset versions beside each other."""

from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel, ConfigDict

from service.changes import Change


class DiffLine(BaseModel):
    """Rows that changed in the same way, counted."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    change: Change
    filter: str
    """Of the version that does not keep them: the filter that rejected; empty where none did."""
    reason: str
    """Why it does not; `not_judged` where none of its batches holds the trace."""
    split_before: str | None
    """None where it was not kept."""
    split_now: str | None
    rows: int


class KnobChange(BaseModel):
    """A filter of the recipe that is not the same in both versions; None where it is not there at all."""

    filter: str
    before: dict[str, Any] | None
    now: dict[str, Any] | None


class DiffOut(BaseModel):
    """What became of version `before` on the way to `now`: it kept unchanged + removed + moved, `now` likewise."""

    before: str
    now: str
    kept_before: int
    kept_now: int
    unchanged: int
    added: int
    removed: int
    moved: int
    why: list[DiffLine]
    recipe: list[KnobChange]
    batches_added: list[str]
    batches_removed: list[str]
    same_rows: bool
    """By their hashes: where a person edited a response, the traces are the same and the rows are not."""


class DiffRow(BaseModel):
    """One trace that changed."""

    trace: int
    prompt_id: int
    batch: str
    category: str
    change: Change
    split_before: str | None
    split_now: str | None
    filter: str
    reason: str
    detail: str


With = Annotated[
    str | None,
    Query(
        alias="with", max_length=128, description="The version before: a number, or NAME@N; the previous sealed one."
    ),
]
