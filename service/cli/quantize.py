"""`retort quantize`: a finished student with weights in 8 or 4 bits, and what that cost it."""

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.terminal import FAILED, Json, Terminal, begin
from service.cli.words import clean, size

if TYPE_CHECKING:
    from service.api.shapes.runs import QuantizeOut

POLL_S = 0.5
UNFINISHED = {"queued", "running"}


def quantize(
    ctx: typer.Context,
    run: Annotated[str, typer.Argument(help="A run that has succeeded, such as run_1a2b.")],
    bits: Annotated[int, typer.Option(help="Bits of a weight: 8 or 4.")] = 8,
    group_size: Annotated[int | None, typer.Option(help="Weights that share a scale.", min=1)] = None,
    json: Json = False,
) -> None:
    """Make a student smaller, weights in 8 or 4 bits, and measure what that cost it."""
    terminal = begin(ctx, json)
    found = terminal.client.quantize(run, bits, group_size=group_size)
    while found.state in UNFINISHED:
        time.sleep(POLL_S)
        found = next(each for each in terminal.client.quantizations(run) if each.bits == bits)
    terminal.show(found, lambda terminal: _view(terminal, found))
    if found.state != "done":
        raise typer.Exit(FAILED)


def _view(terminal: Terminal, found: "QuantizeOut") -> None:
    report = found.report
    if report is None:
        terminal.say(clean(f"{found.reason}: {found.detail}"), style="red")
        return
    terminal.say(f"{found.path}: {size(report['bytes'])} of weights, {size(report['bytes_before'])} before")
    for name, measured in report["sets"].items():
        lost = next(each for each in measured["comparisons"] if each["mode"] == "greedy")
        terminal.say(f"  {clean(name)}, {lost['n']:,} prompts, greedy: {_lost(lost)}")
    if not report["sets"]:
        terminal.say("  what it lost was not measured: no prompts with references were at hand")


def _lost(lost: dict[str, Any]) -> str:
    points = 100 * lost["difference"]
    told = f"{abs(points):.1f} points {'lost' if points >= 0 else 'won'}"
    return f"{told} ({lost['only_student']} answers lost, {lost['only_other']} won, p = {lost['p_value']:.3g})"
