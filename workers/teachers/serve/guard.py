"""Runs one command and leaves no process of it behind, however it ends: `python guard.py COMMAND…`, run as a file.

vLLM is a tree: killing its API process leaves the engine and its workers alive, holding memory. So the guard stands
between: it leads a session in which everything the command starts is found again, and when the command exits or the
guard's standard input ends (its parent closed it, or died, even by SIGKILL) it ends all of them and then itself.

Standard library alone: it must start at once and stay small.
"""

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

GRACE_S = 5.0
"""Between SIGTERM and SIGKILL. vLLM stops its engine at once but then waits for its clients, who wait for it."""
POLL_S = 0.2
PR_SET_CHILD_SUBREAPER = 36
PROC = Path("/proc")


class Process(NamedTuple):
    """A line of /proc/PID/stat, as far as it is needed here."""

    pid: int
    state: str
    parent: int
    session: int


def processes() -> list[Process]:
    """Return all processes that are not zombies; none where there is no /proc."""
    found = []
    for folder in PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError):
            # The name comes in parentheses and may hold anything, so read from behind the last one.
            state, parent, _, session, *_ = (folder / "stat").read_text().rpartition(")")[2].split()
            found.append(Process(int(folder.name), state, int(parent), int(session)))
    return [process for process in found if process.state not in "ZX"]


def descendants(leader: int) -> set[int]:
    """Return the live processes of the session that `leader` leads, and all their offspring in whatever session."""
    everything = processes()
    found = {process.pid for process in everything if process.session == leader} | {leader}
    while more := {process.pid for process in everything if process.parent in found} - found:
        found |= more
    return found - {leader}


def end(leader: int, group: int, grace_s: float = GRACE_S) -> set[int]:
    """End the process group and everything else below `leader`; return the pids that survived even SIGKILL."""
    _signal(group, descendants(leader), signal.SIGTERM)
    left = _wait_for_none(leader, grace_s)
    if left:
        _signal(group, left, signal.SIGKILL)
        left = _wait_for_none(leader, GRACE_S)
    return left


def _signal(group: int, pids: set[int], signum: signal.Signals) -> None:
    for send, target in [(os.killpg, group), *((os.kill, pid) for pid in pids)]:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            send(target, signum)


def _wait_for_none(leader: int, seconds: float) -> set[int]:
    deadline = time.monotonic() + seconds
    while True:
        _reap()
        left = descendants(leader)
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(POLL_S / 4)


def _reap() -> None:
    """Collect ended children, the adopted ones too."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def main(command: list[str]) -> int:
    """Run the command until it exits or standard input ends; return its exit status, 0 where it was told to stop."""
    with contextlib.suppress(AttributeError, OSError):
        # Linux: orphans of the tree become our children, so that none of them escapes by outliving its parent.
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    told: list[int] = []
    signal.signal(signal.SIGTERM, lambda signum, _: told.append(signum))
    # A group of its own, which can be signalled without hitting the guard; the session stays the guard's.
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, process_group=0)
    try:
        while child.poll() is None and not told:
            readable, _, _ = select.select([sys.stdin], [], [], POLL_S)
            if readable and not os.read(sys.stdin.fileno(), 1024):
                break
        status = child.poll()
    finally:
        left = end(os.getpid(), child.pid)
    if left:
        sys.stderr.write(f"still alive after SIGKILL: {sorted(left)}\n")
        return 70
    return 0 if status is None else status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
