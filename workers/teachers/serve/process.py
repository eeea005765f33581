"""The engine as a child process: started under a guard, watched until it answers, ended with all that it started."""

import http.client
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from workers.teachers.serve import guard
from workers.teachers.serve.model import ServeError

POLL_S = 0.25
HEALTH_TIMEOUT_S = 2.0
FIRST_ANSWER_TIMEOUT_S = 300.0
"""The first request compiles and warms up whatever was left to it."""
STOP_S = 3 * guard.GRACE_S
"""For the guard to end everything: its two graces and a reserve."""


class Server:
    """An engine that listens on `host:port` once it is ready. Its output goes to the file `log`."""

    def __init__(
        self, command: list[str], env: Mapping[str, str], host: str, port: int, log: Path | None = None
    ) -> None:
        self._command = command
        self._env = env
        # Where it listens everywhere, it is asked here.
        self._address = ("127.0.0.1" if host in {"0.0.0.0", "::", ""} else host, port)  # noqa: S104 - compared, not bound
        self.log = log or _new_log()
        self._log_is_ours = log is None
        self._read_to = 0
        self._guard: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the engine in a session of its own, so that Ctrl-C in a terminal reaches us alone."""
        with self.log.open("wb") as log:
            self._guard = subprocess.Popen(
                [sys.executable, "-I", guard.__file__, *self._command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(self._env),
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process id of the guard, which is also the id of the session that everything runs in."""
        if self._guard is None:
            raise RuntimeError("not started")
        return self._guard.pid

    def wait_ready(self, timeout_s: float, on_output: Callable[[str], None]) -> None:
        """Return once /health says so; `on_output` gets the engine's new output as it comes. Raises ServeError."""
        deadline = time.monotonic() + timeout_s
        while not self._healthy():
            on_output(self._new_output())
            if self._guard is None or self._guard.poll() is not None:
                raise ServeError("the engine ended before it was ready")
            if time.monotonic() > deadline:
                raise ServeError(f"the engine was not ready after {timeout_s:g} s")
            time.sleep(POLL_S)

    def first_answer(self, model: str, api_key: str | None) -> None:
        """Ask for one token: some faults show only then, and later requests find the engine warm. Raises ServeError."""
        body = {"model": model, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 1}
        headers = {"Content-Type": "application/json"}
        if api_key:
            headers["Authorization"] = f"Bearer {api_key}"
        connection = http.client.HTTPConnection(*self._address, timeout=FIRST_ANSWER_TIMEOUT_S)
        try:
            connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
            reply = connection.getresponse()
            text = reply.read(2000).decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            raise ServeError(f"the engine was ready but broke at its first request: {error}") from error
        finally:
            connection.close()
        if reply.status != 200:
            raise ServeError(f"the engine was ready but answered its first request with {reply.status}: {text}")

    def wait(self) -> int:
        """Return the engine's exit status once it has ended by itself."""
        if self._guard is None:
            raise RuntimeError("not started")
        return self._guard.wait()

    def stop(self) -> set[int]:
        """End the engine and everything it started; return the process ids that are left, none if all is well."""
        if self._guard is None:
            return set()
        if self._guard.stdin:
            self._guard.stdin.close()
        try:
            self._guard.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._guard.kill()
            self._guard.wait()
        # The guard has done so already, unless it was killed itself.
        return guard.end(self._guard.pid, self._guard.pid) if guard.descendants(self._guard.pid) else set()

    def forget(self) -> None:
        """Delete the log unless somebody asked for it by name: after a good end nobody reads it."""
        if self._log_is_ours:
            self.log.unlink(missing_ok=True)

    def tail(self, lines: int = 20) -> str:
        """Return the last lines of the log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def _healthy(self) -> bool:
        connection = http.client.HTTPConnection(*self._address, timeout=HEALTH_TIMEOUT_S)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _new_output(self) -> str:
        with self.log.open("rb") as log:
            log.seek(self._read_to)
            new = log.read()
        self._read_to += len(new)
        return new.decode(errors="replace")


def _new_log() -> Path:
    with tempfile.NamedTemporaryFile(prefix="retort-teacher-", suffix=".log", delete=False) as file:
        return Path(file.name)
