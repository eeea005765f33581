"""Training runs."""

from datetime import datetime
from typing import Any

from pydantic import Field

from service.api.shapes.base import Asked, Given


class RunIn(Asked):
    dataset: str
    """`NAME@N`, or `NAME` for its newest sealed version."""
    method: str = "sft"
    student: str = Field(min_length=1, max_length=1024)
    """A folder on the worker's machine, or a hub name."""
    config: dict[str, Any] = {}
    evaluation: list[str] = []
    """Batches whose prompts measure the student; none means the version's test split."""


class RunOut(Given):
    id: str
    dataset: str
    version: int
    method: str
    student: str
    config: dict[str, Any]
    evaluation: list[str]
    state: str
    progress: dict[str, Any] | None
    path: str
    reason: str
    detail: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
