"""Dataset versions, previews and licence answers."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from filters.manifest import FilterCount, Licence, NearPrompts
from service.api.shapes.base import NAME, Asked, Given, Use


class Override(Asked):
    """A person's decision that a licence the table does not allow is all right here; it stays on the card."""

    licence: str
    reason: str = Field(min_length=1, max_length=2000)
    author: str = Field(min_length=1, max_length=256)


class SplitIn(Asked):
    """Shares of the prompts that are held back; the rest is for training."""

    eval: float = Field(default=0.05, ge=0, le=0.5)
    test: float = Field(default=0.05, ge=0, le=0.5)
    group: Literal["auto", "near", "text"] = "auto"
    """Which prompts share a split. `text`: equal ones. `near`: also those that a chain of near-duplicates connects;
    made from a template, most prompts may be connected, and land in one split. `auto`: the same without groups larger
    than a fifth of the smallest split that is held back (or than 4 prompts); those are split by text."""
    eval_batches: list[str] = []
    """Batches of the version whose prompts are its eval split, beside the share of the others'. A prompt that is in
    one of them is in no other split."""

    def kept(self) -> dict[str, Any]:
        """Return what is kept of it, and makes two orders the same or not."""
        return self.model_dump(exclude=None if self.eval_batches else {"eval_batches"})


class VersionIn(Asked):
    name: str = Field(pattern=NAME)
    batches: list[str] = Field(min_length=1, max_length=1000)
    recipe: dict[str, Any]
    """`{"filters": [{"kind": …, knobs}], "on_abstain": "keep" | "reject"}`; see `GET /api/recipes/filters`."""
    intended_use: Use = "research"
    split: SplitIn = SplitIn()
    base: str | None = None
    """Licence of the student base, if known already."""
    overrides: list[Override] = []


class Progress(BaseModel):
    done: int
    total: int


class VersionOut(Given):
    dataset: str
    number: int
    state: str
    batches: list[str]
    recipe: dict[str, Any]
    intended_use: str
    split: dict[str, Any]
    near_prompts: NearPrompts | None
    """Near-duplicate prompts and what the splits made of them; null until it is judged, and where nobody looked."""
    input: int
    kept: int
    funnel: list[FilterCount]
    splits: dict[str, Any]
    licence: Licence | None
    sha256: str
    path: str
    progress: Progress
    reason: str
    detail: str
    created_at: datetime
    sealed_at: datetime | None


class RebuildOut(Given):
    """The writing of a sealed version's folder from its ledger."""

    state: str
    reason: str
    """`rows_differ` where it gave other rows than were sealed; then the folder stays as it was."""
    detail: str


class ControlIn(Asked):
    filter: str
    """The kind of the filter that chance is to stand in for."""
    seed: int = 0


class PreviewIn(Asked):
    batches: list[str] = Field(min_length=1)
    recipe: dict[str, Any]
    sample: int = Field(default=200, ge=1, le=5000)
    """Traces to judge, spread evenly over the batches."""


class PreviewExample(BaseModel):
    trace: int
    filter: str
    reason: str
    detail: str


class PreviewOut(BaseModel):
    input: int
    kept: int
    funnel: list[FilterCount]
    examples: list[PreviewExample]


class LicenceIn(Asked):
    teachers: list[str] = []
    prompts: list[str] = []
    base: str | None = None
    use: Use = "research"
