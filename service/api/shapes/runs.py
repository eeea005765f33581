"""Training runs."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from service.api.shapes.base import Asked, Given
from service.launching import Launch
from service.methods import TrainingMethod


class RunIn(Asked):
    dataset: str
    """`NAME@N`, or `NAME` for its newest sealed version."""
    method: TrainingMethod = "sft"
    student: str = Field(min_length=1, max_length=1024)
    """A folder on the worker's machine, or a hub name."""
    config: dict[str, Any] = {}
    evaluation: list[str] = []
    """Batches whose prompts measure the student; none means the version's test split."""
    launch: Launch | None = None
    """Several processes for this training; none means one."""


class Paired(BaseModel):
    """Two students on the prompts of one set that both were asked and that were judged."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    set: str
    mode: str
    first: str
    """The run of the one student."""
    second: str
    n: int
    both_right: int
    only_first: int
    only_second: int
    difference: float
    """Accuracy of the second less that of the first."""
    p_value: float
    """Exact McNemar test that they are equally good."""


class Figure(BaseModel):
    """One measured figure of a run, as it is shown."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    name: str
    of: str
    """The set or the source of answers it is of; empty for the whole run."""
    values: dict[str, float]
    """By model: `base`, `student`, `teacher`, …"""
    unit: str
    """`share`, `ratio`, `tokens`, `nats`, `prompts` or empty."""


class Side(BaseModel):
    """One run of a comparison."""

    run: str
    dataset: str
    version: int
    method: str
    student: str
    figures: list[Figure]
    not_measured: dict[str, str]
    """Why a figure is missing."""


class RunComparison(BaseModel):
    """Runs side by side."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    runs: list[Side]
    paired: list[Paired]
    """The first student with each other one, by set and mode; a run whose answers are not on this machine has none."""


class RunOut(Given):
    id: str
    dataset: str
    version: int
    method: str
    student: str
    config: dict[str, Any]
    evaluation: list[str]
    launch: Launch | None
    files: dict[str, Any] | None
    """The uploaded files it learns from, where it was ordered on such."""
    state: str
    progress: dict[str, Any] | None
    path: str
    reason: str
    detail: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class QuantizeIn(Asked):
    bits: Literal[4, 8] = 8
    """Of a weight."""
    group_size: PositiveInt | None = None
    """Weights that share a scale; it must divide the width of every layer. None: a row at 8 bits, 128 at 4."""


class QuantizeOut(Given):
    run: str
    bits: int
    group_size: int | None
    state: str
    path: str
    """Folder of the smaller student in the data folder, once it is there."""
    reason: str
    detail: str
    report: dict[str, Any] | None
    """What it weighs and what it lost, on the prompts that the run was measured with."""
    created_at: datetime
    finished_at: datetime | None
