"""Batches: how their prompts are asked, and how far they are."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field, NonNegativeFloat, PositiveInt, model_validator

from service.api.shapes.base import Asked, Given
from service.api.shapes.labels import LABELS_MAX, BatchLabels

TRIES_EACH, TRIES_MAX = 4, 128
"""A teacher that is right less than one time in four is dear to ask for right answers: more tries are a decision."""


class Sampling(Asked):
    """How a batch's prompts are asked; what is None is left to the teacher."""

    temperature: NonNegativeFloat | None = Field(default=None, le=10)
    max_tokens: PositiveInt | None = None
    top_p: float | None = Field(default=None, gt=0, le=1)
    seed: int | None = None
    top_logprobs: int | None = Field(default=None, ge=1, le=LABELS_MAX)
    """Soft labels: keep the so many likeliest tokens for each token of an answer, the chosen one included."""


class SubmitQuery(Sampling):
    """Whom a batch is asked of, and how."""

    teacher: list[str] = Field(min_length=1, max_length=16)
    n: int = Field(default=1, ge=1, le=128)
    """Answers asked of each teacher for each prompt."""
    accept_k: int | None = Field(default=None, ge=1, le=128)
    """Ask each teacher about a prompt until so many of its answers are right, instead of `n` times. Every prompt needs
    a reference; every try is kept."""
    max_tries: int | None = Field(default=None, ge=1, le=128)
    """… and at most so many times; four for each answer wanted where it is left out."""
    token_budget: PositiveInt | None = None
    """… or until the answers of one teacher to one prompt have so many tokens in all."""
    set: str | None = Field(default=None, max_length=64)
    """What the prompts are for, such as `held-out`; a report groups by it."""
    ungradable: Literal["refuse", "report"] | None = None
    """What becomes of a batch with references that their verifier cannot grade: refused with the lines named, or taken
    and the lines reported. Left out it is `report`, but `refuse` with `accept_k`, which would never see a right answer.
    """
    map: list[str] = []
    """`COLUMN:FIELD`, such as `question:prompt`: what a column of the body stands for. A field is one of a prompt's or
    `meta.NAME`; without one the column is dropped. `*` stands for all other columns, for `meta` or nowhere."""
    file: str = Field(default="", max_length=255)
    """Name of the file, so that each trace can be followed back to its line there."""

    @model_validator(mode="after")
    def _one_way(self) -> "SubmitQuery":
        if self.accept_k is None:
            if self.max_tries or self.token_budget:
                raise ValueError("'max_tries' and 'token_budget' bound 'accept_k', which is not given")
            return self
        if self.n != 1:
            raise ValueError("give either 'n' (so many answers) or 'accept_k' (so many right ones)")
        if self.max_tries is not None and self.max_tries < self.accept_k:
            raise ValueError(f"{self.max_tries} tries cannot bring {self.accept_k} right answers")
        return self

    @property
    def refuses_ungradable(self) -> bool:
        """Whether references that cannot be graded are mistakes."""
        return (self.ungradable or ("refuse" if self.accept_k else "report")) == "refuse"

    @property
    def tries(self) -> int:
        """Answers asked of each teacher for each prompt at most."""
        if self.accept_k is None:
            return self.n
        return self.max_tries or min(TRIES_EACH * self.accept_k, TRIES_MAX)


class Counts(BaseModel):
    """Answers of a batch; `total` is always the sum of the others."""

    total: int
    stored: int
    failed: int
    cancelled: int
    pending: int


class TeacherUse(BaseModel):
    """What one teacher did for a batch, and what that took."""

    stored: int
    prompt_tokens: int
    completion_tokens: int
    busy_s: float
    """Seconds that its servers were at work for this batch, added up over servers; what they do for several batches at
    once is shared out."""
    gpu_hours: float | None
    """None where nobody said how many GPUs its servers have."""
    cost: float | None
    """In the currency of `gpu_hour_price`."""
    cost_per_million_tokens: float | None
    """Of completion tokens."""


class Ungradable(BaseModel):
    """A prompt whose reference cannot be graded."""

    line: int
    id: str
    verifier: str
    reference: str
    """Its first 80 characters."""


class BatchOut(Given):
    id: str
    state: str
    teachers: list[str]
    n: int
    """Answers asked of each teacher for each prompt; with `accept_k` the most that are."""
    accept_k: int | None
    token_budget: int | None
    sampling: dict[str, Any]
    meta: dict[str, Any]
    imported: dict[str, Any] | None = None
    """Where its answers are from, when they were made elsewhere."""
    rewrite: dict[str, Any] | None
    """Whose traces it holds rewritten (`batches`, `version`), and how (`kind`, `teacher`, `instruction`, `share_max`);
    None where its prompts were asked."""
    prompts: int
    counts: Counts
    reasons: dict[str, int]
    """Failed answers by reason."""
    waiting: dict[str, int]
    """Shards that wait, by reason."""
    prompt_tokens: int
    completion_tokens: int
    reasoning_lost: int
    """Answers whose usage counts reasoning tokens while no reasoning text came."""
    ungradable: int = 0
    """Prompts whose reference their verifier cannot grade: `verified` will abstain on every answer to them."""
    ungradable_first: list[Ungradable] = []
    """The first of them."""
    use: dict[str, TeacherUse]
    """By teacher."""
    soft_labels: BatchLabels | None = None
    """None where none were asked for and none are there."""
    answers_per_s: float | None
    tokens_per_s: float | None
    eta_s: float | None
    created_at: datetime
    finished_at: datetime | None
    reason: str
    detail: str


class SubmitOut(BatchOut):
    """What a submission became."""

    new: bool
    """False where the same body was submitted under the same key before: this is the batch that it made."""


class PassRateOut(Given):
    """How often a teacher was right about a prompt, with the 95 % Wilson interval of that share."""

    prompt_id: int
    key: str
    category: str
    teacher: str
    right: int
    tries: int
    rate: float
    low: float
    high: float
