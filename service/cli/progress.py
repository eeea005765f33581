"""A bar for work of this machine that is counted in rows."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from service.cli.terminal import Terminal


@contextmanager
def rows_bar(terminal: Terminal) -> Iterator[Callable[[int, int], None]]:
    """Yield what to call with the rows done and their total; a terminal shows a bar, a log nothing."""
    if terminal.json or not terminal.err.is_terminal:
        yield lambda done, total: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("rows"), BarColumn(bar_width=24), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=terminal.err, transient=True) as bar:
        task = bar.add_task("rows", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
