"""`retort render`: what a student would read of a version, before anything is trained."""

import json as jsonlib
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.files import read_object
from service.cli.runs import change
from service.cli.status import split_version
from service.cli.terminal import BAD_INPUT, FAILED, Json, Refused, Terminal, begin
from service.cli.watch import Look, watch
from service.cli.words import clean
from service.methods import TrainingMethod

if TYPE_CHECKING:
    from service.api.shapes.renders import RenderOut

UNFIT = "unfit_rows"
"""The trainer's reason when rows are unfit: here that is the answer."""
ENDED = {"done", "failed", "cancelled"}
TAIL_CHARACTERS = 2000
INSTALL = "this environment has no training libraries (transformers): install them, or render NAME@N in the service"


def render(
    ctx: typer.Context,
    version: Annotated[str, typer.Argument(help="NAME@N, rendered by a worker; or an export folder, rendered here.")],
    student: Annotated[str, typer.Option(help="The base: a folder where it is rendered, or a hub name.")],
    max_length: Annotated[
        int | None, typer.Option(help="Tokens a row may have; else as many as the student has positions.", min=1)
    ] = None,
    method: Annotated[TrainingMethod, typer.Option(help="The training that the knobs are of.")] = "sft",
    set_knob: Annotated[list[str] | None, typer.Option(help="KEY=VALUE, such as completion=answer_only.")] = None,
    config: Annotated[Path | None, typer.Option(help="The training's knobs: a .json or .toml file.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for render.json and rejected.parquet; NAME-render for an export folder.")
    ] = None,
    json: Json = False,
) -> None:
    """Show what a student would read of every row, and which rows a training would refuse.

    Every row goes through the student's own chat template, as in `retort train`: tokens, reasoning kept or lost,
    loss mask, stop token, length. Nothing is trained and nothing is cut. Exit code 1: there are unfit rows; with
    --set-knob on_unfit=drop_to_rejected they are set aside in a training and no reason for it.
    """
    terminal = begin(ctx, json)
    knobs = read_object(config) if config else {}
    for text in set_knob or []:
        change(knobs, text)
    if max_length is not None:
        knobs["max_length"] = max_length
    if Path(version).is_dir():
        told = _render_here(terminal, Path(version), student, method, knobs, out)
    else:
        told = _render_there(terminal, version, student, method, knobs, out)
    from service.cli.rendering import view_rendering

    report = told["report"]
    terminal.show(told, lambda terminal: view_rendering(terminal, report, told["path"]))
    train = report["splits"]["train"]
    drops = knobs.get("on_unfit") == "drop_to_rejected"
    if not train["fit"] or (train["fit"] < train["rows"] and not drops):
        raise typer.Exit(FAILED)


def _render_here(
    terminal: Terminal, folder: Path, student: str, method: TrainingMethod, knobs: dict[str, Any], out: Path | None
) -> dict[str, Any]:
    """Run the trainer's gate on a folder of this machine; no service is needed."""
    from importlib.util import find_spec

    if find_spec("transformers") is None:
        raise Refused(INSTALL)
    out = out or Path(f"{folder.resolve().name}-render")
    with tempfile.TemporaryDirectory() as temporary:
        config = Path(temporary) / "config.json"
        config.write_text(jsonlib.dumps(knobs))
        command = [sys.executable, "-m", "trainer", "render", str(folder), "--student", student, "--out", str(out)]
        command += ["--method", method, "--config", str(config)]
        with (Path(temporary) / "log.txt").open("w+") as log:
            report, failure, code = _followed(terminal, command, log)
            log.seek(0)
            said = log.read()[-TAIL_CHARACTERS:].strip()
    if report is None or failure.get("reason") not in (None, UNFIT):
        raise Refused(failure.get("detail") or said, BAD_INPUT if code == BAD_INPUT else FAILED)
    return {"path": str(out), "report": report}


def _followed(terminal: Terminal, command: list[str], log: Any) -> tuple[dict[str, Any] | None, dict[str, Any], int]:
    """Run the trainer; return its report, why it failed if it did, and its exit code."""
    from service.cli.progress import rows_bar

    report, failure = None, {}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as process, rows_bar(terminal) as bar:
        for line in process.stdout or ():
            event = jsonlib.loads(line)
            if event["event"] == "rendering":
                bar(event["rows"], event["of"])
            elif event["event"] == "rendered":
                report = {name: value for name, value in event.items() if name not in ("event", "at")}
            elif event["event"] == "failed":
                failure = event
    return report, failure, process.returncode


def _render_there(
    terminal: Terminal, version: str, student: str, method: TrainingMethod, knobs: dict[str, Any], out: Path | None
) -> dict[str, Any]:
    """Have a worker render a sealed version, and wait for it."""
    client = terminal.client
    begun = client.render(*split_version(version), student, method=method, config=knobs)
    found = follow_render(terminal, begun.id, quiet=terminal.json)
    if found.report is None:
        raise Refused(found.detail or f"rendering {found.id} was {found.state}", FAILED)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "render.json").write_text(jsonlib.dumps(found.report, indent=2))
        if found.rejected:
            with (out / "rejected.parquet").open("wb") as file:
                client.unfit_rows(found.id, file)
    return {"id": found.id, "path": str(out) if out else _rejected(found), "report": found.report}


def view_render(found: "RenderOut") -> Callable[[Terminal], None]:
    """Return what shows a rendering: its tables, or how far it is and what went wrong."""
    from service.cli.rendering import view_rendering

    def view(terminal: Terminal) -> None:
        if found.report is not None:
            view_rendering(terminal, found.report, _rejected(found))
            return
        said = f": {found.detail}" if found.detail else f", {found.rendered:,} of {found.rows:,} rows"
        terminal.say(clean(f"{found.id} {found.state}{said}"))

    return view


def _rejected(found: "RenderOut") -> str:
    return f"GET /api/renders/{found.id}/rejected" if found.rejected else ""


def follow_render(terminal: Terminal, render_id: str, *, quiet: bool = False) -> "RenderOut":
    """Follow a rendering to its end."""

    def look(found: "RenderOut") -> Look:
        label = f"{found.dataset}@{found.version} as {found.student} reads it"
        said = f"{found.rendered:,} of {found.rows:,} rows" if found.state == "running" else "waiting for a worker"
        return Look(label, found.rendered, found.rows, [said])

    return watch(
        terminal,
        render_id,
        lambda: terminal.client.rendering(render_id),
        lambda found: found.state in ENDED,
        look,
        quiet=quiet,
    )
