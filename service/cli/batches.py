"""`retort submit` and `retort retry`: prompts on their way to the teachers."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.looks import ENDED_BADLY, follow_batch, view_batch
from service.cli.terminal import FAILED, Json, Refused, Terminal, begin

if TYPE_CHECKING:
    from service.api.shapes import BatchOut

Follow = Annotated[bool, typer.Option("--follow", "-f", help="Show the progress until it has ended.")]


def submit(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="JSONL, one prompt a line; - reads stdin.")],
    teacher: Annotated[list[str], typer.Option(help="Who is asked; may be given more than once.")],
    n: Annotated[int, typer.Option("-n", "--n", help="Answers asked of each teacher for each prompt.", min=1)] = 1,
    temperature: Annotated[
        float | None, typer.Option(help="Left to the teacher when not given, like the next three.")
    ] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Longest answer, reasoning included.")] = None,
    top_p: Annotated[float | None, typer.Option(help="Nucleus sampling.")] = None,
    seed: Annotated[int | None, typer.Option(help="For answers that can be had again.")] = None,
    set_name: Annotated[
        str | None, typer.Option("--set", help="What reports call it when it measures a student.")
    ] = None,
    key: Annotated[str | None, typer.Option(help="Idempotency key: the same key and prompts submit only once.")] = None,
    follow: Follow = False,
    json: Json = False,
) -> None:
    """Submit prompts. Either every line is accepted, or the refused ones are listed and nothing is stored.

    A line is {"prompt": text} or {"messages": [...]}, and may carry id, reference, verifier, category, source, license.
    """
    terminal = begin(ctx, json)
    sampling = {"temperature": temperature, "max_tokens": max_tokens, "top_p": top_p, "seed": seed}
    options: dict[str, Any] = {"n": n, "sampling": sampling, "set_name": set_name, "idempotency_key": key}
    if str(file) == "-":
        batch = terminal.client.submit(sys.stdin.buffer, teacher, **options)
    elif not file.is_file():
        raise Refused(f"there is no file {file}")
    else:
        with bytes_bar(terminal, f"sending {file.name}", file.stat().st_size) as progress:
            batch = terminal.client.submit(file, teacher, progress=progress, **options)
    _ended(terminal, batch, follow)


def retry(
    ctx: typer.Context,
    batch: Annotated[str, typer.Argument(help="An ended batch.")],
    follow: Follow = False,
    json: Json = False,
) -> None:
    """Ask again for the answers of a batch that failed or were cancelled."""
    terminal = begin(ctx, json)
    _ended(terminal, terminal.client.retry_batch(batch), follow)


def _ended(terminal: Terminal, batch: "BatchOut", follow: bool) -> None:
    if follow:
        if not terminal.json:
            terminal.note(f"{batch.id}: {batch.prompts:,} prompts, {batch.counts.total:,} answers to come")
        batch = follow_batch(terminal, batch.id)
    terminal.show(batch, view_batch(batch))
    if not follow and not terminal.json:
        terminal.note(f"follow it with `retort status {batch.id} --follow`")
    if follow and batch.state in ENDED_BADLY:
        raise typer.Exit(FAILED)


@contextmanager
def bytes_bar(terminal: Terminal, title: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Yield what to call with the bytes done so far; a terminal shows a bar, a log nothing."""
    if terminal.json or not terminal.err.is_terminal:
        yield lambda _: None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (BarColumn(bar_width=24), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(TextColumn("{task.description}"), *columns, console=terminal.err, transient=True) as bar:
        task = bar.add_task(title, total=total)
        yield lambda done: bar.update(task, completed=done)
