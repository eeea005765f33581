"""`retort status`, `wait` and `cancel`: how work stands, whatever kind it is."""

import time
from collections.abc import Callable
from typing import Annotated, Any

import typer

from service.cli import following, looks
from service.cli.batches import Follow
from service.cli.following import ENDED, ENDED_BADLY
from service.cli.terminal import FAILED, Json, Refused, Terminal, begin

LISTED = 10
Subject = Annotated[str, typer.Argument(help="A batch, NAME@N, or a run.")]


def status(
    ctx: typer.Context,
    subject: Annotated[
        str | None, typer.Argument(help="A batch, NAME@N, or a run; left out, everything recent.")
    ] = None,
    follow: Follow = False,
    json: Json = False,
) -> None:
    """Show how work stands; with --follow until it has ended. Exit code 1 when it ended failed or cancelled."""
    terminal = begin(ctx, json)
    if subject is None:
        if follow:
            raise Refused("--follow needs a batch, NAME@N, or a run to follow")
        overview(terminal)
        return
    fetch, go_along, view = _kind(terminal, subject)
    _finish(terminal, go_along(quiet=False) if follow else fetch(), view)


def wait(
    ctx: typer.Context,
    subject: Subject,
    timeout_s: Annotated[
        float | None, typer.Option(help="Give up after so many seconds, with exit code 1.", min=0)
    ] = None,
    json: Json = False,
) -> None:
    """Wait until work has ended, silently, and show how. Exit code 1 when it ended failed or cancelled."""
    terminal = begin(ctx, json)
    fetch, go_along, view = _kind(terminal, subject)
    if timeout_s is None:
        _finish(terminal, go_along(quiet=True), view)
        return
    deadline = time.monotonic() + timeout_s
    while (state := fetch()).state not in ENDED:
        if time.monotonic() > deadline:
            raise Refused(f"{subject} is still {state.state} after {timeout_s:g} s; it goes on", FAILED)
        time.sleep(0.5)
    _finish(terminal, state, view)


def cancel(
    ctx: typer.Context, subject: Annotated[str, typer.Argument(help="A batch or a run.")], json: Json = False
) -> None:
    """Stop a batch or a run. What is stored stays."""
    terminal = begin(ctx, json)
    if "@" in subject:
        raise Refused("a curation cannot be cancelled: it ends by itself, and its version can be left unused")
    if subject.startswith("run_"):
        run = terminal.client.cancel_run(subject)
        terminal.show(run, looks.view_run(run))
    else:
        batch = terminal.client.cancel_batch(subject)
        terminal.show(batch, looks.view_batch(batch))


def overview(terminal: Terminal) -> None:
    """Show the newest batches, all datasets and the newest runs."""
    client = terminal.client
    batches = client.batches(limit=LISTED)
    versions = [version for dataset in client.datasets() for version in dataset.versions]
    runs = client.runs(limit=LISTED).data

    def view(terminal: Terminal) -> None:
        if not batches.data:
            terminal.say("nothing submitted yet: `retort submit prompts.jsonl --teacher NAME`")
            return
        terminal.table(looks.BATCH_COLUMNS, map(looks.batch_row, batches.data))
        if versions:
            terminal.say("")
            terminal.table(looks.VERSION_COLUMNS, map(looks.version_row, versions))
        if runs:
            terminal.say("")
            terminal.table(looks.RUN_COLUMNS, map(looks.run_row, runs))

    terminal.show({"batches": batches.data, "versions": versions, "runs": runs}, view)


def split_version(label: str) -> tuple[str, int]:
    """Return name and number of `NAME@N`."""
    name, at, number = label.partition("@")
    if not (name and at and number.isdecimal()):
        raise Refused(
            f"'{label}' names no dataset version; expected NAME@N, such as arithmetic@1 (`retort status` lists them)"
        )
    return name, int(number)


def _kind(terminal: Terminal, subject: str) -> tuple[Callable[[], Any], Callable[..., Any], Callable[[Any], Any]]:
    """Return how to fetch, follow and show what `subject` names."""
    client = terminal.client
    if subject.startswith("run_"):
        return (
            lambda: client.run(subject),
            lambda quiet: following.follow_run(terminal, subject, quiet=quiet),
            looks.view_run,
        )
    if subject.startswith("batch_"):
        return (
            lambda: client.batch(subject),
            lambda quiet: following.follow_batch(terminal, subject, quiet=quiet),
            looks.view_batch,
        )
    if subject.startswith("render_"):
        from service.cli.render import follow_render, view_render

        return (
            lambda: client.rendering(subject),
            lambda quiet: follow_render(terminal, subject, quiet=quiet),
            view_render,
        )
    name, number = split_version(subject)
    return (
        lambda: client.version(name, number),
        lambda quiet: following.follow_version(terminal, name, number, quiet=quiet),
        looks.view_version,
    )


def _finish(terminal: Terminal, state: Any, view: Callable[[Any], Callable[[Terminal], None]]) -> None:
    terminal.show(state, view(state))
    if state.state in ENDED_BADLY:
        raise typer.Exit(FAILED)
