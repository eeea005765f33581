"""The tables. Times are Unix seconds (UTC) as floats: both databases compare them and the OpenAI door rounds them."""

from service.models.audit import Audit
from service.models.batches import Batch, BatchState, Failure, Prompt
from service.models.benchmarks import Benchmark
from service.models.datasets import Dataset, DatasetVersion, VersionDiff, VersionState
from service.models.events import Event
from service.models.figures import Figure, Presence
from service.models.files import File, Purpose
from service.models.jobs import Job, JobKind, JobState
from service.models.keys import ApiKey
from service.models.runs import Run, RunState
from service.models.soft_labels import LabelSource, SoftLabels
from service.models.teachers import Teacher
from service.models.traces import Review, Tag, Trace, VerdictRow

__all__ = [
    "ApiKey",
    "Audit",
    "Batch",
    "BatchState",
    "Benchmark",
    "Dataset",
    "DatasetVersion",
    "Event",
    "Failure",
    "Figure",
    "File",
    "Job",
    "JobKind",
    "JobState",
    "LabelSource",
    "Presence",
    "Prompt",
    "Purpose",
    "Review",
    "Run",
    "RunState",
    "SoftLabels",
    "Tag",
    "Teacher",
    "Trace",
    "VerdictRow",
    "VersionDiff",
    "VersionState",
]
