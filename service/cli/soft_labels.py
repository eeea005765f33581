"""`retort soft-labels`: what else the teacher might have said, added to answers that are stored already."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.batches import Follow
from service.cli.terminal import Json, Terminal, begin
from service.cli.watch import Look, watch
from service.cli.words import counted, size

if TYPE_CHECKING:
    from service.api.shapes.labels import BatchLabels

ASK_ABOVE_BYTES = 10_000_000_000
"""More than this is not stored before a person said yes, where one is there to ask."""


def soft_labels(
    ctx: typer.Context,
    batch: Annotated[str, typer.Argument(help="An ended batch.")],
    top_logprobs: Annotated[
        int | None, typer.Option(help="Entries for each token, the chosen one included; left out, shows what is there.")
    ] = None,
    teacher: Annotated[str | None, typer.Option(help="Who scores them, if not each trace's own teacher.")] = None,
    follow: Follow = False,
    json: Json = False,
) -> None:
    """Add soft labels to a batch's traces: its teacher is shown each answer again (vLLM's prompt_logprobs).

    Traces that have some are left as they are; those that could not be scored before are tried again.
    """
    terminal = begin(ctx, json)
    client = terminal.client
    found = client.soft_labels(batch)
    if top_logprobs is not None:
        found = client.add_soft_labels(batch, top_logprobs, teacher)
        if (most := found.estimate) and not json:
            terminal.note(f"at most {size(most.bytes_max or 0)}: {most.answers:,} answers, {most.tokens_max:,} tokens")
    if follow:
        found = watch(
            terminal,
            batch,
            lambda: client.soft_labels(batch),
            lambda labels: labels.state != "in_progress",
            lambda labels: _look(batch, labels),
        )
    terminal.show(found, view_labels(found, batch))


def _look(batch: str, labels: "BatchLabels") -> Look:
    """Return how far the scoring is."""
    done = labels.stored + sum(labels.unavailable.values())
    lines = [lines_of(labels)[0], *(f"waiting: {counted(labels.waiting)}" for _ in range(bool(labels.waiting)))]
    return Look(f"soft labels of {batch}", done, done + labels.pending, lines)


def view_labels(labels: "BatchLabels", batch: str) -> Callable[[Terminal], None]:
    """Return what a person is told of a batch's soft labels."""

    def view(terminal: Terminal) -> None:
        terminal.say(f"{batch}: soft labels", style="bold")
        terminal.say(*(f"  {line}" for line in lines_of(labels)))
        if labels.waiting:
            terminal.say(f"  waiting: {counted(labels.waiting)}", style="yellow")

    return view


def lines_of(labels: "BatchLabels") -> list[str]:
    """Return how many there are, why others are not, and with which tokenizer they are to be read."""
    pending = f", {labels.pending:,} pending" if labels.pending else ""
    lines = [f"{labels.stored:,} stored ({size(labels.bytes)}){pending}"]
    if labels.unavailable:
        lines.append(f"unavailable: {counted(labels.unavailable).replace('_', ' ')}")
    unknown = [name for name, sha256 in labels.tokenizer_sha256.items() if not sha256]
    if unknown and (labels.stored or labels.pending or labels.top_logprobs):
        names = ", ".join(unknown)
        lines.append(f"tokenizer of {names}: unknown; state it with `retort teacher add … --tokenizer`")
    return lines


def tell_size(terminal: Terminal, file: Path, *, asked: int, k: int, max_tokens: int | None) -> None:
    """Say before anything is sent what the soft labels will take; ask a person where it is a lot.

    `asked` are the answers to each prompt, of all teachers together.
    """
    from service.soft_labels import bytes_max, bytes_per_token

    each = f"{bytes_per_token(k):.0f} bytes a token (k = {k})"
    prompts = _rows(file) if file.is_file() else None
    many = f"{prompts:,} prompts" if prompts is not None else "an unknown number of prompts"
    if prompts is None or max_tokens is None:
        missing = [] if prompts is not None else ["how many prompts come"]
        missing += [] if max_tokens is not None else ["how long the answers get: no --max-tokens"]
        terminal.note(f"soft labels: {many} x {asked} x {each}; unknown is {' and '.join(missing)}")
        return
    most = bytes_max(k, answers=prompts * asked, tokens=prompts * asked * max_tokens)
    terminal.note(f"soft labels: at most {size(most)}: {many} x {asked} x {max_tokens:,} tokens x {each}")
    if most > ASK_ABOVE_BYTES and sys.stdin.isatty() and not terminal.json:
        typer.confirm("Go on?", abort=True, err=True)


def _rows(file: Path) -> int:
    """Return the prompts in a file: its rows as Parquet, else its lines that are not empty, at most."""
    with file.open("rb") as opened:
        if opened.read(4) == b"PAR1":
            import pyarrow.parquet as parquet

            metadata: Any = parquet.read_metadata(file)
            return metadata.num_rows
        opened.seek(0)
        return sum(1 for line in opened if line.strip())
