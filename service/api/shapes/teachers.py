"""Teachers, benchmarks and API keys."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field, NonNegativeFloat, field_validator

from service.api.shapes.base import NAME, Asked, Given
from service.scopes import Scope
from service.urls import normal_base_url


class TeacherIn(Asked):
    name: str = Field(pattern=NAME)
    base_url: str
    model: str = Field(min_length=1, max_length=512)
    license: str = ""
    """SPDX id, Hugging Face tag or the model's own licence name; empty means unknown, and unknown blocks an export."""
    revision: str | None = None
    tokenizer_sha256: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")
    """Of the model's `tokenizer.json`, so that stored token ids keep their meaning; empty means unknown."""
    api_key_env: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """Name of the environment variable of the workers that holds the key."""
    replicas: list[str] = Field(default=[], max_length=256)
    """Further servers of the same model; requests are spread over them and `base_url`."""
    max_concurrency: int = Field(default=64, ge=1, le=4096)
    """Requests in flight at each server, from each worker."""
    gpus: NonNegativeFloat = 0.0
    """GPUs of each server, for the account of GPU-hours."""
    gpu_hour_price: NonNegativeFloat | None = None
    """What one of them costs for an hour, in your currency."""

    @field_validator("base_url")
    @classmethod
    def _url(cls, value: str) -> str:
        return normal_base_url(value)

    @field_validator("replicas")
    @classmethod
    def _urls(cls, value: list[str]) -> list[str]:
        return [normal_base_url(each) for each in value]


class TeacherOut(Given):
    name: str
    backend: str
    base_url: str
    model: str
    license: str
    revision: str | None
    tokenizer_sha256: str
    api_key_env: str | None
    replicas: list[str]
    max_concurrency: int
    gpus: float
    gpu_hour_price: float | None
    health: dict[str, Any] | None
    created_at: datetime


class Probe(BaseModel):
    """What a teacher answered: `ok` is false with a `reason` when it is down, refuses the key or lacks the model."""

    name: str
    ok: bool
    reason: str = ""
    detail: str = ""
    models: list[str] = []
    max_model_len: int | None = None
    latency_ms: int | None = None
    servers: dict[str, str] = {}
    """What is wrong with each of its servers, by address; nothing where all is well."""


class BenchmarkOut(Given):
    name: str
    sha256: str
    """Of its texts as they are compared; a recipe that names the benchmark carries it."""
    file_sha256: str
    """Of the file as it was added."""
    columns: list[str]
    lines: int
    created_at: datetime


class BenchmarkAdded(BenchmarkOut):
    new: bool
    """False where the same file was there under this name."""


class KeyIn(Asked):
    name: str = Field(min_length=1, max_length=256)
    scope: Scope = Scope.SUBMIT
    """`read`, `submit` (read, and send work) or `admin` (all of it)."""


class KeyOut(Given):
    id: str
    name: str
    scope: Scope
    created_at: datetime
    revoked_at: datetime | None


class KeyMade(KeyOut):
    token: str
    """Shown once."""
