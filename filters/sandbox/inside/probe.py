"""The sandbox's test of itself: tries what a hostile program would and prints what it got away with, as JSON."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
import time

from filters.sandbox.inside.limits import MEMORY_BYTES, PROCESSES, restrict

_CLONE_NEWUSER = 0x10000000
_EXPECTED = {
    "HOME",
    "LANG",
    "MALLOC_ARENA_MAX",
    "PATH",
    "PWD",
    "PYTHONHASHSEED",
    "TMPDIR",
    "LC_CTYPE",
    "LD_LIBRARY_PATH",
}


def main() -> None:
    """Print the names of the holes found; an empty list means that the sandbox holds."""
    task = json.load(sys.stdin)
    restrict(cpu_s=5)
    tests = {
        "network": _network,
        "foreign_file": lambda: any(map(os.path.exists, (task["canary"], "/etc/passwd", "/root", "/proc/1"))),
        "writable_system": lambda: os.access("/usr", os.W_OK) or os.access("/", os.W_OK),
        "environment": lambda: bool(set(os.environ) - _EXPECTED),
        "parent_visible": lambda: os.getpid() > 9 or (task["parent"] > 99 and _exists(task["parent"])),
        "root": lambda: os.getuid() == 0 or os.geteuid() == 0,
        "kernel_calls": lambda: ctypes.CDLL(None).unshare(_CLONE_NEWUSER) == 0,
        "memory_limit": lambda: resource.getrlimit(resource.RLIMIT_AS)[1] > MEMORY_BYTES,
        "fork_limit": _forks,
        "old_python": lambda: sys.version_info < (3, 10),
    }
    print(json.dumps([name for name, got_away in tests.items() if got_away()]))  # noqa: T201 - the result


def _network() -> bool:
    import socket

    try:
        with socket.create_connection(("1.1.1.1", 53), timeout=0.2):
            return True
    except PermissionError:
        return False
    except OSError:
        return True  # no route, but the call itself was let through: the filter is not in force


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _forks() -> bool:
    """Tell whether more processes could be started than the limit allows."""
    children: list[int] = []
    try:
        while len(children) < 2 * PROCESSES:
            pid = os.fork()
            if pid == 0:
                time.sleep(30)
                os._exit(0)
            children.append(pid)
    except BlockingIOError:
        return False
    finally:
        for pid in children:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    return True


if __name__ == "__main__":
    main()
