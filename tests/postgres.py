"""A throw-away Postgres server from the system's own binaries."""

import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.processes import free_ports, kill_tree


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


class PostgresServer:
    """A server on a free port of 127.0.0.1, its data under `folder`. Raises PostgresMissing."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._binaries, self._data, self._user = _binaries(), folder / "data", _plain_user()
        self._port = free_ports(1)
        settings = ("listen_addresses=127.0.0.1", "max_connections=200", *options)
        # A postmaster that we started ourselves leaves no zombie behind, whose number would pass for a running server.
        self._command = [self._binaries / "postgres", "-D", self._data, "-p", str(self._port), "-k", self._data]
        self._command += [word for setting in settings for word in ("-c", setting)]
        self._process: subprocess.Popen[bytes] | None = None
        self._data.mkdir()
        if self._user:
            _open_to(self._user, self._data)
        make = [self._binaries / "initdb", "-D", self._data, "-U", "retort", "--auth=trust", "-E", "UTF8"]
        subprocess.run([*make, "--locale=C"], check=True, capture_output=True, user=self._user, cwd=self._data)

    @property
    def url(self) -> str:
        """The SQLAlchemy URL of its maintenance database."""
        return f"postgresql+psycopg://retort@127.0.0.1:{self._port}/postgres"

    @property
    def runs(self) -> bool:
        """Whether its process is there, taking connections or not."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it, or start it again, and return at once; `wait` for it."""
        with (self._data / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=self._user,
                cwd=self._data,
                start_new_session=True,  # a Ctrl-C is not for it
            )

    def wait(self, within_s: float = 60) -> None:
        """Return when it takes connections."""
        ask = [self._binaries / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self._port)]
        end = time.monotonic() + within_s
        while subprocess.run(ask, check=False).returncode:
            if not self.runs or time.monotonic() > end:
                raise RuntimeError(f"Postgres does not start:\n{(self._data / 'server.log').read_text()[-2000:]}")
            time.sleep(0.05)

    def crash(self) -> None:
        """`kill -9` all of it, as a machine short of memory would."""
        if self._process is not None:
            kill_tree(self._process.pid)
            self._process.wait()

    def stop(self) -> None:
        """End it without asking whether anybody minds."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait()


@contextmanager
def postgres_server(folder: Path) -> Iterator[str]:
    """Run a server, its data under `folder`; yield its URL. Raises PostgresMissing."""
    # fsync off: no power is cut in a test, and processes are killed, not machines.
    server = PostgresServer(folder, "fsync=off")
    server.start()
    try:
        server.wait()
        yield server.url
    finally:
        server.stop()


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
