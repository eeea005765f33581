"""`/v1/fine_tuning/jobs`: a run, in OpenAI's words.

`training_file` is an uploaded file, which then becomes a dataset version, or a sealed one: `dataset:NAME@N`.
"""

import time
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request

from service import training
from service.access import CallerDep
from service.api.deps import DatabaseDep
from service.api.shapes.imports import UNKNOWN
from service.cancelling import cancel_run
from service.errors import NotFound
from service.models import Event, Run, RunState
from service.openai import metrics
from service.openai.errors import Refused
from service.openai.fine_tuning_shapes import (
    METHODS,
    CheckpointMetrics,
    CheckpointObject,
    EventObject,
    Hyperparameters,
    JobError,
    JobIn,
    JobObject,
    Method,
)
from service.openai.shapes import Page
from service.store import events, runs
from service.store.database import Database
from service.training_files import TrainingFiles

router = APIRouter(prefix="/fine_tuning/jobs", tags=["OpenAI: fine-tuning"])
Limit = Annotated[int, Query(ge=1, le=100)]

DATASET = "dataset:"
OWN = {
    "n_epochs": "epochs",
    "batch_size": "batch_size",
    "learning_rate_multiplier": "learning_rate_multiplier",
    "beta": "beta",
}
"""OpenAI's hyperparameters by the trainer's own names."""
LEVELS = {"run.failed": "error", "run.cancelled": "warn", "run.paused": "warn"}
TOLD = {
    "run.validating": "The files are being checked and made a dataset version.",
    "run.queued": "The job waits for a worker that trains.",
    "run.started": "Training has begun.",
    "run.succeeded": "The student is trained and measured.",
    "run.paused": "The job is paused; its last checkpoint stays.",
    "run.cancelled": "The job is cancelled.",
}


@router.post("", response_model=JobObject)
def create(
    body: JobIn, database: DatabaseDep, idempotency_key: Annotated[str | None, Header(max_length=255)] = None
) -> JobObject:
    """Train a student; the same `Idempotency-Key` gives back the job that it made."""
    values = {
        "method": _method(body),
        "student": body.model,
        "config": _config(body),
        "evaluation": body.retort.evaluation,
        "idempotency_key": idempotency_key,
        "meta": body.metadata,
        "suffix": body.suffix or "",
        "files": _files(body),
        "launch": body.retort.launch and body.retort.launch.model_dump(),
    }
    with database.write() as session:
        try:
            run, _ = training.order(session, body.training_file.removeprefix(DATASET), values)
        except NotFound as missing:
            raise Refused(missing.detail, param="training_file", code="invalid_value") from missing
    return _object(run)


@router.get("", response_model=Page[JobObject])
def list_jobs(request: Request, database: DatabaseDep, after: str | None = None, limit: Limit = 20) -> Page[JobObject]:
    """List jobs, the newest first; `metadata[KEY]=VALUE` leaves out those without it."""
    wanted = {
        name.removeprefix("metadata[").removesuffix("]"): value
        for name, value in request.query_params.items()
        if name.startswith("metadata[")
    }
    with database.read() as session:
        edge = runs.get(session, after) if after else None
        found = runs.page(session, after=edge, limit=limit + 1, meta=wanted)
        return Page.of([_object(run) for run in found], limit)


@router.get("/{job_id}", response_model=JobObject)
def retrieve(job_id: str, database: DatabaseDep) -> JobObject:
    """Return one job."""
    with database.read() as session:
        return _object(runs.get(session, job_id))


@router.post("/{job_id}/cancel", response_model=JobObject)
def cancel(job_id: str, database: DatabaseDep, caller: CallerDep) -> JobObject:
    """Stop a training for good."""
    with database.write() as session:
        return _object(cancel_run(session, caller, job_id))


@router.post("/{job_id}/pause", response_model=JobObject)
def pause(job_id: str, database: DatabaseDep) -> JobObject:
    """Stop a training with a checkpoint. Its `status` is `queued` again, OpenAI having no word for it."""
    return _moved(database, job_id, runs.pause)


@router.post("/{job_id}/resume", response_model=JobObject)
def resume(job_id: str, database: DatabaseDep) -> JobObject:
    """Go on from the last checkpoint."""
    return _moved(database, job_id, runs.resume)


@router.get("/{job_id}/events", response_model=Page[EventObject])
def list_events(job_id: str, database: DatabaseDep, after: str | None = None, limit: Limit = 20) -> Page[EventObject]:
    """List what happened, the newest first."""
    found = _events(database, job_id, after, limit)
    return Page.of([_told(event) for event in found], limit)


@router.get("/{job_id}/checkpoints", response_model=Page[CheckpointObject])
def list_checkpoints(
    job_id: str, database: DatabaseDep, after: str | None = None, limit: Limit = 10
) -> Page[CheckpointObject]:
    """List the checkpoints that were saved, the newest first. They are for going on; a finished run removes them."""
    found = _events(database, job_id, after, limit, saved=True)
    return Page.of([_checkpoint(event) for event in found], limit)


def _moved(database: Database, job_id: str, move: Any) -> JobObject:
    with database.write() as session:
        return _object(move(session, job_id))


def _events(database: Database, job_id: str, after: str | None, limit: int, *, saved: bool = False) -> list[Event]:
    """Return a job's events below the one named `after`, one more than asked for."""
    number = (after or "").rpartition("-")[2]
    if after and not number.isdecimal():
        raise Refused(f"there is no '{after}' in this list", param="after", code="invalid_value")
    with database.read() as session:
        runs.get(session, job_id)
        below = int(number) if number else None
        return list(events.newest(session, job_id, below=below, limit=limit + 1, step="saved" if saved else None))


def _files(body: JobIn) -> dict[str, Any] | None:
    """Return the uploaded files that are to be learnt from, None where a version is."""
    wish = body.retort
    if not body.training_file.startswith(DATASET):
        licence = wish.license or (body.metadata or {}).get("license", "")
        asked = TrainingFiles(
            training=body.training_file,
            validation=body.validation_file,
            license="" if licence.strip().lower() == UNKNOWN else licence.strip(),
            teacher=wish.teacher,
            intended_use=wish.intended_use,
        )
        return asked.model_dump()
    if body.validation_file is not None:
        message = "a version brings its own eval split; name batches to measure the student on in retort.evaluation"
        raise Refused(message, param="validation_file", code="unsupported_parameter")
    if stated := [name for name in ("license", "teacher", "intended_use") if name in wish.model_fields_set]:
        message = f"'{stated[0]}' is said of an uploaded file; a version has its own"
        raise Refused(message, param=f"retort.{stated[0]}", code="unsupported_parameter")
    return None


def _method(body: JobIn) -> str:
    meant = METHODS[body.method.type] if body.method else None
    if meant and body.retort.method and body.retort.method != meant:
        message = (
            f"method.type '{body.method.type if body.method else ''}' is '{meant}' here, retort.method says otherwise"
        )
        raise Refused(message, param="method", code="invalid_value")
    return body.retort.method or meant or "sft"


def _config(body: JobIn) -> dict[str, Any]:
    """Return the trainer's knobs: Retort's own over OpenAI's."""
    asked = _hyperparameters(body).model_dump(exclude_none=True)
    given = {OWN[name]: value for name, value in asked.items() if value != "auto"}
    if body.method and body.method.type == "dpo" and not body.training_file.startswith(DATASET):
        given["worse"] = ["person"]  # whoever wrote the pairs says which answer is the worse one
    if "batch_size" in given:
        given["gradient_accumulation"] = 1  # rows of one step, as OpenAI counts them
    if body.seed is not None:
        given["seed"] = body.seed
    return given | body.retort.config


def _hyperparameters(body: JobIn) -> Hyperparameters:
    found = body.method.hyperparameters if body.method else None
    return found or body.hyperparameters or Hyperparameters()


def _object(run: Run) -> JobObject:
    config, done = run.config, run.state == RunState.SUCCEEDED
    hyper = Hyperparameters(
        n_epochs=config.get("epochs", "auto"),
        batch_size=config.get("batch_size", "auto"),
        learning_rate_multiplier=config.get("learning_rate_multiplier", "auto"),
        beta=config.get("beta", "auto") if run.method == "preference" else None,
    )
    kind = {own: kind for kind, own in METHODS.items()}.get(run.method)
    eta_s = (run.progress or {}).get("eta_s") if run.state == RunState.RUNNING else None
    files = run.files or {}
    return JobObject(
        id=run.id,
        created_at=int(run.created_at),
        error=_error(run) if run.state == RunState.FAILED else None,
        fine_tuned_model=run.id if done else None,
        finished_at=int(run.finished_at) if run.finished_at else None,
        hyperparameters=hyper,
        model=run.student,
        seed=config.get("seed", 0),
        status="queued" if run.state == RunState.PAUSED else run.state.value,
        trained_tokens=((run.report or {}).get("trained") or {}).get("tokens") if done else None,
        training_file=files["training"] if files else f"{DATASET}{run.dataset}@{run.version}",
        validation_file=files.get("validation"),
        result_files=[metrics.file_of(run)] if done else [],
        estimated_finish=int(time.time() + eta_s) if eta_s else None,
        metadata=run.meta,
        method=Method.model_validate({"type": kind, kind: {"hyperparameters": hyper}}) if kind else None,
        retort={
            "method": run.method,
            "config": config,
            "state": run.state.value,
            "suffix": run.suffix,
            "dataset": f"{run.dataset}@{run.version}" if run.version else None,
        },
    )


def _error(run: Run) -> JobError:
    about_files = bool(run.files) and not run.started_at
    return JobError(code=run.reason, message=run.detail or run.reason, param="training_file" if about_files else None)


def _told(event: Event) -> EventObject:
    data = event.data
    step = data.get("event") == "step"
    message = TOLD.get(event.kind, "")
    if event.kind == "run.failed":
        message = f"{data.get('reason')}: {data.get('detail')}"
    elif step:
        message = f"Step {data.get('step')}/{data.get('total')}: training loss={data.get('loss')}"
    return EventObject(
        id=f"ftevent-{event.id}",
        created_at=int(event.created_at),
        level=LEVELS.get(event.kind, "info"),
        message=message or str(data.get("event", event.kind)),
        data=data,
        type="metrics" if step else "message",
    )


def _checkpoint(event: Event) -> CheckpointObject:
    step = int(event.data["step"])
    return CheckpointObject(
        id=f"ftckpt-{event.id}",
        created_at=int(event.created_at),
        fine_tuned_model_checkpoint=f"{event.subject}:step-{step}",
        fine_tuning_job_id=event.subject,
        metrics=CheckpointMetrics(step=step),
        step_number=step,
    )
