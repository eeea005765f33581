"""`retort train`: make a student."""

import json as jsonlib
from pathlib import Path
from typing import Annotated, Any

import typer

from service.cli.batches import Follow
from service.cli.files import read_object
from service.cli.looks import ENDED_BADLY, follow_run, view_run
from service.cli.terminal import FAILED, Json, Refused, begin


def train(
    ctx: typer.Context,
    dataset: Annotated[str, typer.Argument(help="Sealed version, NAME@N.")],
    student: Annotated[str, typer.Option(help="The base: a folder where the worker runs, or a hub name.")],
    method: Annotated[str, typer.Option(help="How it is trained.")] = "sft",
    set_knob: Annotated[list[str] | None, typer.Option(help="KEY=VALUE of the method; may be repeated.")] = None,
    config: Annotated[Path | None, typer.Option(help="The method's knobs: a .json or .toml file.")] = None,
    evaluate: Annotated[list[str] | None, typer.Option(help="Batch whose prompts measure it; may be repeated.")] = None,
    key: Annotated[str | None, typer.Option(help="Idempotency key: the same key orders only one run.")] = None,
    follow: Follow = False,
    json: Json = False,
) -> None:
    """Train a student on a sealed version and measure it against its base and its teacher."""
    terminal = begin(ctx, json)
    knobs = (read_object(config) if config else {}) | dict(map(_knob, set_knob or []))
    run = terminal.client.train(
        dataset, student, method=method, config=knobs, evaluation=evaluate or [], idempotency_key=key
    )
    if follow:
        run = follow_run(terminal, run.id)
    terminal.show(run, view_run(run))
    if run.state in ENDED_BADLY:
        raise typer.Exit(FAILED)


def _knob(text: str) -> tuple[str, Any]:
    """Return name and value of KEY=VALUE: the value as JSON where it is that, as text otherwise."""
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise Refused(f"--set-knob {text!r}: expected KEY=VALUE, such as learning_rate=1e-4")
    try:
        return name, jsonlib.loads(value)
    except ValueError:
        return name, value
