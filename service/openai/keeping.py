"""Keeping a chat completion: the request and its answer become a prompt and its traces."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, StrictBool

from service.openai.words import About, Metadata, columns
from service.store import completions as store
from service.store.database import Database
from service.teachers.openai_reply import completions
from service.teachers.protocol import Sampling
from service.teachers.reasoning import Note


class Read(BaseModel):
    """What Retort reads of a chat request."""

    model_config = ConfigDict(extra="allow")

    model: str
    messages: list[dict[str, Any]] = Field(min_length=1)
    stream: StrictBool | None = None
    stream_options: dict[str, Any] | None = None
    store: StrictBool | None = None
    metadata: Metadata | None = None
    retort: About | None = None


def check(read: Read) -> None:
    """Raise ValidationError when what is said about the prompt cannot be kept, before a token is spent."""
    _about(read)


def keep(
    database: Database, read: Read, completion_id: str, teacher: str, payload: dict[str, Any], latency_ms: int
) -> None:
    """Store an answer; raises TeacherError when there is nothing in it to store."""
    thinking = Sampling(read.model_extra or {}).thinking
    found = completions(payload, n=max(1, len(payload["choices"])), latency_ms=latency_ms, thinking=thinking)
    prompt = {
        "key": completion_id,
        "messages": read.messages,
        "body": read.model_extra or None,
        "meta": read.metadata,
    } | _about(read)
    with database.write() as session:
        store.keep(
            session,
            teacher,
            prompt,
            [store.trace_row(completion) for completion in found],
            found,
            prompt_tokens=found[0].prompt_tokens or 0,
            completion_tokens=sum(completion.completion_tokens or 0 for completion in found),
            reasoning_tokens=sum(completion.reasoning_tokens or 0 for completion in found),
            reasoning_lost=sum(completion.note == Note.LOST_REASONING for completion in found),
        )


def _about(read: Read) -> dict[str, Any]:
    return columns(read.retort, read.metadata)
