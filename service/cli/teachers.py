"""`retort teacher …`: register, list and probe teachers; start one on this machine."""

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.terminal import FAILED, Json, Terminal, begin
from service.cli.tokenizers import tokenizer_sha256
from service.cli.words import clean

if TYPE_CHECKING:
    from service.api.shapes.teachers import Probe, TeacherOut

Name = Annotated[str, typer.Argument(help="What batches call it.")]


def add(
    ctx: typer.Context,
    name: Name,
    base_url: Annotated[str, typer.Argument(help="Its OpenAI-compatible address: http://host:8000/v1.")],
    model: Annotated[str, typer.Argument(help="What its server calls the model.")],
    license: Annotated[str, typer.Option(help="The model's licence; unknown blocks training on its answers.")] = "",
    revision: Annotated[str | None, typer.Option(help="Revision of the weights.")] = None,
    tokenizer: Annotated[
        str | None, typer.Option(help="Folder or hub name of its tokenizer, whose hash goes with soft labels.")
    ] = None,
    api_key_env: Annotated[str | None, typer.Option(help="Variable of the workers that holds its key.")] = None,
    replica: Annotated[
        list[str] | None, typer.Option(help="Address of a further server of the model; may be given more than once.")
    ] = None,
    max_concurrency: Annotated[int | None, typer.Option(help="Most requests at a time at each server.", min=1)] = None,
    gpus: Annotated[float | None, typer.Option(help="GPUs of each server, to account GPU-hours.", min=0)] = None,
    gpu_hour_price: Annotated[float | None, typer.Option(help="What one of them costs for an hour.", min=0)] = None,
    json: Json = False,
) -> None:
    """Register a teacher, or change the one of this name, and see whether it answers."""
    terminal = begin(ctx, json)
    client = terminal.client
    sha256 = tokenizer_sha256(tokenizer, revision) if tokenizer else None
    before = next((each.tokenizer_sha256 for each in client.teachers() if each.name == name), "")
    options = {"revision": revision, "api_key_env": api_key_env, "max_concurrency": max_concurrency}
    options |= {"replicas": replica or None, "gpus": gpus, "gpu_hour_price": gpu_hour_price}
    teacher = client.add_teacher(name, base_url, model, license, tokenizer_sha256=sha256, **options)
    probe = client.probe(name)

    def view(terminal: Terminal) -> None:
        terminal.say(f"{teacher.name} is {teacher.model} at {teacher.base_url}, licence {teacher.license or 'unknown'}")
        if not teacher.license:
            terminal.say(
                "  its answers cannot be trained on before its licence is stated with --license", style="yellow"
            )
        _view_tokenizer(terminal, before, teacher.tokenizer_sha256)
        _view_probe(terminal, probe)

    terminal.show({**teacher.model_dump(mode="json"), "probe": probe.model_dump(mode="json")}, view)


def list_teachers(ctx: typer.Context, json: Json = False) -> None:
    """List the teachers."""
    terminal = begin(ctx, json)
    teachers = terminal.client.teachers()

    def view(terminal: Terminal) -> None:
        if not teachers:
            terminal.say("no teacher yet: `retort teacher add NAME URL MODEL --license LICENCE`")
            return
        terminal.table(("teacher", "model", "licence", "~last probe", "~address"), map(_row, teachers))

    terminal.show(teachers, view)


def probe(ctx: typer.Context, name: Name, json: Json = False) -> None:
    """Ask a teacher whether it is there and serves its model; exit code 1 when not."""
    terminal = begin(ctx, json)
    found = terminal.client.probe(name)
    terminal.show(found, lambda terminal: _view_probe(terminal, found))
    if not found.ok:
        raise typer.Exit(FAILED)


def serve(ctx: typer.Context) -> None:
    """Serve a model with vLLM here: runs `python -m workers.teachers.serve`, whose options follow (--help)."""
    _become("workers.teachers.serve", ctx.args)


def fake(ctx: typer.Context) -> None:
    """Serve a fake teacher with faults to order: runs `python -m workers.teachers.fake`, whose options follow."""
    _become("workers.teachers.fake", ctx.args)


def _become(module: str, args: list[str]) -> None:
    os.execv(sys.executable, [sys.executable, "-m", module, *args])  # noqa: S606


def _row(teacher: "TeacherOut") -> tuple[str, ...]:
    health = teacher.health or {}
    state = "never" if not health else "ok" if health.get("ok") else str(health.get("reason", "down"))
    return (
        teacher.name,
        teacher.model,
        teacher.license or "unknown",
        state,
        " ".join([teacher.base_url, *teacher.replicas]),
    )


def _view_tokenizer(terminal: Terminal, before: str, now: str) -> None:
    if before and before != now:
        terminal.say(
            f"  its tokenizer was {before[:12]}… and is {f'{now[:12]}…' if now else 'unknown'} now: "
            "soft labels that are stored keep the hash that they came with",
            style="yellow",
        )
    elif now:
        terminal.say(f"  tokenizer {now[:12]}…")


def _view_probe(terminal: Terminal, found: "Probe") -> None:
    if found.ok:
        length = f", {found.max_model_len:,} tokens of context" if found.max_model_len else ""
        terminal.say(f"{found.name} answers in {found.latency_ms} ms{length}", style="green")
    else:
        terminal.say(clean(f"{found.name} is not ready: {found.detail or found.reason}"), style="red")
        if found.reason == "connection_refused":
            terminal.say("  start it with `retort teacher serve`; work that waits for it goes on by itself")
