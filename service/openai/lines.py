"""The lines of a batch file: `{"custom_id", "method", "url", "body", "retort"?}`, each one a prompt for one teacher."""

from collections.abc import Collection, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from service.errors import nearest
from service.ingest import MESSAGES_MAX, Form
from service.openai.words import ENDPOINT, N_MAX, About, Metadata, columns

OURS = ("model", "messages", "n", "stream", "stream_options", "store", "metadata")
"""Fields of a body that Retort reads itself; all others go to the teacher as they are."""


class ChatMessage(BaseModel):
    """A chat message as OpenAI takes it; fields that only some models know (`name`, `tool_calls`, …) stay with it."""

    model_config = ConfigDict(extra="allow")

    role: Literal["system", "user", "assistant", "developer", "tool", "function"]
    content: str | list[dict[str, Any]] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> "ChatMessage":
        if not self.content and self.role != "assistant":
            raise ValueError("the message holds no content")
        return self


class Body(BaseModel):
    """The request of a line."""

    model_config = ConfigDict(extra="allow")

    model: str
    messages: list[ChatMessage] = Field(min_length=1, max_length=MESSAGES_MAX)
    n: int = Field(default=1, ge=1, le=N_MAX)
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None
    store: bool | None = None
    """Said or not: every answer of a batch is kept, and found under the id in the output file with its `metadata`."""
    metadata: Metadata | None = None

    @field_validator("model")
    @classmethod
    def _is_a_teacher(cls, name: str, info: ValidationInfo) -> str:
        known: Collection[str] = info.context or ()
        if name not in known:
            hint = nearest(name, known)
            if name.startswith("run_"):
                hint = "; a student answers once it is served and registered as a teacher of that name"
            message = f"no teacher is called '{name}'{hint}"
            raise PydanticCustomError("model_not_found", "{message}", {"message": message})
        return name

    @model_validator(mode="after")
    def _is_for_the_teacher(self) -> "Body":
        if "retort" in (self.model_extra or {}):
            raise ValueError("'retort' stands beside 'body', not in it: no teacher would read it")
        return self

    @field_validator("stream", "stream_options")
    @classmethod
    def _whole(cls, value: Any) -> Any:
        if value:
            raise PydanticCustomError("stream_not_allowed", "a batch cannot stream: leave it out, or false")
        return value


class BatchLine(BaseModel):
    """One line."""

    model_config = ConfigDict(extra="forbid")

    custom_id: str = Field(min_length=1, max_length=512)
    method: Literal["POST"]
    url: str
    body: Body
    retort: About | None = None

    @field_validator("url")
    @classmethod
    def _can_be_called(cls, url: str) -> str:
        if url != ENDPOINT:
            message = "a batch can call {endpoint} alone, in every line"
            raise PydanticCustomError("invalid_url", message, {"endpoint": ENDPOINT})
        return url

    @model_validator(mode="after")
    def _agrees(self) -> "BatchLine":
        n = self.retort.n if self.retort else None
        if n is not None and "n" in self.body.model_fields_set and self.body.n != n:
            raise ValueError(f"body.n says {self.body.n} and retort.n {n}")
        return self

    def row(self, line: int) -> dict[str, Any]:
        """Return the values of its row in the prompt table."""
        body = self.body
        n = self.retort.n if self.retort else None
        return {
            "key": self.custom_id,
            "line": line,
            "messages": [message.model_dump(exclude_unset=True) for message in body.messages],
            "teacher": body.model,
            "n": n or body.n,
            "body": body.model_extra or None,
            "meta": body.metadata,
        } | columns(self.retort, body.metadata)


def form(teachers: Sequence[str]) -> Form:
    """Return how lines are read where these teachers are registered."""

    def row(data: dict[str, Any], line: int) -> dict[str, Any]:
        return BatchLine.model_validate(data, context=teachers).row(line)

    return Form(row, {(): BatchLine.model_fields, ("retort",): About.model_fields}, id_field="custom_id")
