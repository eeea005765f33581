"""A trace as filters and the trainer see it."""

from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any


@dataclass(frozen=True, slots=True)
class Sample:
    """One stored completion with what is needed to judge it. Token counts are None where the teacher told none."""

    id: int
    """The trace's id."""
    prompt_id: int
    messages: list[dict[str, Any]]
    """What was asked: chat messages, `role` and `content`."""
    response: str
    reasoning: str = ""
    finish_reason: str = "stop"
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    """Reasoning and response together, as the teacher counted them."""
    sample_index: int = 0
    """Which of the n answers to this prompt, from 0."""
    teacher: str = ""
    """Whose the response is."""
    teacher_license: str = ""
    rewriter: str = ""
    """The teacher that wrote the reasoning anew; empty where none did."""
    rewriter_license: str = ""
    reference: str | None = None
    verifier: str | None = None
    category: str = ""
    source: str = ""
    license: str = ""
    """Of the prompt, as its submitter stated it."""
    tries: int | None = None
    """How many answers the prompt got in all, good and bad; None where nobody counted."""

    @property
    def prompt_text(self) -> str:
        """The text of all messages of the prompt, one under the other."""
        return text_of(self.messages)

    def __reduce__(self) -> tuple[Any, ...]:
        # Rows wait in files by the hundred thousand; with slots a dataclass is pickled field by field in Python.
        return Sample, _values(self)


def text_of(messages: list[dict[str, Any]]) -> str:
    """Return the text of all messages of a prompt, one under the other."""
    return "\n".join(str(message.get("content") or "") for message in messages)


_values = attrgetter(*(field.name for field in fields(Sample)))
