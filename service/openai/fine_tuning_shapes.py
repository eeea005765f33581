"""What `/v1/fine_tuning` takes and gives, field for field."""

from typing import Any, Literal

from pydantic import BaseModel, Field, NonNegativeInt, PositiveFloat, PositiveInt

from service.api.shapes.base import NAME, Use
from service.launching import Launch
from service.methods import TrainingMethod
from service.openai.shapes import Asked, Identified
from service.openai.words import Metadata

METHODS = {"supervised": "sft", "dpo": "preference"}
"""OpenAI's words for the trainer's methods; every other method is named in `retort.method`."""
Auto = Literal["auto"]


class Hyperparameters(Asked):
    n_epochs: Auto | PositiveFloat | None = None
    batch_size: Auto | PositiveInt | None = None
    learning_rate_multiplier: Auto | PositiveFloat | None = None
    beta: Auto | PositiveFloat | None = None
    """Of `dpo` alone."""


class Tuning(Asked):
    hyperparameters: Hyperparameters | None = None


class Method(Asked):
    type: Literal["supervised", "dpo"]
    supervised: Tuning | None = None
    dpo: Tuning | None = None

    @property
    def hyperparameters(self) -> Hyperparameters | None:
        """Those of the method that is meant."""
        tuning = self.dpo if self.type == "dpo" else self.supervised
        return tuning.hyperparameters if tuning else None


class Wishes(Asked):
    """Retort's own; the SDK sends them as `extra_body={"retort": {…}}`."""

    method: TrainingMethod | None = None
    """The trainer's name for it; `sft` where neither this nor `method` is given."""
    config: dict[str, Any] = Field(default_factory=dict)
    """The method's knobs, over the hyperparameters."""
    evaluation: list[str] = Field(default_factory=list)
    """Batches whose prompts measure the student."""
    launch: Launch | None = None
    """Several processes for this training, as for `POST /api/runs`."""
    license: str = Field(default="", max_length=256)
    """Of an uploaded file's answers, and of its prompts unless their lines say otherwise; `metadata.license` counts as
    well. Where nobody says, it is trained on all the same, and nothing of it can be exported."""
    teacher: str | None = Field(default=None, pattern=NAME)
    """Who gave an uploaded file's answers, as you call it."""
    intended_use: Use = "research"
    """Of what is made of an uploaded file."""


class JobIn(Asked):
    model: str = Field(min_length=1, max_length=1024)
    """The base: a folder on the worker's machine, or a hub name."""
    training_file: str = Field(min_length=1, max_length=256)
    validation_file: str | None = None
    method: Method | None = None
    hyperparameters: Hyperparameters | None = None
    """OpenAI's older place for them."""
    seed: NonNegativeInt | None = None
    suffix: str | None = Field(default=None, min_length=1, max_length=64)
    metadata: Metadata | None = None
    retort: Wishes = Field(default_factory=Wishes)


class JobError(BaseModel):
    code: str
    message: str
    param: str | None = None


class JobObject(Identified):
    object: Literal["fine_tuning.job"] = "fine_tuning.job"
    created_at: int
    error: JobError | None
    fine_tuned_model: str | None
    """The run's own id, under which the student is listed among the models."""
    finished_at: int | None
    hyperparameters: Hyperparameters
    model: str
    organization_id: str = "retort"
    result_files: list[str] = Field(default_factory=list)
    """Of a student: its losses as CSV. What it learned is at `/api/runs/ID/report`."""
    seed: int
    status: str
    trained_tokens: int | None
    training_file: str
    validation_file: str | None = None
    estimated_finish: int | None
    integrations: list[Any] | None = None
    metadata: dict[str, Any] | None
    method: Method | None
    """None for methods that OpenAI has not; `retort.method` always names it."""
    retort: dict[str, Any]


class EventObject(Identified):
    object: Literal["fine_tuning.job.event"] = "fine_tuning.job.event"
    created_at: int
    level: str
    message: str
    data: dict[str, Any]
    type: Literal["message", "metrics"]


class CheckpointMetrics(BaseModel):
    step: int


class CheckpointObject(Identified):
    object: Literal["fine_tuning.job.checkpoint"] = "fine_tuning.job.checkpoint"
    created_at: int
    fine_tuned_model_checkpoint: str
    fine_tuning_job_id: str
    metrics: CheckpointMetrics
    step_number: int
