"""Quantizations: a finished student made smaller. Each is a job; what came of it lies in the run's folder."""

from collections.abc import Sequence

from sqlmodel import Session, col, select

from service.errors import Conflict
from service.models import Job, JobKind, JobState, Run, RunState
from service.store import events, queue

AT_WORK = (JobState.QUEUED, JobState.RUNNING)


def order(session: Session, run: Run, bits: int, group_size: int | None) -> tuple[Job, bool]:
    """Queue a quantization of a run's student, or return the one that is at it; and whether it is new."""
    if run.state != RunState.SUCCEEDED:
        raise Conflict(f"run {run.id} is {run.state}; a student is quantized once its training has succeeded")
    payload = {"run": run.id, "bits": bits, "group_size": group_size}
    at_work = next((job for job in of(session, run.id) if job.state in AT_WORK and job.payload["bits"] == bits), None)
    if at_work is not None:
        if at_work.payload != payload:
            raise Conflict(f"the student of {run.id} is being quantized to {bits} bits with another group size")
        return at_work, False
    job = Job(kind=JobKind.QUANTIZE, subject=_subject(run.id), payload=payload)
    session.add(job)
    session.flush()
    events.emit(session, "run.quantizing", run.id, bits=bits)
    return job, True


def of(session: Session, run_id: str) -> Sequence[Job]:
    """Return the quantizations of a run's student, the newest first."""
    mine = select(Job).where(Job.subject == _subject(run_id), Job.kind == JobKind.QUANTIZE)
    return session.exec(mine.order_by(col(Job.id).desc())).all()


def finish(session: Session, job: Job) -> None:
    """End it; the smaller student lies beside the run's own."""
    queue.finish(session, job)
    events.emit(session, "run.quantized", job.payload["run"], bits=job.payload["bits"])


def fail(session: Session, job: Job, reason: str, detail: str) -> None:
    """End it with the reason why there is no smaller student."""
    queue.fail(session, job, reason=reason, detail=detail)
    events.emit(
        session, "run.quantize_failed", job.payload["run"], bits=job.payload["bits"], reason=reason, detail=detail
    )


def _subject(run_id: str) -> str:
    return f"{run_id}/quantize"
