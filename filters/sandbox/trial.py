"""Does a program pass its tests? Program and tests run in a sandbox each, joined by a line for values.

The program shares no process with its tests: it cannot read them, end them, patch them or speak for them. What is left
to it is to guess, and to answer with objects of its own whose methods the tests themselves rely on (`in`, `len`,
`with`). Some tests need one process (they derive from the program's classes, say), so a program that fails apart is
tried once more together with its tests, where it could cheat: passing there does not pass it, but neither is it said to
fail.
"""

import json
import math
import secrets
import signal
import socket
import time
from dataclasses import dataclass
from typing import Any

from filters.sandbox.cell import Cell, SandboxUnavailable
from filters.sandbox.ready import ready
from filters.sandbox.slots import NoSlot, slot
from filters.sandbox.watch import Stop, Watched, watch

TIMEOUT_S = 4.0
"""For a whole trial. Below the 5 s after which the pool gives up on a verifier, so that the verdict says why."""
_SECOND_LOOK_S = 0.3
"""With less time left there is none."""
_LINK = ("link", "remote", "values")


@dataclass(frozen=True, slots=True)
class Finding:
    """How a trial went. `reason` is empty where the program passed, `said` the last lines of what went wrong."""

    reason: str
    said: str = ""


def trial(program: str, tests: str, *, entry_point: str | None = None, timeout_s: float = TIMEOUT_S) -> Finding:
    """Run the tests against the program.

    Reasons: `program_failed` (it raised before the tests began), `tests_failed`, `time_limit`, `memory_limit`,
    `output_limit`; and where nothing is known: `module_missing`, `tests_disagree`, `tests_crashed`.
    Raises `SandboxUnavailable` where nothing may be executed.
    """
    python = ready()
    deadline = time.monotonic() + timeout_s
    task = {"tests": tests, "entry_point": entry_point, "cpu_s": math.ceil(timeout_s) + 1}
    try:
        seen = _apart(program, task, python, deadline)
        finding = _judge(seen, timeout_s)
        # The program is out of the question as soon as it has ended by itself or claimed to equal a test's data.
        if finding.reason != "tests_failed" or _heard(seen)["gone"] or _heard(seen)["refused"]:
            return finding
        if deadline - time.monotonic() < _SECOND_LOOK_S or not _together(program, task, python, deadline):
            return finding
    except NoSlot as error:
        raise SandboxUnavailable(str(error)) from error
    said = "it passes only where it shares a process with its tests, and could forge that"
    return Finding("tests_disagree", f"{said}; apart: {finding.said}")


def _apart(program: str, task: dict[str, Any], python: tuple[str, str], deadline: float) -> Watched:
    ours, theirs = socket.socketpair()
    with ours, theirs, slot() as one, slot() as other:
        cells: list[Cell] = []
        try:
            cells.append(Cell("tests", task, user=one, python=python, uses=_LINK, links=(ours.fileno(),)))
            work = {"program": program, "cpu_s": task["cpu_s"]}
            cells.append(Cell("program", work, user=other, python=python, uses=_LINK, links=(theirs.fileno(),)))
        except BaseException:
            for cell in cells:
                cell.end()
            raise
        # Each end now belongs to one cell alone, so that the other sees it close.
        ours.close()
        theirs.close()
        return watch(cells, deadline)


def _together(program: str, task: dict[str, Any], python: tuple[str, str], deadline: float) -> bool:
    nonce = secrets.token_hex(16)
    with slot() as user:
        work = {**task, "program": program, "nonce": nonce}
        cell = Cell("together", work, user=user, python=python, uses=("program", "tests", *_LINK))
        seen = watch([cell], deadline)
    heard = _heard(seen)
    return heard.get("nonce") == nonce and heard["passed"]


def _heard(seen: Watched) -> dict[str, Any]:
    try:
        return json.loads(seen.stdout[0])
    except ValueError:
        return {}


def _judge(seen: Watched, timeout_s: float) -> Finding:
    """Say what was found; the tests' process alone is believed, and of the program's only how it ended."""
    if seen.stop is Stop.TIME_LIMIT:
        return Finding("time_limit", f"no result within {timeout_s:g} s")
    if seen.stop is Stop.OUTPUT_LIMIT:
        return Finding("output_limit", "it prints without end")
    heard = _heard(seen)
    said = heard.get("said", "")
    ended = f"its process ended with code {seen.codes[1]}"
    if not heard:
        last = seen.stderr[0].decode(errors="replace").strip()[-300:]
        if last.startswith("bwrap:"):  # our own process: no program writes here
            raise SandboxUnavailable(last)
        return Finding("tests_crashed", f"the tests' process ended with code {seen.codes[0]}: {last}")
    if heard["passed"]:
        return Finding("")
    if heard["at"] == "start":
        raise SandboxUnavailable(
            f"the program's process did not start: {seen.stderr[1].decode(errors='replace')[-300:]}"
        )
    if heard["gone"]:
        if seen.codes[1] == 128 + signal.SIGXCPU:
            return Finding("time_limit", ended)
        return Finding("tests_failed" if heard["at"] == "tests" else "program_failed", f"{said}\n{ended}".strip())
    if heard["error"] == "Doubt":
        return Finding("tests_disagree", said)
    if heard["error"] == "MemoryError":
        return Finding("memory_limit", said)
    if heard["error"] == "ModuleNotFoundError":
        return Finding("module_missing", said)
    if heard["refused"]:
        said = f"{said}\n{heard['refused']}; only plain data is compared with plain data"
    return Finding("tests_failed" if heard["at"] == "tests" else "program_failed", said)
