"""Keeping child processes alive: start, prefix what they print, start again with growing pauses, stop in order."""

import asyncio
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

PAUSE_MAX_S = 30.0
"""Longest pause before a child that keeps dying is started again."""
SETTLED_S = 60.0
"""A child that lived this long had not failed to start: its next death begins with the shortest pause."""
KILL_AFTER_S = 2.0
"""Beyond the time a child has to stop by itself."""


@dataclass(frozen=True)
class Child:
    """One process to keep. `stop_s` is how long it may take to stop when asked."""

    name: str
    command: Sequence[str]
    env: dict[str, str]
    stop_s: float
    pass_fds: tuple[int, ...] = ()
    first: bool = False
    """The others wait until it is ready. If it dies before, all ends, since starting it again would fail alike."""


class Supervisor:
    """Runs children until SIGINT or SIGTERM, in one event loop of the main thread: when that dies, so do they."""

    def __init__(self, children: Sequence[Child], say: Callable[[str, str], None]) -> None:
        """Prepare; `say` is given the name of a child and a line of its log, or no name and a line of our own."""
        self._children = children
        self._say = say
        self._running: dict[str, Process] = {}
        self._stopping = asyncio.Event()
        self._ready = False
        self._failed = False

    async def run(self, ready: Callable[[], Awaitable[None]], announce: Callable[[], None]) -> bool:
        """Keep the children until asked to stop; `announce` once `ready` returns. False if the first would not."""
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(signum, self._asked_to_stop)
        async with asyncio.TaskGroup() as group:
            starting = group.create_task(self._start(group, ready, announce))
            await self._stopping.wait()
            starting.cancel()
            await asyncio.gather(*map(self._stop, self._children))
        return not self._failed

    async def _start(
        self, group: asyncio.TaskGroup, ready: Callable[[], Awaitable[None]], announce: Callable[[], None]
    ) -> None:
        for child in self._children:
            if child.first:
                group.create_task(self._keep(child))
        await ready()
        self._ready = True
        for child in self._children:
            if not child.first:
                group.create_task(self._keep(child))
        announce()

    def _asked_to_stop(self) -> None:
        if self._stopping.is_set():
            for process in self._running.values():
                _kill_group(process)
            return
        longest_s = max((child.stop_s for child in self._children), default=0.0)
        self._say("", f"stopping: what is in hand is put down within {longest_s:.0f} s; once more to kill")
        self._stopping.set()

    async def _keep(self, child: Child) -> None:
        deaths = 0
        while not self._stopping.is_set():
            began = time.monotonic()
            how = await self._run_once(child)
            if self._stopping.is_set():
                return
            if child.first and not self._ready:
                self._say("", f"{child.name} {how} before it was ready; stopping")
                self._failed = True
                self._stopping.set()
                return
            deaths = 1 if time.monotonic() - began > SETTLED_S else deaths + 1
            pause_s = pause(deaths)
            self._say("", f"{child.name} {how}; it is started again in {pause_s:.0f} s")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause_s)

    async def _run_once(self, child: Child) -> str:
        try:
            process = await asyncio.create_subprocess_exec(
                *leashed(child.command),
                env=child.env,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=PIPE,
                stderr=STDOUT,
                start_new_session=True,  # Ctrl-C reaches us alone; a group of its own can be killed whole
                pass_fds=child.pass_fds,
            )
        except OSError as error:
            return f"could not be started ({error})"
        self._running[child.name] = process
        if self._stopping.is_set():  # asked while it was being made: nobody else will stop it
            _kill_group(process)
        relay = asyncio.create_task(self._relay(child.name, process))
        code = await process.wait()
        # A grandchild may hold the pipe open; what it prints from now on belongs to nobody.
        await asyncio.wait([relay], timeout=0.5)
        relay.cancel()
        del self._running[child.name]
        return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"

    async def _relay(self, name: str, process: Process) -> None:
        assert process.stdout is not None  # noqa: S101  it was asked for
        rest = b""
        while chunk := await process.stdout.read(2**16):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._say(name, line.decode(errors="replace"))
        if rest:
            self._say(name, rest.decode(errors="replace"))

    async def _stop(self, child: Child) -> None:
        process = self._running.get(child.name)
        if process is None:
            return
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), child.stop_s + KILL_AFTER_S)
        except TimeoutError:
            self._say("", f"{child.name} did not stop in time; killing it")
        _kill_group(process)


def pause(deaths: int) -> float:
    """Return the seconds to wait after the nth death in a row: 1, 2, 4, … 30."""
    return min(PAUSE_MAX_S, 2.0 ** (deaths - 1))


def leashed(command: Sequence[str]) -> list[str]:
    """Return the command that becomes `command`, yet is killed by the kernel when this process dies, even by SIGKILL.

    Linux alone can do this; elsewhere the children of a killed parent have to be stopped by hand.
    """
    return [sys.executable, "-m", "workers.leash", str(os.getpid()), *command]


def _kill_group(process: Process) -> None:
    """Kill a child with what it started; each child leads its own process group."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
