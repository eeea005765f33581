"""A version as a student would read it."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from service.api.shapes.base import Asked
from service.methods import TrainingMethod


class RenderIn(Asked):
    student: str = Field(min_length=1, max_length=1024)
    """A folder on the worker's machine, or a hub name."""
    method: TrainingMethod = "sft"
    """Whose knobs `config` has."""
    config: dict[str, Any] = {}
    """As a training would get them: `max_length`, `completion`, `chat_template`, `eos_token`, …"""


class RenderOut(BaseModel):
    id: str
    dataset: str
    version: int
    student: str
    method: str
    config: dict[str, Any]
    state: str
    """queued, running, done, failed or cancelled. A rendering that found unfit rows is done; `report.fit` says so."""
    rows: int
    rendered: int
    """Of `rows`, so far."""
    reason: str
    detail: str
    report: dict[str, Any] | None
    """Once it is done: tokens, reasoning kept and lost, problems, first unfit rows; the trainer says its shape."""
    rejected: bool
    """There are unfit rows, to be fetched from `/api/renders/{id}/rejected`."""
    created_at: datetime
    finished_at: datetime | None
