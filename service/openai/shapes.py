"""What this door takes and gives: OpenAI's objects, field for field; times are whole Unix seconds."""

from typing import Annotated, Any, Generic, Literal, TypeVar

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from service.openai.words import ENDPOINT, Metadata

T = TypeVar("T", bound="Identified")
Order = Literal["asc", "desc"]


class Identified(BaseModel):
    """An object that a list can be read on from."""

    id: str


class Asked(BaseModel):
    """A request body: an unknown field is a mistake, not a wish to be ignored."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class Page(BaseModel, Generic[T]):
    """One page of a list; the next one is `after` its last id."""

    object: Literal["list"] = "list"
    data: list[T]
    first_id: str | None
    last_id: str | None
    has_more: bool

    @classmethod
    def of(cls, found: list[T], limit: int) -> "Page[T]":
        """Return the first `limit` of what was found, which tells by one more that there are others."""
        data = found[:limit]
        ends = (data[0].id, data[-1].id) if data else (None, None)
        return cls(data=data, first_id=ends[0], last_id=ends[1], has_more=len(found) > limit)


class FileObject(Identified):
    object: Literal["file"] = "file"
    bytes: int
    created_at: int
    filename: str
    purpose: str
    status: Literal["processed"] = "processed"
    status_details: None = None
    expires_at: None = None


class FileDeleted(BaseModel):
    id: str
    object: Literal["file"] = "file"
    deleted: bool = True


class BatchIn(Asked):
    input_file_id: str = Field(min_length=1, max_length=64)
    endpoint: str
    completion_window: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,3}[hd]$")]
    """`24h` as OpenAI has it, or any other number of hours or days; what is pending then ends as `batch_expired`."""
    metadata: Metadata | None = None
    retort: "BatchWishes" = Field(default_factory=lambda: BatchWishes())
    """Retort's own wishes; the SDK sends them as `extra_body={"retort": {…}}`."""


class BatchWishes(Asked):
    resume: bool = True
    """Take over the answers of the last batch of the same file content, if it was cancelled or expired."""
    ungradable: Literal["refuse", "report"] = "report"
    """Whether references that their verifier cannot grade are refused, or counted in the batch's `retort`."""


class RequestCounts(BaseModel):
    total: int
    completed: int
    failed: int


class BatchError(BaseModel):
    code: str
    message: str
    param: None = None
    line: None = None


class BatchErrors(BaseModel):
    object: Literal["list"] = "list"
    data: list[BatchError]


class InputTokens(BaseModel):
    cached_tokens: int = 0
    """What teachers had cached is not counted here."""


class OutputTokens(BaseModel):
    reasoning_tokens: int


class Usage(BaseModel):
    input_tokens: int
    input_tokens_details: InputTokens = InputTokens()
    output_tokens: int
    output_tokens_details: OutputTokens
    total_tokens: int


class BatchObject(Identified):
    object: Literal["batch"] = "batch"
    endpoint: str = ENDPOINT
    model: str | None
    errors: BatchErrors | None
    input_file_id: str
    completion_window: str
    status: str
    output_file_id: str | None
    error_file_id: str | None
    created_at: int
    in_progress_at: int | None
    expires_at: int | None
    finalizing_at: int | None
    completed_at: int | None
    failed_at: int | None
    expired_at: int | None
    cancelling_at: int | None
    cancelled_at: int | None
    request_counts: RequestCounts
    usage: Usage | None
    metadata: dict[str, Any] | None
    retort: dict[str, Any] | None
    """`continues`: the batch whose answers this one took over. `ungradable`, `ungradable_first`: how many prompts have
    a reference that their verifier cannot grade, and the first of them."""


class ModelObject(BaseModel):
    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str


class Models(BaseModel):
    object: Literal["list"] = "list"
    data: list[ModelObject]


class MetadataIn(Asked):
    metadata: Metadata | None


class CompletionObject(Identified):
    """A chat completion; what a teacher said beside OpenAI's fields stays with its choices."""

    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[dict[str, Any]]
    usage: dict[str, Any] | None
    service_tier: None = None
    system_fingerprint: None = None
    metadata: dict[str, Any] | None = None


class CompletionDeleted(BaseModel):
    id: str
    object: Literal["chat.completion.deleted"] = "chat.completion.deleted"
    deleted: bool = True


class StoreMessage(Identified):
    """A message that was asked, with fields of its own role such as `tool_calls` and `name`."""

    model_config = ConfigDict(extra="allow")

    role: str
    content: str | None
    refusal: str | None = None
    content_parts: list[dict[str, Any]] | None = None


PageSize = Annotated[int, Query(ge=1, le=10_000)]
"""As OpenAI bounds it; a page holds fewer where the setting says so, and `has_more` tells."""
