"""`retort submit` and `retort retry`: prompts on their way to the teachers."""

import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.following import ENDED_BADLY, follow_batch
from service.cli.looks import ungradable_lines, view_batch
from service.cli.terminal import FAILED, Json, Refused, Terminal, begin

if TYPE_CHECKING:
    from service.api.shapes.batches import BatchOut, SubmitOut

Follow = Annotated[bool, typer.Option("--follow", "-f", help="Show the progress until it has ended.")]


def submit(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="JSONL, CSV or Parquet, one prompt a row; - reads stdin.")],
    teacher: Annotated[list[str], typer.Option(help="Who is asked; may be given more than once.")],
    n: Annotated[int, typer.Option("-n", "--n", help="Answers asked of each teacher for each prompt.", min=1)] = 1,
    accept: Annotated[
        int | None,
        typer.Option("--accept-k", help="Instead of -n: ask about a prompt until so many answers are right.", min=1),
    ] = None,
    max_tries: Annotated[
        int | None, typer.Option(help="… and at most so many times; else four times as many.", min=1)
    ] = None,
    token_budget: Annotated[
        int | None, typer.Option(help="… and until its answers have so many tokens in all.", min=1)
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(help="Left to the teacher when not given, like the next three.")
    ] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Longest answer, reasoning included.")] = None,
    top_p: Annotated[float | None, typer.Option(help="Nucleus sampling.")] = None,
    seed: Annotated[int | None, typer.Option(help="For answers that can be had again.")] = None,
    top_logprobs: Annotated[
        int | None, typer.Option(help="Soft labels: the likeliest tokens kept for each token of an answer.")
    ] = None,
    ungradable: Annotated[
        str | None,
        typer.Option(
            metavar="refuse|report",
            help="What becomes of references that their verifier cannot grade; report, but refuse with --accept-k.",
        ),
    ] = None,
    set_name: Annotated[
        str | None, typer.Option("--set", help="What reports call it when it measures a student.")
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="COLUMN:FIELD",
            help="What a column stands for, as question:prompt or level:meta.level; COLUMN: drops it, "
            "*:meta keeps all others, *: drops them. May be given more than once.",
        ),
    ] = None,
    format: Annotated[
        str | None, typer.Option(help="jsonl, csv or parquet, where the file's name does not say.")
    ] = None,
    key: Annotated[
        str | None, typer.Option(help="Idempotency key; else one made of the file and these options.")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Ask anew what was submitted before.")] = False,
    follow: Follow = False,
    json: Json = False,
) -> None:
    """Submit prompts. Either every row is accepted, or the refused ones are listed and nothing is stored.

    A row has prompt (text) or messages, and may have id, reference, verifier, category, source, license, meta.

    The same file with the same options is submitted once: doing it again gives the batch that it made, or goes on with
    one whose submission broke off. --again makes a new one.
    """
    terminal = begin(ctx, json)
    if format not in (None, "jsonl", "csv", "parquet"):
        raise Refused(f"--format: expected jsonl, csv or parquet, found '{format}'")
    if ungradable not in (None, "refuse", "report"):
        raise Refused(f"--ungradable: expected refuse or report, found '{ungradable}'")
    sampling: dict[str, Any] = {"temperature": temperature, "max_tokens": max_tokens, "top_p": top_p, "seed": seed}
    if top_logprobs is not None:
        from service.cli.soft_labels import tell_size

        sampling["top_logprobs"] = top_logprobs
        tries = (max_tries or 4 * accept) if accept else n
        tell_size(terminal, file, asked=tries * len(set(teacher)), k=top_logprobs, max_tokens=max_tokens)
    options: dict[str, Any] = {"n": n, "sampling": sampling, "set_name": set_name, "columns": columns or ()}
    options |= {"format": format, "idempotency_key": key, "ungradable": ungradable}
    options |= {"accept_k": accept, "max_tries": max_tries, "token_budget": token_budget}
    if str(file) == "-":
        batch = terminal.client.submit(sys.stdin.buffer, teacher, **options)
    else:
        batch = send_file(terminal, file, teacher, again=again, **options)
    ended(terminal, batch, follow)


def send_file(
    terminal: Terminal, file: Path, teachers: list[str], *, again: bool, title: str = "", **options: Any
) -> "SubmitOut":
    """Submit a file under its own key, sent again when the connection breaks; tell of one that was there already."""
    if not file.is_file():
        raise Refused(f"there is no file {file}")
    if again and options.get("idempotency_key") is None:
        options["idempotency_key"] = secrets.token_hex(16)
    with bytes_bar(terminal, f"sending {title or file.name}", file.stat().st_size, "checking and storing") as progress:
        batch = terminal.client.submit(file, teachers, once=True, progress=progress, note=terminal.note, **options)
    if not batch.new and not terminal.json:
        terminal.note(f"submitted before, as {batch.id} ({batch.state}); --again asks anew")
    return batch


def retry(
    ctx: typer.Context,
    batch: Annotated[str, typer.Argument(help="An ended batch.")],
    follow: Follow = False,
    json: Json = False,
) -> None:
    """Ask again for the answers of a batch that failed or were cancelled."""
    terminal = begin(ctx, json)
    ended(terminal, terminal.client.retry_batch(batch), follow)


def ended(terminal: Terminal, batch: "BatchOut", follow: bool) -> None:
    """Show a batch that was just submitted, or with `follow` how it comes to its end."""
    if follow:
        if not terminal.json:
            terminal.note(f"{batch.id}: {batch.prompts:,} prompts, {batch.counts.total:,} answers to come")
            terminal.note(*ungradable_lines(batch))
        batch = follow_batch(terminal, batch.id)
    terminal.show(batch, view_batch(batch))
    if not follow and not terminal.json:
        terminal.note(f"follow it with `retort status {batch.id} --follow`")
    if follow and batch.state in ENDED_BADLY:
        raise typer.Exit(FAILED)


@contextmanager
def bytes_bar(
    terminal: Terminal, title: str, total: int | None, afterwards: str = ""
) -> Iterator[Callable[[int], None]]:
    """Yield what to call with the bytes done so far; a terminal shows a bar, a log nothing.

    `afterwards` is its title when all bytes are there and an answer is waited for.
    """
    if terminal.json or not terminal.err.is_terminal:
        yield lambda _: None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (BarColumn(bar_width=24), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(TextColumn("{task.description}"), *columns, console=terminal.err, transient=True) as bar:
        task = bar.add_task(title, total=total)
        yield lambda done: bar.update(task, completed=done, description=(done == total and afterwards) or title)
