"""Traces, and what filters and people said of them."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, model_validator

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
    tags: list[str]
    """What people tagged it with."""
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


TagName = Annotated[str, Field(pattern=r"^[^\s,]{1,64}$")]


class ReviewIn(Asked):
    author: str = Field(min_length=1, max_length=256)
    outcome: Literal["keep", "reject"] | None = None
    """Left out, the decision stays as it is."""
    reason: str = Field(default="", max_length=2000)
    response: str | None = None
    """The response as edited; left out, it stays as it is; null brings back the teacher's."""
    tags: list[TagName] | None = Field(default=None, max_length=20)
    """All tags that the trace is to have; left out, they stay as they are."""
    withdraws: int | None = None
    """Instead of all others: the id of the last review, which is taken back."""

    @model_validator(mode="after")
    def _says_something(self) -> "ReviewIn":
        said = self.model_fields_set - {"author"}
        if self.withdraws is not None and said != {"withdraws"}:
            raise ValueError("'withdraws' takes something back and says nothing else beside 'author'")
        if self.withdraws is None and not said & {"outcome", "response", "tags"}:
            raise ValueError("say something of the trace: 'outcome', 'tags', or 'withdraws' to take the last back")
        if said & {"response", "reason"} and self.outcome is None:
            raise ValueError("'response' and 'reason' go with an 'outcome': keep or reject")
        return self

    def said(self) -> dict[str, Any]:
        """Return what it says; what it leaves out stays as it is."""
        left_out = {"author", "withdraws"} | {name for name in ("outcome", "tags") if getattr(self, name) is None}
        return self.model_dump(exclude_unset=True, exclude=left_out)


class ReviewOut(Given):
    id: int
    outcome: str
    """`keep`, `reject`, or empty where the filters decide."""
    reason: str
    author: str
    response: str | None
    tags: list[str]
    withdraws: int | None
    """The review that this one took back."""
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
