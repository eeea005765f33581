"""Renderings: a version as a student would read it. Each is a job; what came of it lies in its folder."""

from typing import Any

from sqlmodel import Session, col, select

from service.errors import Conflict, NotFound
from service.models import DatasetVersion, Job, JobKind, JobState
from service.models.columns import new_id
from service.store import events, queue

ENDED = (JobState.DONE, JobState.FAILED, JobState.CANCELLED)
SPLITS = ("train", "eval")
"""What a student learns from or measures its loss on; the test split is only ever asked."""


def order(session: Session, version: DatasetVersion, asked: dict[str, Any]) -> Job:
    """Queue the rendering of a sealed version; `asked` are student, method and its knobs."""
    rows = sum(int(found["rows"]) for split, found in (version.splits or {}).items() if split in SPLITS)
    payload = {"dataset": version.dataset, "version": version.number} | asked
    # Ahead of what only trains or curates: somebody waits for it.
    job = Job(kind=JobKind.RENDER, subject=new_id("render"), payload=payload, total=rows, priority=1)
    session.add(job)
    session.flush()
    events.emit(session, "render.queued", job.subject)
    return job


def get(session: Session, render_id: str) -> Job:
    """Return the job of one rendering; NotFound where there is none."""
    wanted = select(Job).where(Job.subject == render_id, Job.kind == JobKind.RENDER)
    job = session.exec(wanted.order_by(col(Job.id).desc())).first()
    if job is None:
        raise NotFound(f"no rendering has the id '{render_id}'")
    return job


def unfinished(session: Session, dataset: str, number: int) -> list[str]:
    """Return the renderings of a version that wait or are at work."""
    wanted = select(Job).where(Job.kind == JobKind.RENDER, col(Job.state).not_in(ENDED))
    of = {"dataset": dataset, "version": number}
    return [job.subject for job in session.exec(wanted) if of.items() <= job.payload.items()]


def cancel(session: Session, render_id: str) -> Job:
    """Stop a rendering; its worker notices at the next renewal."""
    job = get(session, render_id)
    if job.state in ENDED:
        raise Conflict(f"rendering {render_id} has already ended as {job.state}")
    queue.cancel(session, render_id)
    events.emit(session, "render.cancelled", render_id)
    session.refresh(job)
    return job


def finish(session: Session, job: Job) -> None:
    """End the rendering; its folder holds `render.json`."""
    queue.finish(session, job)
    events.emit(session, "render.done", job.subject)


def fail(session: Session, job: Job, reason: str, detail: str) -> None:
    """End the rendering with the reason why there is none."""
    queue.fail(session, job, reason=reason, detail=detail)
    events.emit(session, "render.failed", job.subject, reason=reason, detail=detail)
