"""`retort train`: make a student."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.batches import Follow
from service.cli.files import read_object
from service.cli.following import ENDED_BADLY, follow_run
from service.cli.looks import view_run
from service.cli.terminal import FAILED, Json, Refused, Terminal, begin
from service.methods import TrainingMethod, set_knob

if TYPE_CHECKING:
    from service.api.shapes.runs import RunOut


def train(
    ctx: typer.Context,
    dataset: Annotated[str, typer.Argument(help="Sealed version, NAME@N.")],
    student: Annotated[str, typer.Option(help="The base: a folder where the worker runs, or a hub name.")],
    method: Annotated[TrainingMethod, typer.Option(help="How it is trained.")] = "sft",
    set_knob: Annotated[list[str] | None, typer.Option(help="KEY=VALUE, such as lora.rank=8; may be repeated.")] = None,
    config: Annotated[Path | None, typer.Option(help="The method's knobs: a .json or .toml file.")] = None,
    evaluate: Annotated[list[str] | None, typer.Option(help="Batch whose prompts measure it; may be repeated.")] = None,
    retain: Annotated[
        list[str] | None, typer.Option(help="Batch of what the base could do: what will be forgotten? May be repeated.")
    ] = None,
    processes: Annotated[int, typer.Option(help="Processes to train in, usually one for each GPU.", min=1)] = 1,
    launch: Annotated[list[str] | None, typer.Option(help="KEY=VALUE for accelerate, such as use_fsdp=true.")] = None,
    key: Annotated[str | None, typer.Option(help="Idempotency key: the same key orders only one run.")] = None,
    follow: Follow = False,
    json: Json = False,
) -> None:
    """Train a student on a sealed version and measure it against its base and its teacher."""
    terminal = begin(ctx, json)
    knobs = read_object(config) if config else {}
    for text in set_knob or []:
        change(knobs, text)
    for batch in retain or []:
        found = terminal.client.batch(batch)
        retained = knobs.setdefault("evaluation", {}).setdefault("retained", [])
        retained.append(str(found.meta.get("set") or found.id))  # what the evaluation calls the batch's prompts
    batches = [*(evaluate or []), *(retain or [])]
    measured = list(dict.fromkeys(batches))
    options: dict[str, Any] = {}
    for text in launch or []:
        change(options, text, "--launch")
    run = terminal.client.train(
        dataset,
        student,
        method=method,
        config=knobs,
        evaluation=measured,
        launch={"processes": processes, "options": options} if processes > 1 or options else None,
        idempotency_key=key,
    )
    if follow:
        run = follow_run(terminal, run.id)
    terminal.show(run, lambda terminal: _view(terminal, run))
    if run.state in ENDED_BADLY:
        raise typer.Exit(FAILED)


Ordered = Annotated[str, typer.Argument(help="A run, such as run_1a2b.")]


def pause(ctx: typer.Context, run: Ordered, json: Json = False) -> None:
    """Stop a training with a checkpoint, until `retort resume`."""
    terminal = begin(ctx, json)
    found = terminal.client.pause_run(run)
    terminal.show(found, view_run(found))


def resume(ctx: typer.Context, run: Ordered, json: Json = False) -> None:
    """Go on with a paused training from its last checkpoint."""
    terminal = begin(ctx, json)
    found = terminal.client.resume_run(run)
    terminal.show(found, view_run(found))


def _view(terminal: Terminal, run: "RunOut") -> None:
    if run.state != "succeeded":
        view_run(run)(terminal)
        return
    from service.cli.report import view_reports

    terminal.say(f"{run.id} succeeded", style="bold")
    view_reports(terminal, [(run, terminal.client.report(run.id))])


def change(knobs: dict[str, Any], text: str, option: str = "--set-knob") -> None:
    """Set one knob as KEY=VALUE says. Raises Refused."""
    try:
        set_knob(knobs, text)
    except ValueError as error:
        raise Refused(f"{option} {error}") from error
