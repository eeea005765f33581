"""`python -m workers.teachers.serve MODEL`: one command from a model folder to a teacher that answers."""

import os
import signal
import socket
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, NoReturn

import orjson
import typer
from rich.console import Console

from workers.teachers.register import register_command
from workers.teachers.serve import command, model
from workers.teachers.serve.command import Engine, Request
from workers.teachers.serve.model import ServeError
from workers.teachers.serve.process import Server
from workers.teachers.serve.progress import Progress


class Stopped(BaseException):
    """A person or a supervisor told us to end; like KeyboardInterrupt no error, and not to be caught as one."""


def main(
    model_: Annotated[str, typer.Argument(metavar="MODEL", help="A model folder, or a hub name like Qwen/Qwen3-4B.")],
    extra: Annotated[list[str] | None, typer.Argument(help="After --: arguments for vLLM, as they are.")] = None,
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.", min=0, max=65535)] = 8000,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    name: Annotated[str | None, typer.Option(help="What the server calls the model; else the folder's name.")] = None,
    max_model_len: Annotated[int | None, typer.Option(help="Tokens of prompt and reply together.", min=1)] = None,
    reasoning_parser: Annotated[str, typer.Option(help="vLLM's parser; `none` leaves the tags in the text.")] = "auto",
    api_key_env: Annotated[
        str | None, typer.Option(help="Environment variable with the key clients must send.")
    ] = None,
    ready_timeout_s: Annotated[float, typer.Option(help="Give up when it is not ready by then.", min=1)] = 1800,
    log: Annotated[Path | None, typer.Option(help="File for the engine's output; else a temporary one.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per event on standard output.")] = False,
) -> None:
    """Serve MODEL over vLLM until Ctrl-C, and leave no process of it behind."""
    console = Console(stderr=True)
    try:
        found = model.find(model_)
        parser = model.reasoning_parser(found) if reasoning_parser == "auto" else reasoning_parser
        parser = None if parser in {None, "none"} else parser
        if api_key_env and not os.environ.get(api_key_env):
            raise ServeError(f"the environment variable {api_key_env} is not set")
        port = free_port(host, port)
        request = Request(found, name or found.name, host, port, max_model_len, parser, api_key_env, tuple(extra or ()))
        engine = command.detect()
        argv, env = command.build(engine, request, os.environ)
        server = Server(argv, env, host, port, log)
    except (ServeError, OSError) as error:
        console.print(f"error: {error}", markup=False, highlight=False)
        raise typer.Exit(2) from error
    _warn(console, engine, request)
    raise typer.Exit(_serve(server, engine, request, console, ready_timeout_s, as_json))


def free_port(host: str, port: int) -> int:
    """Return the port if it can be listened on, a free one for 0. Raises ServeError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As servers do: a connection that ended a minute ago does not hold the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ServeError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
        return probe.getsockname()[1]


def _serve(server: Server, engine: Engine, request: Request, console: Console, timeout_s: float, as_json: bool) -> int:
    """Run the server until it ends or is told to; return the exit status: 0 when told, 1 when it failed."""
    status = 0
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, _stopped)
    try:
        server.start()
        with Progress(console, f"teacher {request.name}") as progress:
            server.wait_ready(timeout_s, progress.output)
            progress.step("answering a first request")
            served = request.model.path if engine is Engine.TRANSFORMERS else request.name
            server.first_answer(served, os.environ.get(request.api_key_env or ""))
        _announce(server, engine, request, served, progress.elapsed_s, as_json)
        raise ServeError(f"the engine ended by itself, status {server.wait()}")
    except Stopped:
        console.print(f"stopping teacher {request.name}", markup=False, highlight=False)
    except ServeError as error:
        status = 1
        console.print(f"{server.tail()}\nerror: {error}; its log: {server.log}", markup=False, highlight=False)
    finally:
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(signum, signal.SIG_IGN)
        if left := server.stop():
            status = 1
            console.print(f"error: still running after SIGKILL: {sorted(left)}", markup=False)
        if status == 0:
            server.forget()
    return status


def _announce(server: Server, engine: Engine, request: Request, served: str, elapsed_s: float, as_json: bool) -> None:
    # Whoever registers a server that listens everywhere needs an address to call it at.
    host = socket.gethostname() if request.host in {"0.0.0.0", "::"} else request.host  # noqa: S104 - compared, not bound
    url = f"http://{f'[{host}]' if ':' in host else host}:{request.port}/v1"
    if as_json:
        event: dict[str, Any] = {"event": "ready", "name": request.name, "base_url": url, "model": served}
        event |= {"engine": engine, "reasoning_parser": request.reasoning_parser, "boot_s": round(elapsed_s, 1)}
        event |= {"session": server.pid, "log": str(server.log)}
        line = orjson.dumps(event).decode()
    else:
        register = register_command(request.name, url, served, request.api_key_env, _tokenizer(request))
        line = f"teacher {request.name} ready at {url} ({elapsed_s:.0f} s) — register it: {register}"
    typer.echo(line)
    sys.stdout.flush()


def _tokenizer(request: Request) -> str | None:
    """Return where the model's tokenizer is, None for a folder without a `tokenizer.json`."""
    model = request.model
    return model.path if not model.local or (Path(model.path) / "tokenizer.json").is_file() else None


def _warn(console: Console, engine: Engine, request: Request) -> None:
    if engine is Engine.TRANSFORMERS:
        console.print(
            "vLLM is not installed: falling back to `transformers serve`, which is far slower, answers one sample per "
            "request and gives no logprobs",
            highlight=False,
        )
    loopback = request.host in {"localhost", "::1"} or request.host.startswith("127.")
    if not loopback and not request.api_key_env:
        console.print(
            f"{request.host} can be reached from other machines and no API key is set: anybody there can use this "
            "teacher (set one with --api-key-env)",
            highlight=False,
        )


def _stopped(signum: int, frame: FrameType | None) -> NoReturn:
    raise Stopped


if __name__ == "__main__":
    typer.run(main)
