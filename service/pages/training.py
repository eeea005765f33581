"""Ordering a training with a form, and stopping one with a button.

What is in the form is in the address: a training can be ordered again with one knob changed, and sent on as a link.
"""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Query, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel, Field

from service import training
from service.access import CallerDep, may
from service.api.deps import DatabaseDep
from service.api.shapes.runs import RunIn
from service.caller import Caller
from service.cancelling import cancel_run
from service.errors import Problem
from service.methods import METHODS, knob_texts, read_knobs
from service.models import Run, VersionState
from service.pages import forms
from service.pages.rendering import HEADERS, page
from service.pages.words import link
from service.scopes import Scope
from service.store import batches, facets, runs
from service.store.database import Database
from service.views import batch_out

router = APIRouter(prefix="/runs", include_in_schema=False)

BATCHES_SHOWN = 12
OFFERED_MAX = 50
"""Of the newest versions and runs, whose datasets and students are offered."""
Line = Annotated[str, Field(max_length=1024)]


class Wish(BaseModel):
    """The form, each field as it was typed."""

    dataset: Line = ""
    student: Line = ""
    method: Line = "sft"
    knobs: str = Field(default="", max_length=20_000)
    """KEY=VALUE, one a line."""
    processes: Line = "1"
    options: str = Field(default="", max_length=20_000)
    """For accelerate, likewise."""
    evaluation: list[Line] = Field(default=[], max_length=100)

    def order(self) -> RunIn:
        """Return what the form asks for. Raises a Problem whose errors name the fields."""
        values: dict[str, Any] = {"dataset": self.dataset.strip(), "student": self.student.strip()}
        values |= {"method": self.method, "evaluation": self.evaluation, "config": _read("knobs", self.knobs)}
        options = _read("options", self.options)
        if options or self.processes.strip() not in ("", "1"):
            values["launch"] = {"processes": self.processes.strip() or 1, "options": options}
        return forms.read(RunIn, values)


def _read(field: str, text: str) -> dict[str, Any]:
    try:
        return read_knobs(text)
    except ValueError as error:
        raise Problem("the order cannot be read", [{"field": field, "message": str(error)}]) from error


def again(run: Run) -> str:
    """Return the address of the form that orders a run anew."""
    launch = run.launch or {}
    texts = {"knobs": "\n".join(knob_texts(run.config)), "options": "\n".join(knob_texts(launch.get("options") or {}))}
    asked = {"dataset": f"{run.dataset}@{run.version}", "student": run.student, "method": run.method}
    return link("/runs/new", **asked, **texts, processes=launch.get("processes"), evaluation=run.evaluation)


@router.get("/new")
def form(wish: Annotated[Wish, Query()], database: DatabaseDep, caller: CallerDep) -> Response:
    """Show the form, filled in as the address says."""
    return _shown(database, caller, wish)


@router.post("/new")
def order(wish: Annotated[Wish, Form()], database: DatabaseDep, caller: CallerDep) -> Response:
    """Order the training and go to its page; or show the form again with what is in the way."""
    try:
        asked = wish.order()
        with database.write() as session:
            run, _ = training.order(session, asked.dataset, asked.model_dump(exclude={"dataset"}))
    except Problem as error:
        return _shown(database, caller, wish, error)
    return RedirectResponse(f"/runs/{run.id}", 303, HEADERS)


@router.post("/{run_id}/{act}")
def change(
    run_id: str, act: Literal["cancel", "pause", "resume"], database: DatabaseDep, caller: CallerDep
) -> Response:
    """Stop a training, for now or for good, or go on with it; then show its page."""
    with database.write() as session:
        match act:
            case "cancel":
                cancel_run(session, caller, run_id)
            case "pause":
                runs.pause(session, run_id)
            case "resume":
                runs.resume(session, run_id)
    return RedirectResponse(f"/runs/{run_id}", 303, HEADERS)


def _shown(database: Database, caller: Caller, wish: Wish, error: Problem | None = None) -> Response:
    with database.read() as session:
        newest = [batch_out(session, batch) for batch in batches.page(session, after=None, limit=BATCHES_SHOWN)]
        versions = facets.versions(session, limit=OFFERED_MAX)
        students = dict.fromkeys(run.student for run in runs.every(session, limit=OFFERED_MAX))
    wrong = [] if error is None else [f"{each['field']}: {each['message']}" for each in error.errors] or [error.detail]
    return page(
        "training.html",
        status=error.status if error else 200,
        wish=wish,
        wrong=wrong,
        methods=METHODS,
        versions=[
            f"{each.dataset}@{each.number}" for each in versions if each.state == VersionState.SEALED and each.kept
        ],
        students=list(students),
        newest=newest,
        others=[name for name in wish.evaluation if name not in {batch.id for batch in newest}],
        submits=may(caller, Scope.SUBMIT),
    )
