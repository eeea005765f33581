"""What came in for a shard and is not in the database yet."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import zstandard

from service.models import Job
from service.store import completions, generation, soft_labels
from service.store.database import storable
from service.teachers.protocol import Completion
from service.teachers.reasoning import Note


@dataclass(slots=True)
class Results:
    """Answers and failures of one shard between two flushes."""

    answers: list[tuple[int, int, Completion, bool | None]] = field(default_factory=list)
    """Prompt id, sample index, completion, and whether it was found right."""
    failures: list[dict[str, Any]] = field(default_factory=list)
    prompt_tokens: int = 0
    """Of the requests: n answers to one request read its prompt once."""
    spared: int = 0
    """Answers that need not be asked for: enough others were right, or the budget is spent."""
    busy_s: float = 0.0
    """Seconds of the teacher's servers that its requests took, those that brought nothing too."""

    def __len__(self) -> int:
        return len(self.answers) + len(self.failures) + self.spared

    def add(
        self,
        prompt_id: int,
        sample_indexes: Sequence[int],
        completions: Sequence[Completion],
        accepted: Sequence[bool | None],
    ) -> None:
        """Take in what one request brought, not more than was asked for."""
        answers = zip(sample_indexes, completions, accepted, strict=False)
        self.answers += [(prompt_id, *answer) for answer in answers]
        self.prompt_tokens += completions[0].prompt_tokens or 0


def store(session: Any, job: Job, results: Results, *, lease_s: float, announce: bool) -> None:
    """Write `results` in one transaction, with an event about the batch's progress if asked. Raises LeaseLost."""
    came = [completion for _, _, completion, _ in results.answers]
    traces = _traces(job, results.answers)
    generation.store(
        session,
        job,
        lease_s=lease_s,
        traces=traces,
        failures=results.failures,
        labels=soft_labels.rows(traces, came),
        prompt_tokens=results.prompt_tokens,
        completion_tokens=sum(completion.completion_tokens or 0 for completion in came),
        reasoning_tokens=sum(completion.reasoning_tokens or 0 for completion in came),
        total=-results.spared,
        busy_s=results.busy_s,
        reasoning_lost=sum(completion.note == Note.LOST_REASONING for completion in came),
    )
    if announce:
        generation.progress(session, job.subject)


def _traces(job: Job, answers: Sequence[tuple[int, int, Completion, bool | None]]) -> list[dict[str, Any]]:
    compress = zstandard.ZstdCompressor(level=3).compress
    return [
        {
            "batch_id": job.subject,
            "prompt_id": prompt_id,
            "teacher": job.teacher,
            "sample_index": sample_index,
            "parent_id": None,
            "accepted": accepted,
            **completions.trace_row(completion, compress),
        }
        for prompt_id, sample_index, completion, accepted in answers
    ]


def failure(job: Job, prompt_id: int, sample_index: int, *, reason: str, detail: str, attempts: int) -> dict[str, Any]:
    """Return the row that says why an answer will not come."""
    return {
        "batch_id": job.subject,
        "prompt_id": prompt_id,
        "teacher": job.teacher,
        "sample_index": sample_index,
        "reason": reason,
        "detail": storable(detail),
        "attempts": attempts,
        "created_at": time.time(),
    }
