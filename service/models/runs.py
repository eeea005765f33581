"""Runs: one training of one student."""

from enum import StrEnum
from typing import Any

from sqlmodel import Field, SQLModel

from service.models.columns import created, json_field, new_id, text_field, word


class RunState(StrEnum):
    """OpenAI's words for a fine-tuning job, and one that it has no word for."""

    VALIDATING = "validating_files"
    """Uploaded files become the version that is to be trained on."""
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    PAUSED = "paused"


class Run(SQLModel, table=True):
    """One student, trained by one method on one dataset version, and measured."""

    id: str = Field(default_factory=lambda: new_id("run"), primary_key=True)
    dataset: str
    version: int = 0
    """0 until uploaded files have become one."""
    files: dict[str, Any] | None = json_field(nullable=True)
    """The uploaded files it learns from, and whose they are; None where it was ordered on a version."""
    method: str
    student: str
    """The base: a folder or a hub name."""
    config: dict[str, Any] = json_field(dict)
    """The method's own knobs, checked by the trainer."""
    launch: dict[str, Any] | None = json_field(nullable=True)
    """How several processes are started for it; None for a single one."""
    evaluation: list[str] = json_field(list)
    """Batches whose prompts measure the student; empty means the version's test split."""
    idempotency_key: str | None = Field(default=None, unique=True)
    meta: dict[str, Any] | None = json_field(nullable=True)
    """What whoever ordered it attached; OpenAI calls it metadata."""
    suffix: str = ""
    """What the student is to be called, for people."""
    state: RunState = word(RunState, RunState.QUEUED, index=True)
    progress: dict[str, Any] | None = json_field(nullable=True)
    """The trainer's last event."""
    report: dict[str, Any] | None = json_field(nullable=True)
    path: str = ""
    """Folder of weights, report and log, relative to the data folder."""
    reason: str = ""
    detail: str = text_field()
    created_at: float = created()
    started_at: float | None = None
    finished_at: float | None = None
