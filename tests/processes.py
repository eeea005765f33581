"""Helpers for tests and benches that start processes."""

import os
import signal
import socket
import time
from contextlib import suppress
from pathlib import Path


def free_ports(count: int) -> int:
    """Return a port of 127.0.0.1 that is free together with the `count - 1` after it."""
    while True:
        with socket.socket() as first:
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
        if all(_free(port + step) for step in range(count)):
            return port


def _free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def kill_tree(pid: int) -> None:
    """`kill -9` a process and all that it started; return when none of them runs any more. Linux only (`/proc`).

    The first is stopped before, so that it starts no other child while those that it has are found. It stays a zombie
    until whoever started it waits for it.
    """
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
    doomed = [pid, *descendants(pid)]
    for each in doomed:
        with suppress(ProcessLookupError):
            os.kill(each, signal.SIGKILL)
    while any(map(_runs, doomed)):
        time.sleep(0.01)


def descendants(pid: int) -> list[int]:
    """Return the children of a process and theirs. Linux only (`/proc`)."""
    children: list[int] = []
    tasks: list[Path] = []
    with suppress(FileNotFoundError, ProcessLookupError):  # it may end at any moment
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
    for task in tasks:  # of every thread: each lists what it has started
        with suppress(FileNotFoundError, ProcessLookupError):
            children += map(int, (task / "children").read_text().split())
    return [found for child in children for found in (child, *descendants(child))]


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"
