"""Soft labels of traces: what else the teacher might have said, token by token."""

from enum import StrEnum

from sqlalchemy import BigInteger, Column, ForeignKey, Index, LargeBinary
from sqlmodel import Field, SQLModel

from service.models.columns import created, text_field, word


class LabelSource(StrEnum):
    SAMPLED = "sampled"
    """They came with the answer."""
    RESCORED = "rescored"
    """The teacher was shown the answer again later."""


class SoftLabels(SQLModel, table=True):
    """The soft labels of one trace, or the reason why there are none. Written once: the trace's id is the key."""

    __table_args__ = (Index("softlabels_batch", "batch_id", "reason"),)

    trace_id: int | None = Field(
        default=None, sa_column=Column(BigInteger, ForeignKey("trace.id"), primary_key=True, autoincrement=False)
    )
    batch_id: str = Field(foreign_key="batch.id")
    teacher: str
    """Whose they are: the trace's own teacher, or the one that scored it later."""
    source: LabelSource = word(LabelSource)
    k: int = 0
    """Entries for each token, the chosen one included."""
    tokens: int = 0
    tokenizer_sha256: str = ""
    """Of the `tokenizer.json` that the ids stand for, as it was stated for the teacher then; empty means unknown."""
    data: bytes = Field(default=b"", sa_column=Column(LargeBinary, nullable=False))
    """Packed by `service.soft_labels`."""
    reason: str = ""
    """Why there are none, as a code such as `retokenized_differently`; empty where there are."""
    detail: str = text_field()
    created_at: float = created()
