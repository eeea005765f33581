"""`retort rewrite`: stored traces once more, compacted by a teacher or without their reasoning, as a new batch."""

import hashlib
import json as jsonlib
import secrets
from pathlib import Path
from typing import Annotated, Any

import typer

from service.cli.batches import Follow, ended
from service.cli.status import split_version
from service.cli.terminal import Json, Refused, begin


def rewrite(
    ctx: typer.Context,
    source: Annotated[str, typer.Argument(help="An ended batch, or NAME@N: the traces that a sealed version keeps.")],
    compact: Annotated[
        bool, typer.Option("--compact", help="Have a teacher write the reasoning anew and shorter.")
    ] = False,
    answer_only: Annotated[
        bool, typer.Option("--answer-only", help="Leave the reasoning out: the control without it.")
    ] = False,
    teacher: Annotated[str | None, typer.Option(help="Who writes, for --compact.")] = None,
    instruction: Annotated[
        Path | None, typer.Option(help="A text file with what the teacher is told; else Retort's own words.")
    ] = None,
    share_max: Annotated[
        float | None,
        typer.Option(help="Most characters of a new reasoning, as a share of the old one's; 0.9.", min=0.01, max=1),
    ] = None,
    thinking: Annotated[
        bool | None,
        typer.Option("--thinking/--no-thinking", help="May it think first, where its template has a switch?"),
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(help="Left to the teacher when not given, like the next two.")
    ] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Longest reply, the teacher's own thoughts included.")] = None,
    seed: Annotated[int | None, typer.Option(help="For replies that can be had again.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Rewrite anew what was rewritten so before.")] = False,
    follow: Follow = False,
    json: Json = False,
) -> None:
    """Rewrite traces into a new batch; each new one names its parent, and the old ones stay as they are.

    The response stays, so the new batch is curated like any other; `verified` and `consistency` in the recipe judge
    response and new reasoning anew. A reply that is empty, cut off, not shorter or about something else is a failure;
    `retort retry` has it written again.
    """
    terminal = begin(ctx, json)
    if compact == answer_only:
        raise Refused("give either --compact, with --teacher, or --answer-only")
    if compact and teacher is None:
        raise Refused("--compact needs --teacher: who writes the reasoning anew")
    if "@" in source:
        split_version(source)
    options: dict[str, Any] = {"share_max": share_max, "thinking": thinking, "temperature": temperature}
    options |= {"max_tokens": max_tokens, "seed": seed, "instruction": _text(instruction)}
    kind = "compact" if compact else "answer_only"
    said = jsonlib.dumps([source, kind, teacher, options], sort_keys=True)
    key = secrets.token_hex(16) if again else f"rewrite-{hashlib.sha256(said.encode()).hexdigest()}"
    batch = terminal.client.rewrite(source, kind, teacher, idempotency_key=key, **options)
    if not batch.new and not json:
        terminal.note(f"rewritten before, as {batch.id} ({batch.state}); --again does it anew")
    ended(terminal, batch, follow)


def _text(file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"--instruction: cannot read {file}: {error}") from error
