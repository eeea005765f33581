"""The tables. Times are Unix seconds (UTC) as floats, so that both databases compare and the OpenAI door rounds them."""

from service.models.batches import Batch, BatchState, Failure, Prompt
from service.models.datasets import Dataset, DatasetVersion, VersionState
from service.models.events import Event
from service.models.jobs import Job, JobKind, JobState
from service.models.runs import Run, RunState
from service.models.teachers import Teacher
from service.models.traces import Review, Trace, VerdictRow

__all__ = [
    "Batch",
    "BatchState",
    "Dataset",
    "DatasetVersion",
    "Event",
    "Failure",
    "Job",
    "JobKind",
    "JobState",
    "Prompt",
    "Review",
    "Run",
    "RunState",
    "Teacher",
    "Trace",
    "VerdictRow",
    "VersionState",
]
