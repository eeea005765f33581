"""Batches and their prompts: what was asked."""

from enum import StrEnum
from typing import Any

from sqlalchemy import Column, Index, Text, UniqueConstraint
from sqlmodel import Field, SQLModel

from service.models.columns import created, json_field, new_id, row_id, word


class BatchState(StrEnum):
    """OpenAI's words for a batch's life, used at both doors."""

    VALIDATING = "validating"
    """Its prompts are being stored; nothing is asked yet and nothing was acknowledged."""
    IN_PROGRESS = "in_progress"
    FINALIZING = "finalizing"
    COMPLETED = "completed"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    DELETING = "deleting"
    """Not OpenAI's: its rows are being removed, and nothing is to be made from what is left."""


ENDED = (BatchState.COMPLETED, BatchState.FAILED, BatchState.EXPIRED, BatchState.CANCELLED)


class Batch(SQLModel, table=True):
    """Prompts submitted together, with how they are to be asked. Counts live on its jobs, where no row is contended."""

    id: str = Field(default_factory=lambda: new_id("batch"), primary_key=True)
    state: BatchState = word(BatchState, BatchState.VALIDATING, index=True)
    teachers: list[str] = json_field(list)
    n: int = 1
    """Answers asked of each teacher for each prompt; with `accept_k` the most that are."""
    accept_k: int | None = None
    """A prompt is done with a teacher as soon as so many of its answers are right; None means: when it has `n`."""
    token_budget: int | None = None
    """… or when its answers have so many tokens in all."""
    sampling: dict[str, Any] = json_field(dict)
    """Passed to the teacher as given: `temperature`, `max_tokens`, `top_p`, `seed`, …"""
    meta: dict[str, Any] = json_field(dict)
    prompts: int = 0
    ungradable: int = 0
    """Prompts whose reference their verifier cannot grade."""
    ungradable_first: list[dict[str, Any]] = json_field(list)
    """The first of them: `line`, `id`, `verifier`, `reference`."""
    idempotency_key: str | None = Field(default=None, unique=True)
    body_sha256: str | None = None
    """Of the submitted body and parameters: the same key with another body is a mistake, not a repetition."""
    input_file_id: str | None = None
    """The uploaded file whose lines are its prompts; None for one that came in over the native door."""
    submitted: dict[str, Any] | None = json_field(nullable=True)
    """What its prompts were read from: `file`, as its submitter called it, and the `sha256` of its bytes. None for a
    rewriting, and for the file of `input_file_id`, which has both."""
    continues: str | None = None
    """The cancelled or expired batch of the same file whose answers it took over, so that they are not asked again."""
    rewrite: dict[str, Any] | None = json_field(nullable=True)
    """Whose traces it holds rewritten, and how: `kind`, `batches`, `version`, `teacher`, `instruction`, `share_max`;
    None where its prompts were asked."""
    imported: dict[str, Any] | None = json_field(nullable=True)
    """Where its answers are from when they were made elsewhere: `format`, `file`, `license` (the teacher's) and
    `model`; None where Retort asked."""
    completion_window: str = ""
    """How long it was given, as its submitter said: `24h`."""
    expires_at: float | None = None
    """When what is still pending ends as failed with the reason `batch_expired`; None means never."""
    holder: str = ""
    """The request that stores its prompts while it is validating, and the fence of what that writes."""
    held_until: float = 0.0
    """By the database's clock: a request that stays silent longer is dead, and a repetition may go on from there."""
    reason: str = ""
    detail: str = ""
    created_at: float = created()
    in_progress_at: float | None = None
    """When it was opened for work, at first or by the last retry."""
    finished_at: float | None = None


class Prompt(SQLModel, table=True):
    """One prompt of a batch."""

    __table_args__ = (UniqueConstraint("batch_id", "key"), Index("prompt_batch", "batch_id", "id"))

    id: int | None = row_id()
    batch_id: str = Field(foreign_key="batch.id")
    key: str
    """The submitter's id for it; the line number where none was given."""
    line: int
    """Line in the submitted file, from 1."""
    messages: list[dict[str, Any]] = json_field(list)
    reference: str | None = Field(default=None, sa_column=Column(Text))
    verifier: str | None = None
    category: str = Field(default="", index=True)
    source: str = ""
    license: str = ""
    teacher: str | None = None
    """The one teacher that is asked; None means every teacher of the batch."""
    n: int | None = None
    """Answers asked of each teacher; None means the batch's `n`."""
    body: dict[str, Any] | None = json_field(nullable=True)
    """Its own fields of the request, such as `temperature`; they go before the batch's `sampling`."""
    meta: dict[str, Any] | None = json_field(nullable=True)
    """What the submitter noted beside it."""


class Failure(SQLModel, table=True):
    """An answer that was asked for and will not come, with the reason. Never beside a trace of the same ask."""

    __table_args__ = (UniqueConstraint("prompt_id", "teacher", "sample_index"),)

    id: int | None = row_id()
    batch_id: str = Field(foreign_key="batch.id", index=True)
    prompt_id: int = Field(foreign_key="prompt.id")
    teacher: str
    sample_index: int
    reason: str
    detail: str = Field(default="", sa_column=Column(Text, nullable=False))
    attempts: int = 1
    created_at: float = created()
