"""Messages of a chat request."""

from collections.abc import Iterable
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, field_validator


def joined(value: Any) -> Any:
    """Return parts of text as one; parts of another kind have no place here, and whatever is no list stays."""
    if not isinstance(value, list):
        return value
    texts = [part["text"] for part in value if isinstance(part, dict) and isinstance(part.get("text"), str)]
    if len(texts) < len(value):
        raise ValueError("only parts of text are taken")
    return "".join(texts)


class Asked(BaseModel):
    """A message that was asked. Fields beside its text, such as a stored message's id, are not kept."""

    model_config = ConfigDict(extra="ignore")

    role: Literal["system", "user", "assistant", "developer", "tool"]
    content: str

    @field_validator("content", mode="before")
    @classmethod
    def _text(cls, value: Any) -> Any:
        return joined(value)


def messages_of(asked: Iterable[Asked]) -> list[dict[str, str]]:
    """Return messages as a prompt holds them."""
    return [{"role": message.role, "content": message.content} for message in asked]
