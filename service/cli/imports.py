"""`retort import`: traces that were made elsewhere."""

import json as json_
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.batches import bytes_bar
from service.cli.looks import view_batch
from service.cli.terminal import Json, Refused, Terminal, begin

if TYPE_CHECKING:
    from service.api.shapes.batches import SubmitOut

ENDINGS = (".parquet", ".jsonl", ".ndjson", ".csv")
SPLITS = {"eval": ("eval", "validation", "valid", "dev"), "train": ("train",), "test": ("test",)}
"""How files of a split are called."""
PAGE_BYTES_MAX = 256 * 2**20
"""Of a page of stored completions: it is read as a whole."""


def import_traces(
    ctx: typer.Context,
    source: Annotated[Path, typer.Argument(metavar="FILE|FOLDER", help="JSONL, CSV or Parquet, or a dataset folder.")],
    teacher: Annotated[str, typer.Option(help="Who gave the answers, as you call it.")],
    license: Annotated[str, typer.Option(help="The teacher's; 'unknown' blocks an export until somebody knows it.")],
    format: Annotated[
        str | None,
        typer.Option(
            help="huggingface (any dataset), retort, datadesigner, curator or openai; what the files say, if left out."
        ),
    ] = None,
    prompts_license: Annotated[str | None, typer.Option(help="Of prompts whose rows name none.")] = None,
    model: Annotated[str | None, typer.Option(help="The teacher's own name, as deepseek-ai/DeepSeek-R1.")] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="COLUMN:FIELD",
            help="What a column stands for, as question:prompt or answer:response; COLUMN: drops it, *:meta keeps all "
            "others, *: drops them. May be given more than once.",
        ),
    ] = None,
    split: Annotated[str | None, typer.Option(help="Of a folder: train, eval or test alone.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Import anew what was imported before.")] = False,
    json: Json = False,
) -> None:
    """Import traces made elsewhere: each file becomes a completed batch, or is refused with its bad rows listed.

    They can then be searched, curated and exported like any others.
    """
    terminal = begin(ctx, json)
    files = data_files(source, split)
    chosen = format or ("retort" if (source / "manifest.json").is_file() else "huggingface")
    said: dict[str, Any] = {"prompts_license": prompts_license, "model": model, "columns": columns or ()}
    made = [_send(terminal, file, chosen, teacher, license, again=again, **said) for file in files]
    if len(made) == 1:
        terminal.show(made[0], view_batch(made[0]))
    else:
        listed = [batch.model_dump(mode="json") for batch in made]
        terminal.show({"data": listed}, lambda terminal: _view_all(terminal, files, made))
    if not terminal.json:
        batches = " ".join(f"--batch {batch.id}" for batch in made)
        terminal.note(f"judge them with `retort curate NAME {batches} --recipe FILE --use research`")


def data_files(source: Path, split: str | None) -> list[Path]:
    """Return the files to import: the one given, or those of a dataset folder, of one split where that is wanted."""
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise Refused(f"there is no file or folder {source}")
    if split is not None and split not in SPLITS:
        raise Refused(f"--split: expected {', '.join(SPLITS)}, found '{split}'")
    root = source / "data" if (source / "data").is_dir() else source
    found = sorted(path for path in root.rglob("*") if path.suffix.lower() in ENDINGS and not _is_hidden(path, source))
    if split is not None:
        found = [path for path in found if path.relative_to(root).as_posix().lower().startswith(SPLITS[split])]
    if not found and any(source.rglob("*.arrow")):
        raise Refused(f"{source} was written by save_to_disk; write it with to_parquet, one file a split")
    if not found:
        raise Refused(f"{source} holds no {' or '.join(ENDINGS)} file{f' of the split {split}' if split else ''}")
    return found


def _is_hidden(path: Path, source: Path) -> bool:
    return any(part.startswith((".", "_")) for part in path.relative_to(source).parts)


def _send(
    terminal: Terminal, file: Path, format: str, teacher: str, license: str, *, again: bool, **said: Any
) -> "SubmitOut":
    page = completions_of(file) if format == "openai" else None
    if page is not None:
        return terminal.client.import_traces(page, format, teacher, license, file=file.name, **said)
    key = secrets.token_hex(16) if again else None
    with bytes_bar(terminal, f"sending {file.name}", file.stat().st_size, "checking and storing") as progress:
        options = {"idempotency_key": key, "once": True, "progress": progress, "note": terminal.note}
        batch = terminal.client.import_traces(file, format, teacher, license, **said, **options)
    if not batch.new and not terminal.json:
        terminal.note(f"{file.name} was imported before, as {batch.id}; --again imports it anew")
    return batch


def completions_of(file: Path) -> Iterator[dict[str, Any]] | None:
    """Return what a page of `GET /v1/chat/completions` lists; None where the file is JSON lines."""
    if file.suffix.lower() != ".json" or file.stat().st_size > PAGE_BYTES_MAX:
        return None
    try:
        page = json_.loads(file.read_bytes())
    except ValueError:
        return None
    listed = page if isinstance(page, list) else page.get("data") if isinstance(page, dict) else None
    return iter(listed) if isinstance(listed, list) else None


def _view_all(terminal: Terminal, files: list[Path], made: "list[SubmitOut]") -> None:
    for file, batch in zip(files, made, strict=True):
        terminal.say(f"{batch.id}  {batch.prompts:,} prompts, {batch.counts.stored:,} answers  {file}")
