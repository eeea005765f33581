"""`retort rebuild`: a sealed version's folder, written anew from its ledger."""

from typing import Annotated

import typer

from service.cli.status import split_version
from service.cli.terminal import FAILED, Json, begin
from service.cli.watch import Look, watch
from service.cli.words import clean

UNFINISHED = {"queued", "running"}


def rebuild(
    ctx: typer.Context, version: Annotated[str, typer.Argument(help="NAME@N, sealed.")], json: Json = False
) -> None:
    """Write a version's folder anew from its ledger, on a worker; other rows than were sealed are refused."""
    terminal = begin(ctx, json)
    place = split_version(version)
    terminal.client.rebuild(*place)
    found = watch(
        terminal,
        version,
        lambda: terminal.client.rebuilding(*place),
        lambda job: job.state not in UNFINISHED,
        lambda job: Look(f"rebuilding {version}", 0, 0, [job.state]),
        quiet=terminal.json,
    )
    done = found.state == "done"
    told = f"{version} is rebuilt: the rows that were sealed" if done else clean(f"{found.reason}: {found.detail}")
    terminal.show(found, lambda terminal: terminal.say(told))
    if not done:
        raise typer.Exit(FAILED)
