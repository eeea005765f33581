"""`retort doctor`: is everything there, and if not, what to do."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.terminal import FAILED, Json, Terminal, begin

if TYPE_CHECKING:
    from service.cli.checks import Check


def doctor(
    ctx: typer.Context,
    data_dir: Annotated[Path, typer.Option(help="Folder to look at.", envvar="RETORT_DATA_DIR")] = Path("data"),
    json: Json = False,
) -> None:
    """Look whether everything Retort needs is here. Exit code 1 when something required is missing."""
    from service.cli.checks import look

    terminal = begin(ctx, json)
    checks = look(terminal, data_dir)
    terminal.show(checks, lambda terminal: _view(terminal, checks))
    if any(check.required and not check.ok for check in checks):
        raise typer.Exit(FAILED)


def _view(terminal: Terminal, checks: "list[Check]") -> None:
    for check in checks:
        mark, style = ("ok", "green") if check.ok else ("MISSING", "red") if check.required else ("no", "yellow")
        terminal.say(f"{mark:7}  {check.name:9}  {check.found}", style=style)
        if not check.ok and check.todo:
            terminal.say(f"{'':20}{check.todo}")
