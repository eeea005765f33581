"""Runs: ordered by the API, moved along by the worker that trains."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import tuple_
from sqlmodel import Session, col, select

from service.errors import Conflict, NotFound
from service.models import DatasetVersion, Job, JobKind, Run, RunState
from service.store import datasets, events, queue

ENDED = (RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED)


def order(session: Session, values: dict[str, Any]) -> tuple[Run, bool]:
    """Queue a training; the same idempotency key gives the run it made before. Returns it and whether it is new."""
    key = values.get("idempotency_key")
    known = session.exec(select(Run).where(Run.idempotency_key == key)).first() if key else None
    if known is not None:
        asked = {name: value for name, value in values.items() if getattr(known, name) != value}
        if asked:
            raise Conflict(f"the idempotency key '{key}' was used for another run: {', '.join(asked)} differ")
        return known, False
    run = Run(**values)
    run.state = RunState.VALIDATING if run.files else RunState.QUEUED
    session.add(run)
    session.flush()
    session.add(Job(kind=JobKind.INTAKE if run.files else JobKind.TRAIN, subject=run.id))
    events.emit(session, "run.validating" if run.files else "run.queued", run.id)
    return run, True


def version_of(session: Session, run: Run) -> DatasetVersion:
    """Return the version that a run learns from."""
    return datasets.version(session, run.dataset, run.version)


def made_of(session: Session, run_id: str, version: DatasetVersion) -> None:
    """Note which version the uploaded files of a run have become."""
    run = get(session, run_id)
    run.dataset, run.version = version.dataset, version.number
    session.add(run)


def ready(session: Session, job: Job) -> None:
    """Queue the training of a run whose files are a sealed version now."""
    queue.finish(session, job)
    session.add(Job(kind=JobKind.TRAIN, subject=job.subject))
    _move(session, job.subject, "run.queued", state=RunState.QUEUED)


def refuse(session: Session, job: Job, reason: str, detail: str) -> None:
    """End a run whose files cannot be learnt from."""
    queue.fail(session, job, reason=reason, detail=detail)
    fail(session, job.subject, reason, detail)


def reading(session: Session, file_id: str) -> str | None:
    """Return the id of a run whose uploaded files are being checked, this one among them."""
    checked = session.exec(select(Run).where(Run.state == RunState.VALIDATING)).all()
    of = ((run.id, run.files or {}) for run in checked)
    return next((run_id for run_id, named in of if file_id in (named.get("training"), named.get("validation"))), None)


def get(session: Session, run_id: str) -> Run:
    """Return one run; NotFound where there is none."""
    run = session.get(Run, run_id)
    if run is None:
        raise NotFound(f"no run has the id '{run_id}'; GET /api/runs lists them")
    return run


def finished(session: Session, run_id: str) -> Run:
    """Return a run that has a report; Conflict for one that has none yet."""
    run = get(session, run_id)
    if run.report is None:
        raise Conflict(f"run {run_id} is {run.state} and has no report{f': {run.detail}' if run.detail else ' yet'}")
    return run


def student(session: Session, run_id: str) -> Run | None:
    """Return the run of that id if a student came out of it."""
    run = session.get(Run, run_id)
    return run if run is not None and run.state == RunState.SUCCEEDED else None


def students(session: Session) -> Sequence[Run]:
    """Return the runs from which students came, the newest first."""
    finished = select(Run).where(Run.state == RunState.SUCCEEDED)
    return session.exec(finished.order_by(col(Run.finished_at).desc(), col(Run.id))).all()


def page(session: Session, *, after: Run | None, limit: int, meta: Mapping[str, str]) -> Sequence[Run]:
    """Return runs below `after`, the newest first: those whose `meta` says what is wanted."""
    query = select(Run).order_by(col(Run.created_at).desc(), col(Run.id).desc()).limit(limit)
    if after is not None:
        query = query.where(tuple_(Run.created_at, Run.id) < (after.created_at, after.id))
    for key, value in meta.items():
        query = query.where(col(Run.meta)[key].as_string() == value)
    return session.exec(query).all()


def every(session: Session, *, limit: int) -> Sequence[Run]:
    """Return the newest runs."""
    return session.exec(select(Run).order_by(col(Run.created_at).desc(), col(Run.id)).limit(limit)).all()


def start(session: Session, run: Run) -> None:
    """Note that a worker has begun, or taken up again, the training."""
    _move(session, run.id, "run.started", state=RunState.RUNNING, started_at=run.started_at or time.time())


def progress(session: Session, run_id: str, event: dict[str, Any]) -> None:
    """Keep the trainer's newest event."""
    _move(session, run_id, "run.event", event, progress=event)


def succeed(session: Session, run_id: str, report: dict[str, Any], path: str) -> None:
    """End the run with its report; `path` is its folder, relative to the data folder."""
    ended = {"state": RunState.SUCCEEDED, "report": report, "path": path, "finished_at": time.time()}
    _move(session, run_id, "run.succeeded", **ended)


def fail(session: Session, run_id: str, reason: str, detail: str) -> None:
    """End the run with the reason why there is no student."""
    why = {"reason": reason, "detail": detail}
    _move(session, run_id, "run.failed", why, state=RunState.FAILED, finished_at=time.time(), **why)


def cancel(session: Session, run_id: str) -> Run:
    """Stop a run; its worker notices at the next renewal and ends the training."""
    run = get(session, run_id)
    if run.state in ENDED:
        raise Conflict(f"run {run_id} has already ended as {run.state}")
    queue.cancel(session, run_id)
    return _move(session, run_id, "run.cancelled", state=RunState.CANCELLED, finished_at=time.time())


def pause(session: Session, run_id: str) -> Run:
    """Stop a run until it is resumed; its worker notices at the next renewal, and the trainer saves a checkpoint."""
    run = get(session, run_id)
    if run.state not in (RunState.QUEUED, RunState.RUNNING):
        raise Conflict(f"run {run_id} is {run.state}; one that is queued or running can be paused")
    queue.cancel(session, run_id)
    return _move(session, run_id, "run.paused", state=RunState.PAUSED)


def resume(session: Session, run_id: str) -> Run:
    """Queue a paused run again; it goes on from its last checkpoint."""
    run = get(session, run_id)
    if run.state != RunState.PAUSED:
        raise Conflict(f"run {run_id} is {run.state}; one that is paused can be resumed")
    session.add(Job(kind=JobKind.TRAIN, subject=run_id))
    return _move(session, run_id, "run.queued", state=RunState.QUEUED)


def _move(session: Session, run_id: str, kind: str, data: dict[str, Any] | None = None, **values: Any) -> Run:
    run = get(session, run_id)
    run.sqlmodel_update(values)
    session.add(run)
    events.emit(session, kind, run_id, **(data or {}))
    return run
