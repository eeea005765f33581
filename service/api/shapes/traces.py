"""Traces, and what filters and people said of them."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from service.api.shapes.base import Asked, Given


class TraceOut(Given):
    id: int
    batch: str
    prompt_id: int
    key: str
    messages: list[dict[str, Any]]
    reference: str | None
    category: str
    teacher: str
    """Whose the response is."""
    sample_index: int
    parent_id: int | None
    """The trace that a rewriter made this one from."""
    rewriter: str | None
    """The teacher that wrote the reasoning anew."""
    reasoning: str
    response: str
    finish_reason: str
    prompt_tokens: int | None
    completion_tokens: int | None
    reasoning_tokens: int | None
    latency_ms: int | None
    outcome: str | None
    reason: str | None
    detail: str | None
    created_at: datetime


class VerdictOut(Given):
    version: str
    outcome: str
    filter: str
    filter_version: int | None
    reason: str
    detail: str
    evidence: dict[str, Any] | None
    abstentions: list[dict[str, Any]] | None
    notes: list[dict[str, Any]] | None
    split: str


class ReviewIn(Asked):
    outcome: Literal["keep", "reject"]
    author: str = Field(min_length=1, max_length=256)
    reason: str = Field(default="", max_length=2000)
    response: str | None = None
    """The response as edited; left out, it stays as it is."""


class ReviewOut(Given):
    outcome: str
    reason: str
    author: str
    response: str | None
    created_at: datetime


class TraceDetail(TraceOut):
    verdicts: list[VerdictOut]
    reviews: list[ReviewOut]
    raw: Any
    """The teacher's choice object as it came."""
    meta: dict[str, Any] | None
    """What the submitter noted beside the prompt, such as the passage that a question is from."""


class LedgerRow(Given):
    trace: int
    prompt_id: int
    category: str
    outcome: str
    filter: str
    filter_index: int | None
    filter_version: int | None
    reason: str
    detail: str
    evidence: dict[str, Any] | None
    abstentions: list[dict[str, Any]] | None
    notes: list[dict[str, Any]] | None
    split: str


class Step(BaseModel):
    """What one filter of the recipe said of a trace."""

    filter: str
    knobs: dict[str, Any]
    outcome: str
    """`passed`, `noted`, `abstained`, `rejected`, `not_reached`, or `not_asked` where a person decided."""
    reason: str = ""
    detail: str = ""
    evidence: dict[str, Any] | None = None


class Origin(BaseModel):
    """Where a trace is from, back to the line of a file."""

    trace: int
    batch: str
    made: Literal["asked", "imported", "rewritten"]
    file: str
    """Name of the file that the prompt was read from, as its submitter called it; empty where nobody said."""
    sha256: str
    """Of its bytes; empty for a rewriting, whose `parent` leads to a file, and for batches of an older Retort."""
    row: int
    """Of the prompt in it: a line, or a row of a table, from 1."""
    prompt: str
    """The submitter's id for the prompt."""
    source: str
    license: str
    teacher: str
    model: str
    revision: str | None
    teacher_license: str
    sample_index: int
    sampling: dict[str, Any]
    """As it was asked: the batch's, and the prompt's own before it."""
    imported: dict[str, Any] | None
    """`format`, `file` and `row` of a trace that was made elsewhere."""
    rewrite: dict[str, Any] | None
    """How a rewriter made it: `kind`, `teacher`, `instruction`, …"""
    parent: "Origin | None"
    """Of the trace that a rewriter made it from."""


class WhyOut(BaseModel):
    trace: int
    version: str
    outcome: str
    decided_by: str | None
    """The filter that rejected it, or `person`; null where every filter kept it."""
    reason: str
    detail: str
    split: str
    steps: list[Step]
    origin: Origin
