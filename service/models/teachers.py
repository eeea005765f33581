"""Teachers: the models that answer."""

from typing import Any

from sqlmodel import Field, SQLModel

from service.models.columns import created, json_field


class Teacher(SQLModel, table=True):
    """A model served over an OpenAI-compatible API. The OpenAI `model` field names a teacher by its `name`."""

    name: str = Field(primary_key=True)
    backend: str = "openai"
    base_url: str
    """Ends in `/v1`."""
    model: str
    """What the server calls it."""
    license: str = ""
    """As the person who registered it stated it; empty means unknown, which blocks."""
    revision: str | None = None
    tokenizer_sha256: str = ""
    """Of its `tokenizer.json`, as stated when it was registered: what the ids of its soft labels stand for."""
    api_key_env: str | None = None
    """Name of the environment variable that holds the key, never the key."""
    max_concurrency: int = 64
    health: dict[str, Any] | None = json_field(nullable=True)
    """What the last probe found."""
    created_at: float = created()
