"""Rewriters."""

from typing import Any

from pydantic import Field, NonNegativeFloat, PositiveInt, model_validator

from service.api.shapes.base import Asked
from service.rewrites import Kind


class RewriteIn(Asked):
    kind: Kind
    teacher: str | None = None
    """Who writes the reasoning anew, for `compact`; `answer_only` asks nobody."""
    instruction: str | None = Field(default=None, min_length=1, max_length=20_000)
    """What the teacher is told, in place of Retort's own words; question, reasoning and answer follow it."""
    share_max: float = Field(default=0.9, gt=0, le=1)
    """The most characters that a new reasoning may have, as a share of the old one's; longer ones fail."""
    thinking: bool | None = None
    """Whether the teacher may think before it writes, where its chat template has a switch (`enable_thinking`); None
    leaves it to the template. Such thoughts cost tokens, and hide how many the new reasoning has."""
    temperature: NonNegativeFloat | None = Field(default=None, le=10)
    max_tokens: PositiveInt | None = None
    top_p: float | None = Field(default=None, gt=0, le=1)
    seed: int | None = None

    @model_validator(mode="after")
    def _fits_its_kind(self) -> "RewriteIn":
        if self.kind is Kind.COMPACT and self.teacher is None:
            raise ValueError("'compact' needs a 'teacher' that writes the reasoning anew")
        unused = self.model_fields_set - {"kind"}
        if self.kind is Kind.ANSWER_ONLY and unused:
            raise ValueError(f"'answer_only' asks nobody; leave {', '.join(sorted(unused))} out")
        return self

    @property
    def sampling(self) -> dict[str, Any]:
        """How the teacher is asked."""
        asked = self.model_dump(include={"temperature", "max_tokens", "top_p", "seed"}, exclude_none=True)
        return asked if self.thinking is None else asked | {"chat_template_kwargs": {"enable_thinking": self.thinking}}
