"""`retort doctor`: is everything there, and if not, what to do."""

from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.terminal import FAILED, Json, Terminal, begin

if TYPE_CHECKING:
    from service.cli.checks import Check

NAME_WIDTH = 12


def doctor(
    ctx: typer.Context,
    data_dir: Annotated[Path, typer.Option(help="Folder to look at.", envvar="RETORT_DATA_DIR")] = Path("data"),
    json: Json = False,
) -> None:
    """Look whether everything Retort needs is here, and say what to do about what is not.

    Python, data folder, disk, database, sandbox, vLLM, torch and GPU of this machine; then the Retort at --url: who can
    reach it, its workers, its teachers. Exit code 1 when something required is missing.
    """
    from service.cli.checks import look
    from service.cli.checks_running import look_at_running

    terminal = begin(ctx, json)
    checks: list[Check] = []
    for check in chain(look(data_dir), look_at_running(terminal)):
        checks.append(check)
        if not json:
            _view(terminal, check)  # as it is found: a teacher that is down takes seconds
    missing = [check.name for check in checks if check.required and not check.ok]
    terminal.show(checks, lambda terminal: _end(terminal, missing))
    if missing:
        raise typer.Exit(FAILED)


def _view(terminal: Terminal, check: "Check") -> None:
    mark, style = ("ok", "green") if check.ok else ("MISSING", "red") if check.required else ("no", "yellow")
    terminal.say(f"{mark:7}  {check.name:{NAME_WIDTH}}  {check.found}", style=style)
    if not check.ok and check.todo:
        terminal.say(f"{'':{NAME_WIDTH + 11}}{check.todo}")


def _end(terminal: Terminal, missing: list[str]) -> None:
    if missing:
        terminal.say(f"Retort cannot work before this is mended: {', '.join(missing)}", style="red")
    else:
        terminal.say("all that Retort needs is here; what is marked `no` is for those who want it")
