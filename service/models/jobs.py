"""Jobs: units of long work with a state and a lease."""

from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, Index
from sqlmodel import Field, SQLModel

from service.models.columns import created, json_field, row_id, text_field, word


class JobKind(StrEnum):
    GENERATE = "generate"
    """A shard: a range of one batch's prompts, for one teacher."""
    CURATE = "curate"
    RENDER = "render"
    """A version shown as a student would read it; the answer lies in a folder."""
    INTAKE = "intake"
    """Uploaded files of a run become the version that it is trained on."""
    TRAIN = "train"
    QUANTIZE = "quantize"
    """A finished student gets weights of fewer bits."""
    RESCORE = "rescore"
    """Soft labels for stored traces: a range of one batch's prompts, for one teacher that scores them."""
    REWRITE = "rewrite"
    """Stored traces rewritten into a new batch: a range of the prompts that those traces answer."""


class JobState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    """Leased: whoever holds the current `attempts` number may write, until `lease_until`."""
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Job(SQLModel, table=True):
    """One unit of long work. `attempts` is the fence: it grows with every claim; a write must carry the current one."""

    __table_args__ = (Index("job_due", "state", "kind", "run_after"), Index("job_subject", "subject", "state"))

    id: int | None = row_id()
    kind: JobKind = word(JobKind)
    subject: str
    """The id of the batch, dataset version or run that it works for."""
    teacher: str = ""
    first_prompt: int = Field(default=0, sa_type=BigInteger)
    last_prompt: int = Field(default=0, sa_type=BigInteger)
    payload: dict[str, Any] = json_field(dict)
    state: JobState = word(JobState, JobState.QUEUED)
    priority: int = 0
    run_after: float = 0.0
    lease_until: float = 0.0
    """By the database's clock, so that workers' clocks do not matter."""
    attempts: int = 0
    worker: str = ""
    total: int = 0
    """Answers (generate) or rows it has to do; 0 while unknown."""
    stored: int = 0
    failed: int = 0
    prompt_tokens: int = Field(default=0, sa_type=BigInteger)
    completion_tokens: int = Field(default=0, sa_type=BigInteger)
    reasoning_tokens: int = Field(default=0, sa_type=BigInteger)
    """Of the completion tokens, those that the teacher counted as reasoning; of n answers at once it counts none."""
    busy_s: float = 0.0
    """Seconds of its teacher's servers that went into it; requests in flight together share the time evenly."""
    reasoning_lost: int = 0
    """Answers whose usage counts reasoning tokens while no reasoning text came."""
    labels: int = 0
    """Stored answers that came with soft labels."""
    label_bytes: int = Field(default=0, sa_type=BigInteger)
    """Of soft labels, as stored."""
    reason: str = ""
    """Why it waits or failed, as a code; empty when all is well."""
    detail: str = text_field()
    created_at: float = created()
    started_at: float | None = None
    finished_at: float | None = None
