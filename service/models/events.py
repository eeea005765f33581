"""Events: what happened, in order, for those who follow along."""

from typing import Any

from sqlmodel import Field, SQLModel

from service.models.columns import created, json_field, row_id


class Event(SQLModel, table=True):
    """One thing that happened. Its id is the SSE `Last-Event-ID`, so that a reader who was away misses nothing."""

    id: int | None = row_id()
    kind: str
    """`batch.progress`, `batch.completed`, `version.sealed`, `run.step`, …"""
    subject: str = Field(index=True)
    data: dict[str, Any] = json_field(dict)
    created_at: float = created()
