"""`retort rebuild`: a sealed version's folder, written anew from its ledger."""

import time
from typing import Annotated

import typer

from service.cli.status import split_version
from service.cli.terminal import FAILED, Json, begin
from service.cli.words import clean

POLL_S = 0.5
UNFINISHED = {"queued", "running"}


def rebuild(
    ctx: typer.Context, version: Annotated[str, typer.Argument(help="NAME@N, sealed.")], json: Json = False
) -> None:
    """Write a version's folder anew from its ledger, on a worker; other rows than were sealed are refused."""
    terminal = begin(ctx, json)
    place = split_version(version)
    found = terminal.client.rebuild(*place)
    while found.state in UNFINISHED:
        time.sleep(POLL_S)
        found = terminal.client.rebuilding(*place)
    done = found.state == "done"
    told = f"{version} is rebuilt: the rows that were sealed" if done else clean(f"{found.reason}: {found.detail}")
    terminal.show(found, lambda terminal: terminal.say(told))
    if not done:
        raise typer.Exit(FAILED)
