"""Following work until it ends: a live bar for a person, plain lines for a log, JSON lines for a script."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from service.cli.terminal import Terminal, to_json

if TYPE_CHECKING:
    from rich.console import RenderableType

T = TypeVar("T")
FIRST_S, EVERY_S = 0.25, 1.0
"""Pause between looks: short at first, so that small work does not wait for the clock."""
LOG_EVERY_S = 10.0
"""Lines of a log come no closer than this while nothing but the counts moved."""
OUTAGE_S = 120.0
"""A service that is being restarted is waited for this long."""


@dataclass(frozen=True)
class Look:
    """How far some work is: `done` of `total` (0 while unknown), and lines about it, the first one the shortest."""

    title: str
    done: float
    total: float
    lines: list[str]


def watch(
    terminal: Terminal,
    subject: str,
    fetch: Callable[[], T],
    ended: Callable[[T], bool],
    look: Callable[[T], Look],
    *,
    quiet: bool = False,
) -> T:
    """Follow some work until it has ended and return its last state; `quiet` shows nothing on the way."""
    show = _silent if quiet else _json if terminal.json else _live if terminal.err.is_terminal else _log
    try:
        with show(terminal, look) as draw:
            for state in _states(terminal, fetch):
                if ended(state):
                    return state
                draw(state)
    except KeyboardInterrupt:
        terminal.note(f"the work goes on; `retort status {subject} --follow` shows it again")
        raise
    raise AssertionError("the states have no end")


def _states(terminal: Terminal, fetch: Callable[[], T]) -> Iterator[T]:
    from service.connection import RetortError

    pause_s, lost_at = FIRST_S, None
    while True:
        try:
            state = fetch()
        except RetortError as error:
            now = time.monotonic()
            if error.status not in {0, 502, 503, 504} or (lost_at is not None and now - lost_at > OUTAGE_S):
                raise
            if lost_at is None:
                terminal.note(f"{error.title}; trying again for {OUTAGE_S:.0f} s")
                lost_at = now
        else:
            lost_at = None
            yield state
        time.sleep(pause_s)
        pause_s = min(EVERY_S, pause_s * 1.5)


@contextmanager
def _silent(_terminal: Terminal, _look: Callable[[T], Look]) -> Iterator[Callable[[T], None]]:
    yield lambda _: None


@contextmanager
def _json(terminal: Terminal, _look: Callable[[T], Look]) -> Iterator[Callable[[T], None]]:
    last = ""

    def draw(state: T) -> None:
        nonlocal last
        if (line := to_json(state)) != last:
            terminal.show(state, lambda _: None)
        last = line

    yield draw


@contextmanager
def _log(terminal: Terminal, look: Callable[[T], Look]) -> Iterator[Callable[[T], None]]:
    last, said_at = "", 0.0

    def draw(state: T) -> None:
        nonlocal last, said_at
        seen = look(state)
        line = "; ".join([seen.title, *seen.lines])
        if line != last and time.monotonic() - said_at >= LOG_EVERY_S:
            terminal.note(line)
            last, said_at = line, time.monotonic()

    yield draw


@contextmanager
def _live(terminal: Terminal, look: Callable[[T], Look]) -> Iterator[Callable[[T], None]]:
    from rich.live import Live

    with Live(console=terminal.err, transient=True, auto_refresh=False) as live:
        yield lambda state: live.update(_drawn(look(state)), refresh=True)


def _drawn(seen: Look) -> "RenderableType":
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    head = Table.grid(padding=(0, 1))
    share = f"{100 * seen.done / seen.total:.0f} %" if seen.total else ""
    bar = ProgressBar(total=seen.total or None, completed=seen.done, width=24, pulse=not seen.total)
    head.add_row(Text(seen.title, style="bold", no_wrap=True), bar, share)
    return Group(head, *(Text(line, overflow="fold") for line in seen.lines))
