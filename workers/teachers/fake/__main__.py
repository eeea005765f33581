"""`python -m workers.teachers.fake`: a stand-in teacher for trying out, for tests and for benches."""

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import orjson
import typer

from workers.teachers.fake.scenario import NAMED, ScenarioError, load
from workers.teachers.fake.server import Connection
from workers.teachers.fake.teacher import FakeTeacher
from workers.teachers.register import register_command

BACKLOG = 4096
"""Connections that may wait to be accepted: a bench opens a thousand at once."""


def main(
    scenario: Annotated[str, typer.Option(help=f"A JSON file, or one of: {', '.join(NAMED)}.")] = "perfect",
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.", min=0, max=65535)] = 8000,
    model: Annotated[str, typer.Option("--model", "--name", help="The one model it serves.")] = "fake",
    calls: Annotated[Path | None, typer.Option(help="Append one JSON line per call to this file.")] = None,
    latency_ms: Annotated[float | None, typer.Option(help="Overrides the scenario's latency.", min=0)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Say where it listens in JSON.")] = False,
) -> None:
    """Serve /v1/chat/completions like vLLM, at once or as slowly and wrongly as the scenario says.

    GET /fake/calls counts what it was asked; PUT /fake/scenario with a scenario's JSON changes its behaviour.
    """
    try:
        behaviour = load(scenario)
        calls_fd = os.open(calls, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600) if calls else None
    except (ScenarioError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error
    if latency_ms is not None:
        behaviour = behaviour.model_copy(update={"latency_ms": latency_ms})
    teacher = FakeTeacher(behaviour, model, calls_fd)
    try:
        _runner()(_serve(teacher, host, port, scenario, as_json))
    except OSError as error:
        typer.echo(f"error: cannot listen on {host}:{port}: {error.strerror or error}", err=True)
        raise typer.Exit(2) from error


async def _serve(teacher: FakeTeacher, host: str, port: int, scenario: str, as_json: bool) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, stop.set)
    server = await loop.create_server(lambda: Connection(teacher), host, port, backlog=BACKLOG)
    port = server.sockets[0].getsockname()[1]
    url = f"http://{host}:{port}/v1"
    if as_json:
        typer.echo(orjson.dumps({"event": "ready", "name": teacher.model, "base_url": url, "model": teacher.model}))
    else:
        register = register_command(teacher.model, url, teacher.model)
        typer.echo(f"fake teacher {teacher.model} ({scenario}) ready at {url} — register it: {register}")
    sys.stdout.flush()
    await stop.wait()
    # Not wait_closed: clients that keep their connections open would hold it up for ever.
    server.close()


def _runner():
    """Return what runs the server: uvloop where it is installed, which halves the cost of a request."""
    with contextlib.suppress(ImportError):
        import uvloop

        return uvloop.run
    return asyncio.run


if __name__ == "__main__":
    typer.run(main)
