"""Runs: all of them, and one with its progress, its losses and what the student learned."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from fastapi import APIRouter, Response

from service.access import CallerDep, may
from service.api.deps import DatabaseDep, SettingsDep
from service.caller import Caller
from service.figures import figures, models, not_measured, shown
from service.models import RunState
from service.pages.advice import advice
from service.pages.charts import Chart, chart
from service.pages.gap import read_report, tables
from service.pages.rendering import page
from service.pages.training import again
from service.pages.words import number, spaced
from service.scopes import Scope
from service.settings import Settings
from service.store import events, runs
from service.store.database import Database

router = APIRouter(prefix="/runs", include_in_schema=False)

SHOWN_MAX = 200
EVENTS_PAGE, EVENTS_MAX = 5000, 20_000
"""A trainer tells of every tenth step or so: 20,000 events are days of training."""
FILES = ("report.html", "report.md", "report.json", "log.txt", "events.jsonl")
ENDED = (RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED)
CURVES = {
    "Loss": {("step", "loss"): "train", ("eval_loss", "loss"): "eval"},
    "Distance to the teacher": {
        ("teacher_distance", "kl"): "KL in nats",
        ("teacher_distance", "agreement"): "agreement",
    },
}
"""Charts of a training, by title: events and their field, and what their line is called."""


@dataclass(frozen=True, slots=True)
class HowFar:
    """The state of a training or an evaluation; `total` is 0 while unknown."""

    text: str
    done: int
    total: int
    eta_s: float | None
    tokens_per_s: float | None


def how_far(event: dict[str, Any] | None) -> HowFar:
    """Read an event of the trainer."""
    told = event or {}
    name, total = str(told.get("event", "")), int(told.get("total") or 0)
    done = int(told.get("done", told.get("step")) or 0)
    if name == "evaluating":
        text = f"asking {told.get('model', 'the student')}, {told.get('mode', '')}: {number(done)} of {number(total)}"
    else:
        text = f"step {number(done)} of {number(total)}" if total else spaced(name)
    return HowFar(text, done, total, told.get("eta_s"), told.get("tokens_per_s"))


@router.get("")
def listed(database: DatabaseDep) -> Response:
    """List the newest runs."""
    with database.read() as session:
        found = runs.every(session, limit=SHOWN_MAX)
    return page("runs.html", runs=found)


@router.get("/{run_id}")
def one(run_id: str, database: DatabaseDep, settings: SettingsDep, caller: CallerDep) -> Response:
    """Show one run."""
    values = _values(database, settings, run_id, caller)
    return page("run.html", **values, again=again(values["run"]))


@router.get("/{run_id}/live")
def live(run_id: str, database: DatabaseDep, settings: SettingsDep, caller: CallerDep) -> Response:
    """Show the part of a run's page that moves."""
    return page("run_live.html", **_values(database, settings, run_id, caller))


def _values(database: Database, settings: Settings, run_id: str, caller: Caller) -> dict[str, Any]:
    with database.read() as session:
        run = runs.get(session, run_id)
    folder = settings.data_dir / "runs" / run.id
    told = _events(database, run_id) or _events_on_disk(folder / "events.jsonl")
    counted = [event for event in [*told, run.progress or {}] if event.get("total")]
    report, found = read_report(run.report), figures(run.report or {})
    return {
        "run": run,
        "ended": run.state in ENDED,
        "far": how_far(counted[-1] if counted else run.progress),
        "curves": [(title, drawn) for title, lines in CURVES.items() if (drawn := _curve(told, lines))],
        "report": report,
        "tables": {name: tables(measured) for name, measured in report.sets.items()} if report else {},
        "figures": found,
        "models": models(found),
        "shown": shown,
        "not_measured": not_measured(run.report or {}),
        "advice": advice,
        "submits": may(caller, Scope.SUBMIT),
        "files": [name for name in FILES if (folder / name).is_file()],
        "charts": sorted(path.name for path in folder.glob("*.svg") if path.is_file()),
    }


def _events(database: Database, run_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    last = 0
    with database.read() as session:
        while len(found) < EVENTS_MAX:
            part = events.after(session, last, subject=run_id, limit=EVENTS_PAGE)
            found.extend(event.data for event in part if event.kind == "run.event")
            if len(part) < EVENTS_PAGE:
                break
            last = part[-1].id or 0
    return found


def _events_on_disk(path: Path) -> list[dict[str, Any]]:
    """Return what the trainer told, of a run so old that the database has dropped its events."""
    try:
        with path.open("rb") as lines:
            return [orjson.loads(line) for _, line in zip(range(EVENTS_MAX), lines, strict=False)]
    except (OSError, ValueError):
        return []


def _curve(told: list[dict[str, Any]], lines: dict[tuple[str, str], str]) -> Chart | None:
    series: dict[str, list[tuple[float, float]]] = {name: [] for name in lines.values()}
    for event in told:
        if event.get("event") == "stage":  # steps begin anew: the lines are those of the newest stage
            series = {name: [] for name in lines.values()}
        for (kind, field), name in lines.items():
            step, value = event.get("step"), event.get(field)
            if event.get("event") == kind and isinstance(step, int | float) and isinstance(value, int | float):
                series[name].append((step, value))
    return chart(series)
