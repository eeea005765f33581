"""`render.json`: what the gate found out about a version and a student."""

from typing import Any

from pydantic import BaseModel

from trainer.dialect import Completion


class Lengths(BaseModel):
    """Tokens a row: median, 95th percentile (nearest rank), longest, and the sum over all rows."""

    p50: int = 0
    p95: int = 0
    max: int = 0
    total: int = 0


class Reasoning(BaseModel):
    """Rows by what became of their reasoning."""

    kept: int = 0
    lost: int = 0
    left_out: int = 0
    """As asked: `answer_only`."""
    none: int = 0
    """The teacher gave none."""


class SplitRendering(BaseModel):
    """How the rows of one split render."""

    rows: int = 0
    fit: int = 0
    tokens: Lengths = Lengths()
    """Of prompt and reply."""
    reply_tokens: Lengths = Lengths()
    """In the loss."""
    reasoning: Reasoning = Reasoning()
    problems: dict[str, int] = {}
    """Rows with each problem; one row may have several."""
    over_trl_default: int = 0
    """Rows longer than TRL's default `max_length`."""


class Example(BaseModel):
    """One unfit row."""

    id: int
    split: str
    reason: str
    detail: str
    tokens: int


class Problem(BaseModel):
    """What a problem means, and what a person can do about it."""

    meaning: str
    remedy: str


class Rendering(BaseModel):
    """What a student would read of a dataset version: `render.json`."""

    dataset: str
    version: int
    sha256: str
    """Of the version."""
    student: str
    commit: str | None
    """Of the student's repository on the hub."""
    chat_template_sha256: str
    completion: Completion
    reasoning_key: str | None
    """Under which name the chat template reads reasoning; None if it reads none, or none is taught."""
    template_kwargs: dict[str, Any]
    max_length: int | None
    """Tokens a row may have; None if neither the settings nor the student say."""
    fit: bool
    """Every row can be trained on."""
    splits: dict[str, SplitRendering] = {}
    examples: list[Example] = []
    """The first unfit rows."""
    problems: dict[str, Problem] = {}
    """Those that were found."""
