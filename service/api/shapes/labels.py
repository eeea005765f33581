"""Soft labels."""

from typing import Literal

from pydantic import BaseModel, Field

from service.api.shapes.base import Asked, Given

LABELS_MAX = 256
"""Entries of a soft label; `retort teacher serve` allows its teachers to give as many."""


class LabelsEstimate(BaseModel):
    """How much soft labels will take, at most."""

    bytes_max: int | None
    """None where it cannot be told."""
    answers: int
    tokens_max: int | None
    """Of all answers together."""
    bytes_per_token: float
    unknown: str = ""
    """What is missing to tell more."""


class BatchLabels(BaseModel):
    """Soft labels of a batch's answers."""

    state: Literal["none", "in_progress", "ended"] = "none"
    """Of adding them later: `none` where nobody asked for that."""
    top_logprobs: int | None = None
    """Asked for with the answers."""
    stored: int = 0
    bytes: int = 0
    pending: int = 0
    """Traces that are yet to be scored."""
    unavailable: dict[str, int] = {}
    """Answers without soft labels by reason, such as `no_token_ids` or `retokenized_differently`."""
    waiting: dict[str, int] = {}
    """Jobs that wait, by reason."""
    tokenizer_sha256: dict[str, str] = {}
    """By teacher; empty means that nobody said with which tokenizer its token ids are to be read."""
    estimate: LabelsEstimate | None = None


class LabelsIn(Asked):
    top_logprobs: int = Field(ge=1, le=LABELS_MAX)
    """Entries for each token, the chosen one included."""
    teacher: str | None = None
    """Who scores the traces; left out, each one's own teacher. It must split text as that one does."""


class TraceLabels(Given):
    """Soft labels of one trace, one row for each token: first the chosen token, then the likeliest others."""

    trace: int
    teacher: str
    source: str
    """`sampled` with the answer, or `rescored` later."""
    k: int
    tokens: int
    tokenizer_sha256: str
    """Empty means unknown."""
    bytes: int
    """As stored."""
    offset: int
    """The first token of this page."""
    ids: list[list[int]]
    logprobs: list[list[float]]
    next: int | None
    """The `offset` of the next page."""
