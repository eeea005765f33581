"""One process under bubblewrap: how it is started, and how it is ended together with all that it started."""

import contextlib
import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, cast

from filters.sandbox import seccomp

PACKAGE = "/retort"
"""Where the sandbox keeps the few files of ours that run inside."""
_INSIDE = Path(__file__).parent / "inside"
_ROOT = _INSIDE.parents[2]
_TMP_BYTES = 32 << 20
_SHM_BYTES = 8 << 20
_DEVICES = ("null", "zero", "full", "random", "urandom")
_LIBRARIES = ("bin", "sbin", "lib", "lib32", "lib64")
_GRACE_S = 0.05
"""For a process that is ending by itself, so that its own exit code is known."""
_PR_SET_CHILD_SUBREAPER = 36
_END_S = 5.0
"""Killing takes milliseconds; a kernel that takes longer is in trouble that waiting does not mend."""


class SandboxUnavailable(RuntimeError):
    """Nothing may be executed here; the message says what is missing or what failed."""


def bubblewrap() -> str:
    """Return the path of bwrap, or raise `SandboxUnavailable`."""
    path = shutil.which("bwrap")
    if path is None:
        raise SandboxUnavailable("no bwrap on PATH; Debian and Ubuntu have it: apt install bubblewrap")
    if not seccomp.supported():
        raise SandboxUnavailable("the filter of system calls is written for x86_64 and aarch64 only")
    return path


def interpreters() -> Iterator[tuple[str, str]]:
    """Yield (executable, prefix) of Pythons that may run inside, ours first.

    Ours cannot be used where the sandbox's user may not reach it, as under /root: the self-test finds out.
    """
    base = os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)
    yield base, os.path.realpath(sys.base_prefix)
    for path in ("/usr/bin/python3", "/usr/local/bin/python3"):
        if os.path.realpath(path) != base and os.access(path, os.X_OK):
            yield path, "/usr"


class Cell:
    """A module of `inside` at work in a sandbox of its own, with its task on stdin.

    `links` are open descriptors that it inherits under the same numbers. Raises `SandboxUnavailable` if it cannot be
    started at all.
    """

    def __init__(
        self,
        module: str,
        task: object,
        *,
        user: int | None,
        python: tuple[str, str],
        uses: Iterable[str] = (),
        links: tuple[int, ...] = (),
    ):
        _adopt_orphans()
        self._info, told = os.pipe()
        with contextlib.ExitStack() as stack:
            stack.callback(os.close, told)
            passed = {
                f"{PACKAGE}/{path.relative_to(_ROOT)}": stack.enter_context(path.open("rb")).fileno()
                for path in (_INSIDE / f"{name}.py" for name in (module, "limits", *uses))
            }
            rules = os.memfd_create("rules")
            stack.callback(os.close, rules)
            os.write(rules, seccomp.program())
            os.lseek(rules, 0, os.SEEK_SET)
            command = [
                *_command(python, passed, rules, told),
                *(python[0], "-S", "-s", "-B", "-c", _start(module), *map(str, links)),
            ]
            try:
                # An empty environment: bwrap stays on as process 1 inside, and what it was started with can be read.
                self.process = subprocess.Popen(
                    command,
                    env={},
                    cwd="/",
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    pass_fds=(*passed.values(), rules, told, *links),
                    start_new_session=True,
                    user=user,
                    group=user,
                    extra_groups=None if user is None else [],
                )
            except OSError as error:
                os.close(self._info)
                raise SandboxUnavailable(f"bwrap cannot be started: {error}") from error
        self.stdout, self.stderr = cast(IO[bytes], self.process.stdout), cast(IO[bytes], self.process.stderr)
        self.task = json.dumps(task).encode()
        self.stdin = cast(IO[bytes], self.process.stdin)

    def end(self) -> int:
        """Kill everything in the sandbox, wait until the kernel has let go of it, and return the exit code.

        Killing the namespace's process 1 takes all others along, and it is gone only after them.
        """
        for stream in (self.stdin, self.stdout, self.stderr):
            with contextlib.suppress(OSError):
                stream.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(_GRACE_S)
        first = self._first()
        if self.process.poll() is None and first is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(first, signal.SIGKILL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(_END_S)
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        os.close(self._info)
        code = self.process.wait()
        if first is not None:
            _reap(first)
        return code

    def _first(self) -> int | None:
        """Return the process that is 1 inside, as it is numbered outside; None while there is none."""
        os.set_blocking(self._info, False)
        try:
            return json.loads(os.read(self._info, 4096))["child-pid"]
        except (OSError, ValueError, KeyError):
            return None


def _adopt_orphans() -> None:
    """Become the parent of processes whose own parent ends, so that `_reap` can wait for them.

    For as long as this process lives: one that starts daemons had better leave verifying to the pool's children.
    """
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _reap(pid: int) -> None:
    """End and bury process 1 of a namespace, where bwrap has not: it ends as soon as the program itself has."""
    with contextlib.suppress(ChildProcessError):
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _start(module: str) -> str:
    name = f"{__package__}.inside.{module}"
    return f"import sys; sys.path[0] = {PACKAGE!r}; from {name} import main; main()"


def _command(python: tuple[str, str], passed: dict[str, int], rules: int, told: int) -> list[str]:
    _, prefix = python
    command = [bubblewrap(), "--unshare-all", "--unshare-user", "--die-with-parent", "--new-session"]
    command += ["--cap-drop", "ALL", "--hostname", "sandbox", "--ro-bind", "/usr", "/usr"]
    for name in _LIBRARIES:
        path = Path("/", name)
        if path.is_symlink():
            command += ["--symlink", str(path.readlink()), str(path)]
        elif path.is_dir():
            command += ["--ro-bind", str(path), str(path)]
    if not Path(prefix).is_relative_to("/usr"):
        command += ["--ro-bind", prefix, prefix]
    for name in _DEVICES:
        command += ["--dev-bind", f"/dev/{name}", f"/dev/{name}"]
    command += ["--size", str(_SHM_BYTES), "--tmpfs", "/dev/shm"]  # noqa: S108 - the sandbox's own
    command += ["--size", str(_TMP_BYTES), "--tmpfs", "/tmp", "--chdir", "/tmp"]  # noqa: S108 - likewise
    for path, descriptor in passed.items():
        command += ["--perms", "0444", "--ro-bind-data", str(descriptor), path]
    # No /proc: nothing in it is needed, and much of it tells tales. The root is a tmpfs, and would be a place to fill.
    command += ["--remount-ro", "/", "--seccomp", str(rules), "--info-fd", str(told)]
    environment = {
        "HOME": "/tmp",  # noqa: S108 - the sandbox's own
        "TMPDIR": "/tmp",  # noqa: S108 - likewise
        "LANG": "C.UTF-8",
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "PYTHONHASHSEED": "0",
        "MALLOC_ARENA_MAX": "2",  # an arena for each thread would use up the address space that is allowed
        "LD_LIBRARY_PATH": f"{prefix}/lib",  # /etc/ld.so.cache is not inside
    }
    for name, value in environment.items():
        command += ["--setenv", name, value]
    return command
