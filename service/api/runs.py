"""Runs: train a student, follow it, read its report."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Path, Query, Request, Response
from fastapi.responses import FileResponse
from sse_starlette import EventSourceResponse

from service import comparison, training
from service.access import CallerDep
from service.api.deps import DatabaseDep, Limit, SettingsDep
from service.api.events import follow
from service.api.shapes.proposals import Proposal
from service.api.shapes.runs import RunComparison, RunIn, RunOut
from service.cancelling import cancel_run
from service.errors import NotFound
from service.models import Run
from service.proposal import PROMPTS_MAX, prompt_mark, propose
from service.store import batches, datasets, runs

RUNS_MAX = 26
JSONL = "application/jsonl"
router = APIRouter(prefix="/api/runs", tags=["runs"])
Kept = Annotated[
    str, Path(pattern=r"^(gap-[a-z0-9-]+[.](svg|png)|curves[.]svg|report[.](md|html|json)|log[.]txt|events[.]jsonl)$")
]
UNTRUSTED = {"Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"}
"""A run's files hold text that models wrote, and come from our own address: they may run nothing."""


@router.post("", response_model=RunOut, status_code=201)
def create(
    body: RunIn,
    database: DatabaseDep,
    response: Response,
    idempotency_key: Annotated[str | None, Header(max_length=255)] = None,
) -> Run:
    """Train a student on a sealed version; the same Idempotency-Key gives back the run it made (200)."""
    with database.write() as session:
        values = body.model_dump(exclude={"dataset"}) | {"idempotency_key": idempotency_key}
        run, new = training.order(session, body.dataset, values)
    response.status_code = 201 if new else 200
    return run


@router.get("")
def list_runs(database: DatabaseDep, limit: Limit) -> dict[str, list[RunOut]]:
    """List the newest runs."""
    with database.read() as session:
        return {"data": [RunOut.model_validate(run) for run in runs.every(session, limit=limit)]}


@router.get("/compare")
def compare(
    database: DatabaseDep, settings: SettingsDep, run: Annotated[list[str], Query(min_length=2, max_length=RUNS_MAX)]
) -> RunComparison:
    """Return what finished runs measured side by side, and the paired tests of the others against the first.

    Students are compared on the prompts that both were asked, by their answers on this machine.
    """
    with database.read() as session:
        found = [runs.finished(session, run_id) for run_id in dict.fromkeys(run)]
    return comparison.compare(found, settings.data_dir)


@router.get("/{run_id}", response_model=RunOut)
def one(run_id: str, database: DatabaseDep) -> Run:
    """Return one run; `progress` is the trainer's newest event."""
    with database.read() as session:
        return runs.get(session, run_id)


@router.post("/{run_id}/cancel", response_model=RunOut)
def cancel(run_id: str, database: DatabaseDep, caller: CallerDep) -> Run:
    """Stop a training; its checkpoints stay."""
    with database.write() as session:
        return cancel_run(session, caller, run_id)


@router.post("/{run_id}/pause", response_model=RunOut)
def pause(run_id: str, database: DatabaseDep) -> Run:
    """Stop a training with a checkpoint, until it is resumed."""
    with database.write() as session:
        return runs.pause(session, run_id)


@router.post("/{run_id}/resume", response_model=RunOut)
def resume(run_id: str, database: DatabaseDep) -> Run:
    """Go on with a paused training from its last checkpoint."""
    with database.write() as session:
        return runs.resume(session, run_id)


@router.get("/{run_id}/report")
def report(run_id: str, database: DatabaseDep) -> dict[str, Any]:
    """Return what the student learned against its base and its teacher."""
    with database.read() as session:
        return runs.finished(session, run_id).report or {}


@router.get("/{run_id}/proposal", response_model=Proposal, responses={200: {"content": {JSONL: {}}}})
def proposal(
    run_id: str,
    database: DatabaseDep,
    settings: SettingsDep,
    prompts: Annotated[int, Query(ge=1, le=PROMPTS_MAX)] = 1000,
    format: Literal["json", "jsonl"] = "json",
) -> Proposal | Response:
    """Propose which prompts to ask next, from where the student lacks most: by category, or their lines (`jsonl`).

    Drawn from the train split's prompts, the least often answered right first; never one that measures a student.
    """
    with database.read() as session:
        run = runs.finished(session, run_id)
        version = datasets.version(session, run.dataset, run.version)
        measured = {prompt_mark(messages) for messages in batches.conversations(session, run.evaluation)}
    found, lines = propose(run, settings.data_dir / version.path, measured, prompts)
    if format == "json":
        return found
    named = {"Content-Disposition": f'attachment; filename="{run_id}-proposal.jsonl"'}
    return Response(b"".join(lines), media_type=JSONL, headers=named)


@router.get("/{run_id}/files/{name}", response_class=FileResponse)
def file(run_id: str, name: Kept, database: DatabaseDep, settings: SettingsDep) -> FileResponse:
    """Return a file of the run: chart, report or log."""
    with database.read() as session:
        runs.get(session, run_id)
    path = settings.data_dir / "runs" / run_id / name
    if not path.is_file():
        raise NotFound(f"run {run_id} has no {name} yet")
    return FileResponse(path, headers=UNTRUSTED | {"X-Content-Type-Options": "nosniff"})


@router.get("/{run_id}/events", response_class=EventSourceResponse)
def events(run_id: str, request: Request, database: DatabaseDep) -> EventSourceResponse:
    """Follow one run as server-sent events."""
    with database.read() as session:
        runs.get(session, run_id)
    return follow(request, database, run_id)
