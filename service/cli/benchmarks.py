"""`retort benchmark …`: test questions that no dataset may hold."""

from pathlib import Path
from typing import Annotated

import typer

from service.cli.batches import bytes_bar
from service.cli.terminal import FAILED, Json, Refused, Terminal, begin
from service.cli.words import clean


def add(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="How recipes call it.")],
    file: Annotated[Path, typer.Argument(help="JSONL, CSV or Parquet.")],
    column: Annotated[list[str], typer.Option(help="Where the text is; given more than once, they are one text.")],
    json: Json = False,
) -> None:
    """Add a file of test questions; the filter `contamination` then finds them in traces."""
    terminal = begin(ctx, json)
    try:
        with bytes_bar(terminal, f"sending {file.name}", file.stat().st_size, "reading its columns") as progress:
            added = terminal.client.add_benchmark(name, file, column, progress=progress)
    except OSError as error:
        raise Refused(f"cannot read {file}: {error.strerror}", FAILED) from error

    def view(terminal: Terminal) -> None:
        terminal.say(f"{added.name}: {added.lines:,} lines" + ("" if added.new else ", there already"))
        terminal.note(f'in a recipe: {{"kind": "contamination", "benchmarks": ["{added.name}"]}}')

    terminal.show(added, view)


def list_benchmarks(ctx: typer.Context, json: Json = False) -> None:
    """List the benchmarks."""
    terminal = begin(ctx, json)
    found = terminal.client.benchmarks()

    def view(terminal: Terminal) -> None:
        rows = [(one.name, f"{one.lines:,}", clean(", ".join(one.columns)), one.sha256) for one in found]
        terminal.table(("benchmark", "lines", "~columns", "sha256"), rows)

    terminal.show(found, view)
