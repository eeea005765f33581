"""Watching cells at work: reading what they write, and stopping them at the end of their time or room."""

import os
import selectors
import time
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum

from filters.sandbox.cell import Cell

OUTPUT_BYTES_MAX = 1 << 20
"""Of one stream of one cell. No honest test prints a megabyte."""


class Stop(StrEnum):
    """Why watching ended."""

    DONE = "done"
    TIME_LIMIT = "time_limit"
    OUTPUT_LIMIT = "output_limit"


@dataclass
class Watched:
    """What the cells wrote, in their order, and how each ended."""

    stop: Stop = Stop.DONE
    stdout: list[bytes] = field(default_factory=list)
    stderr: list[bytes] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)
    """As a shell gives them: 128 + signal where a signal ended it. Meaningless where we stopped it ourselves."""


def watch(cells: list[Cell], deadline: float) -> Watched:
    """Give each cell its task, read until the *first* of them has closed its stdout, then end them all.

    `deadline` is on the clock of `time.monotonic`.
    """
    seen = Watched()
    wrote = {stream: bytearray() for cell in cells for stream in (cell.stdout, cell.stderr)}
    with selectors.DefaultSelector() as selector:
        for cell in cells:
            os.set_blocking(cell.stdin.fileno(), False)
            selector.register(cell.stdin, selectors.EVENT_WRITE, cell)
        for stream, text in wrote.items():
            selector.register(stream, selectors.EVENT_READ, text)
        while cells[0].stdout in selector.get_map() and seen.stop is Stop.DONE:
            for key, _ in selector.select(max(0.0, deadline - time.monotonic())):
                if isinstance(key.data, Cell):
                    if not _give(key.data):
                        selector.unregister(key.fileobj)
                        with suppress(OSError):
                            key.data.stdin.close()
                    continue
                chunk = os.read(key.fd, 1 << 16)
                key.data.extend(chunk)
                if not chunk:
                    selector.unregister(key.fileobj)
                elif len(key.data) > OUTPUT_BYTES_MAX:
                    seen.stop = Stop.OUTPUT_LIMIT
            if seen.stop is Stop.DONE and time.monotonic() >= deadline:
                seen.stop = Stop.TIME_LIMIT
    for cell in cells:
        os.set_blocking(cell.stderr.fileno(), False)
        with suppress(OSError):
            wrote[cell.stderr].extend(os.read(cell.stderr.fileno(), 1 << 16))
        seen.stdout.append(bytes(wrote[cell.stdout]))
        seen.stderr.append(bytes(wrote[cell.stderr]))
        seen.codes.append(cell.end())
    return seen


def _give(cell: Cell) -> bool:
    """Write as much of the task as the pipe takes; False when all is written or nobody reads."""
    try:
        cell.task = cell.task[os.write(cell.stdin.fileno(), cell.task[: 1 << 16]) :]
    except OSError:
        return False
    return bool(cell.task)
