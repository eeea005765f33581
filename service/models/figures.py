"""What worker processes tell operators: that they are there, and what they count."""

from typing import Any

from sqlmodel import Field, SQLModel

from service.models.columns import created, json_field


class Presence(SQLModel, table=True):
    """A worker process, as it last said. One that is silent for long has died, and its row goes."""

    worker: str = Field(primary_key=True)
    """The name under which it holds leases."""
    kinds: list[str] = json_field(list)
    """Of jobs that it does."""
    gauges: list[dict[str, Any]] = json_field(list)
    """How things stand in it: `name`, `labels`, `value` of each."""
    started_at: float = created()
    seen_at: float = 0.0
    """By the database's clock."""


class Figure(SQLModel, table=True):
    """A count over all processes that ever worked here, so that none is lost when one of them ends."""

    name: str = Field(primary_key=True)
    labels: str = Field(default="", primary_key=True)
    """A JSON object with sorted keys."""
    value: float = 0.0
