"""What the native routes take and give, as plain models: a table is never built from a request."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveInt, field_validator, model_validator

from filters.manifest import FilterCount, Licence
from service.scopes import Scope
from service.urls import normal_base_url

NAME = r"^[a-z0-9][a-z0-9._-]{0,63}$"
"""Names are ids: they stand in paths, headers and file names."""
Use = Literal["research", "commercial"]
TRIES_EACH, TRIES_MAX = 4, 128
"""A teacher that is right less than one time in four is dear to ask for right answers: more tries are a decision."""
LABELS_MAX = 256
"""Entries of a soft label; `retort teacher serve` allows its teachers to give as many."""


class Asked(BaseModel):
    """A request body: an unknown field is a mistake, not a wish to be ignored."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class Given(BaseModel):
    """A response body, filled from a table row."""

    model_config = ConfigDict(from_attributes=True)


class TeacherIn(Asked):
    name: str = Field(pattern=NAME)
    base_url: str
    model: str = Field(min_length=1, max_length=512)
    license: str = ""
    """SPDX id, Hugging Face tag or the model's own licence name; empty means unknown, and unknown blocks an export."""
    revision: str | None = None
    tokenizer_sha256: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")
    """Of the model's `tokenizer.json`, so that stored token ids keep their meaning; empty means unknown."""
    api_key_env: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """Name of the environment variable of the workers that holds the key."""
    replicas: list[str] = Field(default=[], max_length=256)
    """Further servers of the same model; requests are spread over them and `base_url`."""
    max_concurrency: int = Field(default=64, ge=1, le=4096)
    """Requests in flight at each server, from each worker."""
    gpus: NonNegativeFloat = 0.0
    """GPUs of each server, for the account of GPU-hours."""
    gpu_hour_price: NonNegativeFloat | None = None
    """What one of them costs for an hour, in your currency."""

    @field_validator("base_url")
    @classmethod
    def _url(cls, value: str) -> str:
        return normal_base_url(value)

    @field_validator("replicas")
    @classmethod
    def _urls(cls, value: list[str]) -> list[str]:
        return [normal_base_url(each) for each in value]


class TeacherOut(Given):
    name: str
    backend: str
    base_url: str
    model: str
    license: str
    revision: str | None
    tokenizer_sha256: str
    api_key_env: str | None
    replicas: list[str]
    max_concurrency: int
    gpus: float
    gpu_hour_price: float | None
    health: dict[str, Any] | None
    created_at: datetime


class Probe(BaseModel):
    """What a teacher answered: `ok` is false with a `reason` when it is down, refuses the key or lacks the model."""

    name: str
    ok: bool
    reason: str = ""
    detail: str = ""
    models: list[str] = []
    max_model_len: int | None = None
    latency_ms: int | None = None
    servers: dict[str, str] = {}
    """What is wrong with each of its servers, by address; nothing where all is well."""


class BenchmarkOut(Given):
    name: str
    sha256: str
    """Of its texts as they are compared; a recipe that names the benchmark carries it."""
    file_sha256: str
    """Of the file as it was added."""
    columns: list[str]
    lines: int
    created_at: datetime


class BenchmarkAdded(BenchmarkOut):
    new: bool
    """False where the same file was there under this name."""


class KeyIn(Asked):
    name: str = Field(min_length=1, max_length=256)
    scope: Scope = Scope.SUBMIT
    """`read`, `submit` (read, and send work) or `admin` (all of it)."""


class KeyOut(Given):
    id: str
    name: str
    scope: Scope
    created_at: datetime
    revoked_at: datetime | None


class KeyMade(KeyOut):
    token: str
    """Shown once."""


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


class TraceOut(Given):
    id: int
    batch: str
    prompt_id: int
    key: str
    messages: list[dict[str, Any]]
    reference: str | None
    category: str
    teacher: str
    sample_index: int
    reasoning: str
    response: str
    finish_reason: str
    prompt_tokens: int | None
    completion_tokens: int | None
    reasoning_tokens: int | None
    latency_ms: int | None
    outcome: str | None
    reason: str | None
    detail: str | None
    created_at: datetime


class VerdictOut(Given):
    version: str
    outcome: str
    filter: str
    filter_version: int | None
    reason: str
    detail: str
    evidence: dict[str, Any] | None
    abstentions: list[dict[str, Any]] | None
    notes: list[dict[str, Any]] | None
    split: str


class ReviewIn(Asked):
    outcome: Literal["keep", "reject"]
    author: str = Field(min_length=1, max_length=256)
    reason: str = Field(default="", max_length=2000)
    response: str | None = None
    """The response as edited; left out, it stays as it is."""


class ReviewOut(Given):
    outcome: str
    reason: str
    author: str
    response: str | None
    created_at: datetime


class TraceDetail(TraceOut):
    verdicts: list[VerdictOut]
    reviews: list[ReviewOut]
    raw: Any
    """The teacher's choice object as it came."""
    meta: dict[str, Any] | None
    """What the submitter noted beside the prompt, such as the passage that a question is from."""


class LedgerRow(Given):
    trace: int
    prompt_id: int
    category: str
    outcome: str
    filter: str
    filter_index: int | None
    filter_version: int | None
    reason: str
    detail: str
    evidence: dict[str, Any] | None
    abstentions: list[dict[str, Any]] | None
    notes: list[dict[str, Any]] | None
    split: str


class Override(Asked):
    """A person's decision that a licence the table does not allow is all right here; it stays on the card."""

    licence: str
    reason: str = Field(min_length=1, max_length=2000)
    author: str = Field(min_length=1, max_length=256)


class SplitIn(Asked):
    """Shares of the prompts that are held back; the rest is for training."""

    eval: float = Field(default=0.05, ge=0, le=0.5)
    test: float = Field(default=0.05, ge=0, le=0.5)


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


class Step(BaseModel):
    """What one filter of the recipe said of a trace."""

    filter: str
    knobs: dict[str, Any]
    outcome: str
    """`passed`, `noted`, `abstained`, `rejected`, `not_reached`, or `not_asked` where a person decided."""
    reason: str = ""
    detail: str = ""
    evidence: dict[str, Any] | None = None


class WhyOut(BaseModel):
    trace: int
    version: str
    outcome: str
    decided_by: str | None
    """The filter that rejected it, or `person`; null where every filter kept it."""
    reason: str
    detail: str
    split: str
    steps: list[Step]


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


class RunIn(Asked):
    dataset: str
    """`NAME@N`, or `NAME` for its newest sealed version."""
    method: str = "sft"
    student: str = Field(min_length=1, max_length=1024)
    """A folder on the worker's machine, or a hub name."""
    config: dict[str, Any] = {}
    evaluation: list[str] = []
    """Batches whose prompts measure the student; none means the version's test split."""


class RunOut(Given):
    id: str
    dataset: str
    version: int
    method: str
    student: str
    config: dict[str, Any]
    evaluation: list[str]
    state: str
    progress: dict[str, Any] | None
    path: str
    reason: str
    detail: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
