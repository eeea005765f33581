"""The guard leaves no process behind, whoever dies first. A shell stands in for vLLM; the real one has its own test."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from workers.teachers.serve import guard

TREE = """
trap '' TERM
sleep 1000 &
setsid sh -c "trap '' TERM; sleep 1000 & echo escaped; wait" &
(sleep 1000 & exit) # an orphan
echo started
{end}
"""
"""A child, a grandchild in a session of its own that ignores SIGTERM, and one whose parent has gone."""


def start(end: str = "wait") -> subprocess.Popen[str]:
    """Start the tree under a guard and return the guard once all of it is there."""
    command = [sys.executable, "-I", guard.__file__, "sh", "-c", TREE.format(end=end)]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, start_new_session=True)
    assert process.stdout is not None
    assert {process.stdout.readline().strip() for _ in range(2)} == {"started", "escaped"}
    return process


def close(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    process.stdout.close()


def alive(pids: set[int]) -> set[int]:
    return pids & {each.pid for each in guard.processes()}


@pytest.fixture
def tree():
    process = start()
    pids = guard.descendants(process.pid)
    assert len(pids) >= 5
    yield process, pids
    close(process)
    for pid in alive(pids):
        os.kill(pid, signal.SIGKILL)
    process.wait(30)


def test_when_its_input_ends_it_ends_everything(tree):
    process, pids = tree
    process.stdin.close()
    assert process.wait(3 * guard.GRACE_S) == 0
    assert alive(pids) == set()


def test_when_it_is_told_to_stop_it_ends_everything(tree):
    process, pids = tree
    process.terminate()
    assert process.wait(3 * guard.GRACE_S) == 0
    assert alive(pids) == set()


def test_when_the_command_ends_its_children_end_too_and_its_status_is_kept():
    process = start(end="exit 3")
    pids = guard.descendants(process.pid)
    assert process.wait(3 * guard.GRACE_S) == 3
    assert alive(pids) == set()
    close(process)


def test_when_the_guard_is_killed_its_session_can_still_be_ended():
    process = start()
    pids = guard.descendants(process.pid)
    process.kill()
    process.wait(10)
    assert alive(pids)
    guard.end(process.pid, process.pid, grace_s=0.5)
    # What had left the session is out of reach then: that takes the guard and an engine that does such things.
    escaped = alive(pids)
    assert all(os.getsid(pid) != process.pid for pid in escaped)
    for pid in escaped:
        os.kill(pid, signal.SIGKILL)
    close(process)


PARENT = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-I", sys.argv[1], "sh", "-c", "sleep 1000 & echo $PPID; wait"],
                 stdin=subprocess.PIPE, start_new_session=True)
time.sleep(1000)
"""


def test_when_the_guards_parent_is_killed_nothing_is_left(tmp_path: Path):
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    with subprocess.Popen([sys.executable, script, guard.__file__], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        leader = int(parent.stdout.readline())
        pids = guard.descendants(leader) | {leader}
        assert len(pids) == 3
        parent.kill()
    deadline = time.monotonic() + 3 * guard.GRACE_S
    while alive(pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert alive(pids) == set()
