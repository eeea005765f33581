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
    replicas: list[str] = json_field(list)
    """Further servers of the same model, as `base_url`; requests are spread over all of them."""
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
    """Requests in flight at each of its servers, from each worker."""
    gpus: float = 0.0
    """GPUs that each of its servers has; 0 where nothing is to be accounted."""
    gpu_hour_price: float | None = None
    """What one of them costs for an hour, in whatever currency; None where nobody said."""
    health: dict[str, Any] | None = json_field(nullable=True)
    """What the last probe found."""
    created_at: float = created()
