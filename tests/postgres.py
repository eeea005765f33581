"""A throw-away Postgres server from the system's own binaries."""

import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class PostgresMissing(Exception):
    """No server binaries on this machine; the message says what to install."""


def _binaries() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which("initdb")
    if found:
        return found[-1].parent
    if on_path:
        return Path(on_path).resolve().parent
    raise PostgresMissing("no Postgres server here; install the package 'postgresql' or set RETORT_TEST_POSTGRES_URL")


@contextmanager
def postgres_server(folder: Path) -> Iterator[str]:
    """Run a server on a free port of 127.0.0.1, its data under `folder`; yield its URL. Raises PostgresMissing."""
    binaries, data = _binaries(), folder / "data"
    user = _plain_user()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    data.mkdir()
    if user:
        _open_to(user, data)
    # fsync off: no power is cut in a test, and processes are killed, not machines.
    start = f"-p {port} -k {data} -c listen_addresses=127.0.0.1 -c fsync=off -c max_connections=200"
    run = {"check": True, "capture_output": True, "user": user, "cwd": data}
    subprocess.run([binaries / "initdb", "-D", data, "-U", "retort", "--auth=trust", "-E", "UTF8", "--locale=C"], **run)
    log = data / "server.log"
    subprocess.run([binaries / "pg_ctl", "-D", data, "-l", log, "-o", start, "-w", "start"], **run)
    try:
        yield f"postgresql+psycopg://retort@127.0.0.1:{port}/postgres"
    finally:
        subprocess.run([binaries / "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop"], **run)


def _plain_user() -> str | None:
    """Postgres refuses to run as root: return the user to run it as, None when we are not root."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def _open_to(user: str, data: Path) -> None:
    shutil.chown(data, user)
    data.chmod(0o700)
    for parent in data.parents:
        if parent.owner() != "root" or parent == Path("/"):
            continue
        parent.chmod(parent.stat().st_mode | 0o011)
