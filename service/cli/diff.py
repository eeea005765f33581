"""`retort diff`: what changed from one dataset version to another, and why."""

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.status import split_version
from service.cli.terminal import Json, Terminal, begin
from service.cli.words import clean, one_line

if TYPE_CHECKING:
    from service.api.shapes.diffs import DiffLine, DiffOut, DiffRow, KnobChange
    from service.changes import Change

PAGE = 500
EXAMPLES = 3
DETAIL_SHOWN = 80


def diff(
    ctx: typer.Context,
    before: Annotated[str, typer.Argument(help="NAME@N, sealed.")],
    now: Annotated[str, typer.Argument(help="NAME@N, sealed: what became of it.")],
    change: Annotated[
        str | None, typer.Option(metavar="added|removed|moved", help="List the traces that changed so.")
    ] = None,
    reason: Annotated[str | None, typer.Option(help="Only those with this reason; with --change.")] = None,
    limit: Annotated[int, typer.Option(help="Most traces to list.", min=1)] = 50,
    json: Json = False,
) -> None:
    """Say what changed from one version to another: rows added, removed, moved between splits, and why."""
    from service.changes import Change
    from service.cli.terminal import Refused

    terminal = begin(ctx, json)
    split_version(before)
    if change is None:
        if reason is not None:
            raise Refused("--reason narrows a list; give --change too")
        found = terminal.client.diff(*split_version(now), before)
        examples = {} if terminal.json else _examples(terminal, found)
        terminal.show(found, lambda terminal: _view(terminal, found, examples))
        return
    if change not in set(Change):
        raise Refused(f"--change: '{change}' is none of {', '.join(Change)}")
    rows = list(islice(_each(terminal, now, Change(change), before, reason, min(limit, PAGE)), limit))
    terminal.show(rows, lambda terminal: _list(terminal, rows, limit))


def _each(
    terminal: Terminal, now: str, change: "Change", before: str, reason: str | None, size: int
) -> Iterator["DiffRow"]:
    after = 0
    while True:
        query = {"reason": reason, "after": after, "limit": size}
        found = terminal.client.diff_rows(*split_version(now), change, before, **query)
        yield from found.data
        if found.next is None:
            return
        after = int(found.next)


def _examples(terminal: Terminal, found: "DiffOut") -> dict["Change", list["DiffRow"]]:
    """Return the first traces of each change."""
    changes = list(dict.fromkeys(line.change for line in found.why))
    return {
        change: list(islice(_each(terminal, found.now, change, found.before, None, EXAMPLES), EXAMPLES))
        for change in changes
    }


def _view(terminal: Terminal, found: "DiffOut", examples: dict["Change", list["DiffRow"]]) -> None:
    terminal.say(
        f"{found.before} keeps {found.kept_before:,} rows, {found.now} {found.kept_now:,}: "
        f"{found.unchanged:,} unchanged, {found.added:,} added, {found.removed:,} removed, "
        f"{found.moved:,} moved to another split",
        style="bold",
    )
    if not found.why:
        terminal.say("the same rows" if found.same_rows else "the same traces, with a response that a person edited")
    else:
        terminal.table(("change", "filter", "reason", "split", "#rows"), map(_line, found.why))
    for change, rows in examples.items():
        for row in rows:
            why = ": ".join(part for part in (row.reason, one_line(row.detail, DETAIL_SHOWN)) if part)
            terminal.say(clean(f"  {change} trace {row.trace}{', ' if why else ''}{why}"), style="dim")
    for knob in found.recipe:
        terminal.say(clean(f"recipe: {knob.filter} {_knobs(knob)}"))
    terminal.say(*(f"batch added: {batch}" for batch in found.batches_added))
    terminal.say(*(f"batch removed: {batch}" for batch in found.batches_removed))
    if found.why:
        terminal.note(f"`retort diff {found.before} {found.now} --change {found.why[0].change}` lists them")


def _line(line: "DiffLine") -> tuple[str, ...]:
    splits = " -> ".join(split for split in (line.split_before, line.split_now) if split)
    return line.change, line.filter, line.reason, splits, f"{line.rows:,}"


def _knobs(knob: "KnobChange") -> str:
    """Return what is another about a filter, without the knobs that stayed."""
    if knob.before is None or knob.now is None:
        return "is new" if knob.before is None else "is gone"
    before, now = knob.before, knob.now
    differing = [name for name in before | now if before.get(name) != now.get(name)]
    return ", ".join(f"{name} {before.get(name)} -> {now.get(name)}" for name in differing)


def _list(terminal: Terminal, rows: list["DiffRow"], limit: int) -> None:
    terminal.table(
        ("#trace", "category", "filter", "reason", "split", "~detail"),
        (
            (
                row.trace,
                one_line(row.category, 14),
                row.filter,
                row.reason,
                " -> ".join(split for split in (row.split_before, row.split_now) if split),
                one_line(row.detail, DETAIL_SHOWN),
            )
            for row in rows
        ),
    )
    if len(rows) == limit:
        terminal.note(f"the first {limit:,}; --limit shows more, and `retort why TRACE` a trace's whole way")
