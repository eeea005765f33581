"""Traces, the verdicts about them, and what people said."""

from typing import Any

from sqlalchemy import JSON, BigInteger, Column, Index, LargeBinary, UniqueConstraint
from sqlmodel import Field, SQLModel

from service.models.columns import created, json_field, row_id, text_field


class Trace(SQLModel, table=True):
    """A stored completion with its provenance. Append-only; correctness rests on the unique constraint."""

    __table_args__ = (
        UniqueConstraint("prompt_id", "teacher", "sample_index"),
        Index("trace_batch", "batch_id", "id"),
        Index("trace_teacher", "teacher", "id"),
    )

    id: int | None = row_id()
    batch_id: str = Field(foreign_key="batch.id")
    prompt_id: int = Field(foreign_key="prompt.id", sa_type=BigInteger)
    teacher: str
    sample_index: int = 0
    parent_id: int | None = Field(default=None, sa_type=BigInteger)
    """The trace that a rewriter made this one from."""
    rewriter: str | None = None
    """The teacher that wrote this reasoning anew, so that its licence counts beside that of `teacher`, whose the
    response is; None where no teacher did."""
    reasoning: str = text_field()
    response: str = text_field()
    finish_reason: str = ""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    reasoning_tokens: int | None = None
    latency_ms: int | None = None
    accepted: bool | None = None
    """Whether the worker found it right as it came, in a batch with `accept_k`; None where it did not judge."""
    raw: bytes = Field(default=b"", sa_column=Column(LargeBinary, nullable=False))
    """The teacher's choice object as it came, zstd-compressed JSON."""
    created_at: float = created()


class VerdictRow(SQLModel, table=True):
    """One row of the ledger: what became of a trace in a dataset version, and which filter decided."""

    __tablename__ = "verdict"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (
        UniqueConstraint("version_id", "trace_id"),
        Index("verdict_trace", "trace_id", "version_id"),
        Index("verdict_reason", "reason", "trace_id", "version_id"),
    )

    id: int | None = row_id()
    version_id: int = Field(foreign_key="datasetversion.id", sa_type=BigInteger)
    trace_id: int = Field(foreign_key="trace.id", sa_type=BigInteger)
    outcome: str
    """`keep` or `reject`; an abstention is settled by the recipe's `on_abstain` and kept in `abstentions`."""
    filter_index: int | None = None
    """Place in the recipe of the filter that rejected; None when kept."""
    filter: str = ""
    filter_version: int | None = None
    reason: str = ""
    detail: str = text_field()
    evidence: dict[str, Any] | None = json_field(nullable=True)
    abstentions: list[dict[str, Any]] | None = json_field(nullable=True)
    notes: list[dict[str, Any]] | None = json_field(nullable=True)
    """What filters that kept it noted all the same, with their evidence."""
    split: str = ""
    """`train`, `eval` or `test`, for rejected rows too: it is a property of the prompt."""


class Review(SQLModel, table=True):
    """What a person says of a trace, whole: the newest one counts, the others stay.

    What a person left unsaid is as it was before, so that the newest row tells everything; taking something back is a
    new row too, with what had been said before it.
    """

    id: int | None = row_id()
    trace_id: int = Field(foreign_key="trace.id", index=True, sa_type=BigInteger)
    outcome: str
    """`keep`, `reject`, or empty where nobody decides and the filters do."""
    reason: str = ""
    author: str
    response: str | None = None
    """The text as the person edited it; None when left as it was."""
    tags: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False, server_default="[]"))
    withdraws: int | None = Field(default=None, sa_type=BigInteger)
    """The review that this one takes back; None for one that says something."""
    created_at: float = created()


class Tag(SQLModel, table=True):
    """A tag that a trace has now, as its newest review says: to find traces by."""

    name: str = Field(primary_key=True)
    trace_id: int = Field(foreign_key="trace.id", primary_key=True, index=True, sa_type=BigInteger)
