"""What every command speaks through: the client on one side, a person or a script on the other.

Results go to stdout, everything about the way there (progress, notes, errors) to stderr. With `--json` stdout carries
JSON alone, one document a line.
"""

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from service.client import Client

OK, FAILED, BAD_INPUT, UNREACHABLE = 0, 1, 2, 3
"""Exit codes; the command line's docstring says what each one means."""
PIPED_WIDTH = 160
"""Columns where no terminal limits them: wide enough that a table's rows stay on one line for grep and awk."""
GAP, CUT_MIN = "  ", 6
"""Between columns; and the narrowest that one may be cut to."""

Json = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else on stdout.")]


class Refused(Exception):
    """Ends a command with a message for a person; `code` is the exit code."""

    def __init__(self, message: str, code: int = BAD_INPUT) -> None:
        super().__init__(message)
        self.code = code


@dataclass
class Terminal:
    """The options before the verb, and how to answer."""

    url: str
    api_key: str | None
    json: bool = False
    _open: "Client | None" = field(default=None, repr=False)

    @property
    def client(self) -> "Client":
        """The API, once somebody listens there; connecting happens with the first request."""
        if self._open is None:
            from service.cli.loopback import await_start
            from service.client import Client

            await_start(self.url)
            self._open = Client(self.url, self.api_key)
        return self._open

    def close(self) -> None:
        """Close the connection, if there was one."""
        if self._open is not None:
            self._open.close()

    @cached_property
    def out(self) -> "Console":
        """Where results go."""
        return _console(sys.stdout)

    @cached_property
    def err(self) -> "Console":
        """Where progress, notes and errors go."""
        return _console(sys.stderr)

    def show(self, value: Any, view: Callable[["Terminal"], None]) -> None:
        """Print `value` as JSON where that was asked for; else let `view` tell a person."""
        if self.json:
            sys.stdout.write(to_json(value) + "\n")
            sys.stdout.flush()
        else:
            view(self)

    def say(self, *lines: str, style: str | None = None) -> None:
        """Print lines of a result for a person, wrapped by the terminal alone so that they can be copied."""
        for line in lines:
            self.out.print(line, style=style, soft_wrap=True)

    def note(self, *lines: str, style: str | None = None) -> None:
        """Print lines that are not the result."""
        for line in lines:
            self.err.print(line, style=style, soft_wrap=True)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str = "") -> None:
        """Print a table; a column whose name starts with `#` is aligned right, only one with `~` may be cut."""
        heads = [name.lstrip("#~") for name in columns]
        lines = [heads, *([str(cell) for cell in row] for row in rows)]
        widths = _fitted(columns, lines, self.out.width)
        if title:
            self.say(title, style="bold")
        for number, line in enumerate(lines):
            cells = (_cell(text, width, name) for text, width, name in zip(line, widths, columns, strict=True))
            self.say(GAP.join(cells).rstrip(), style=None if number else "dim")


def begin(ctx: typer.Context, json: bool) -> Terminal:
    """Return the terminal of this call."""
    terminal: Terminal = ctx.obj
    terminal.json = json
    return terminal


def to_json(value: Any) -> str:
    """Return one line of JSON of models, lists and dicts."""
    from pydantic_core import to_json as dump

    return dump(value).decode()


def _fitted(columns: Sequence[str], lines: list[list[str]], room: int) -> list[int]:
    """Return the columns' widths, those that may be cut narrowed, widest first, until a line fits."""
    from rich.cells import cell_len

    widths = [max(cell_len(line[place]) for line in lines) for place in range(len(columns))]
    while sum(widths) + len(GAP) * (len(widths) - 1) > room:
        narrower = [place for place, name in enumerate(columns) if name.startswith("~") and widths[place] > CUT_MIN]
        if not narrower:
            break
        widths[max(narrower, key=widths.__getitem__)] -= 1
    return widths


def _cell(text: str, width: int, name: str) -> str:
    from rich.cells import cell_len, set_cell_size

    if cell_len(text) > width:
        return set_cell_size(text, width - 1) + "…"
    padding = " " * (width - cell_len(text))
    return padding + text if name.startswith("#") else text + padding


def _console(stream: Any) -> "Console":
    from rich.console import Console

    width = None if stream.isatty() or "COLUMNS" in os.environ else PIPED_WIDTH
    # No markup: what teachers and users wrote may hold square brackets.
    return Console(file=stream, width=width, markup=False, highlight=False, emoji=False)
