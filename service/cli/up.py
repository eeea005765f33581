"""`retort up` starts the API and its workers together; `retort worker` starts one more worker."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from service.cli.terminal import FAILED, Json, begin


def up(
    ctx: typer.Context,
    host: Annotated[str, typer.Option(help="Address to listen on; beyond this machine RETORT_API_KEY must be set.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.", min=0, max=65535)] = 8080,
    data_dir: Annotated[
        Path, typer.Option(help="Folder for database, exports and runs.", envvar="RETORT_DATA_DIR", file_okay=False)
    ] = Path("data"),
    workers: Annotated[int, typer.Option(help="Worker processes beside the API; 0 for the API alone.", min=0)] = 1,
    json: Json = False,
) -> None:
    """Start the API, its pages and workers; Ctrl-C stops them all.

    Nothing is lost however they end: answers are stored as they come, and the next start goes on with what is left.
    """
    terminal = begin(ctx, json)
    from service.cli.launch import launch

    if not launch(terminal, host, port, data_dir, workers):
        raise typer.Exit(FAILED)


def worker(ctx: typer.Context) -> None:
    """Start one more worker, here or on another machine: runs `python -m workers`, whose options follow (--help)."""
    os.execv(sys.executable, [sys.executable, "-m", "workers", *ctx.args])  # noqa: S606
