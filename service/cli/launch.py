"""Starting a Retort: what has to be true first, the socket, the lock, and the processes."""

import asyncio
import ipaddress
import json
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from service.cli.supervisor import Child, Supervisor
from service.cli.terminal import Refused, Terminal
from service.settings import Settings

LOCK = ".retort.lock"
ANY_HOST = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  looked for, not bound by default
API_STOP_S = 5
"""Event streams that are still open then are cut; their readers take them up again by themselves."""


def launch(terminal: Terminal, host: str, port: int, data_dir: Path, workers: int) -> bool:
    """Run API and workers until asked to stop; False when the API would not start."""
    env = os.environ | {"RETORT_DATA_DIR": str(data_dir.resolve())}
    if terminal.api_key:
        env["RETORT_API_KEY"] = terminal.api_key
    settings = settings_for(data_dir)
    refuse_open_door(host, terminal.api_key)
    with lock(settings), listen(host, port) as listener:
        return asyncio.run(_run(terminal, settings, listener, env, workers))


async def _run(
    terminal: Terminal, settings: Settings, listener: socket.socket, env: dict[str, str], workers: int
) -> bool:
    fd = listener.fileno()
    serve = [sys.executable, "-m", "service.cli.serve", str(fd), str(API_STOP_S)]
    work = [sys.executable, "-m", "workers"]
    children = [Child("api", serve, env, API_STOP_S, pass_fds=(fd,), first=True)]
    children += [Child(f"worker {number}", work, env, settings.drain_s) for number in range(1, workers + 1)]
    address = listener.getsockname()

    async def ready() -> None:
        await _answers(address[0], address[1])

    say = _say_json if settings.log_format == "json" else _say
    return await Supervisor(children, say).run(ready, lambda: _announce(terminal, settings, address, workers))


def _announce(terminal: Terminal, settings: Settings, address: tuple[str, int], workers: int) -> None:
    host = ANY_HOST.get(address[0], address[0])
    url = f"http://[{host}]:{address[1]}" if ":" in host else f"http://{host}:{address[1]}"
    place = "in the database of RETORT_DATABASE_URL" if settings.database_url else str(settings.data_dir.resolve())
    facts = {"url": url, "pid": os.getpid(), "data_dir": str(settings.data_dir.resolve()), "workers": workers}

    def view(terminal: Terminal) -> None:
        terminal.say(
            f"Retort is up with {workers} worker{'' if workers == 1 else 's'}; Ctrl-C stops it.",
            f"  pages     {url}/",
            f"  API docs  {url}/docs",
            f"  OpenAI    {url}/v1",
            f"  data      {place}",
        )

    terminal.show(facts, view)


def _say(child: str, line: str) -> None:
    _log(f"{child} | {line}" if child else line)


def _say_json(child: str, line: str) -> None:
    """Pass on what a child told as JSON; what it, or we, told otherwise becomes a line like it."""
    told = {"time": datetime.now(UTC).isoformat(), "level": "INFO", "logger": child or "retort up", "message": line}
    _log(line if line.startswith("{") else json.dumps(told, ensure_ascii=False))


def _log(line: str) -> None:
    # A log that nobody reads any more must not stop the work.
    with suppress(OSError):
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


async def _answers(host: str, port: int) -> None:
    """Return once `/healthz` answers. The socket listens already: the request waits in it until the API has started."""
    while True:
        with suppress(OSError):
            reader, writer = await asyncio.open_connection(ANY_HOST.get(host, host), port)
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            status = await reader.readline()
            writer.close()
            if b" 200 " in status:
                return
        await asyncio.sleep(0.2)


def settings_for(data_dir: Path) -> Settings:
    """Return the settings of the environment over a data folder; Refused where a variable does not fit."""
    try:
        return Settings(data_dir=data_dir)
    except ValidationError as error:
        wrong = "; ".join(f"RETORT_{str(item['loc'][0]).upper()}: {item['msg']}" for item in error.errors())
        raise Refused(f"the environment does not fit: {wrong}") from error


def refuse_open_door(host: str, api_key: str | None) -> None:
    """Refuse to listen beyond this machine without a key: whoever reaches the port can spend the GPUs."""
    if api_key or all(ipaddress.ip_address(found).is_loopback for found in _addresses(host)):
        return
    raise Refused(
        f"{host} can be reached from other machines, and anybody who does could use your teachers. "
        "Set RETORT_API_KEY to a long random text (for instance from `openssl rand -hex 24`) and start again; "
        "clients then need the same key. Or keep to --host 127.0.0.1."
    )


def _addresses(host: str) -> list[str]:
    try:
        return [str(info[4][0]).partition("%")[0] for info in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]
    except OSError as error:
        raise Refused(f"--host {host}: {error.strerror or error}") from error


@contextmanager
def listen(host: str, port: int) -> Iterator[socket.socket]:
    """Yield a socket that listens; a port in use is told here, before anything has started."""
    family = socket.AF_INET6 if ":" in _addresses(host)[0] else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            raise Refused(
                f"cannot listen on {host}:{port}: {error.strerror}. "
                "Is another Retort running there? Choose another port with --port, or --port 0 for any free one."
            ) from error
        listener.listen(2048)
        yield listener


@contextmanager
def lock(settings: Settings) -> Iterator[None]:
    """Hold the data folder while the block runs: two `up` on one embedded database are one too many.

    With Postgres, several machines may share a folder on purpose, and nothing is locked.
    """
    if settings.database_url:
        yield
        return
    import fcntl

    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        file = (settings.data_dir / LOCK).open("a+")
    except OSError as error:
        raise Refused(f"cannot write in {settings.data_dir}: {error.strerror}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise Refused(
                f"{settings.data_dir} is in use by another `retort up` (process {file.read().strip() or 'unknown'}). "
                "Use that one, stop it first, or give another --data-dir. More workers: `retort worker`."
            ) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
