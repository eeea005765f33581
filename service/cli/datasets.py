"""`retort curate` and `retort export`: from traces to a sealed version, and from there to a folder here."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from service.cli import looks
from service.cli.batches import Follow
from service.cli.files import read_object
from service.cli.looks import ENDED_BADLY, follow_version, view_version
from service.cli.status import split_version
from service.cli.terminal import FAILED, Json, Refused, Terminal, begin
from service.cli.words import clean, percent, size

if TYPE_CHECKING:
    from filters.manifest import Manifest
    from service.api.shapes.datasets import PreviewOut

Use = Literal["research", "commercial"]


def curate(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Dataset that gets a new version.")],
    batch: Annotated[list[str], typer.Option(help="Batch to judge; may be given more than once.")],
    recipe: Annotated[Path, typer.Option(help="The filters in order: a .json or .toml file.")],
    use: Annotated[Use, typer.Option(help="What the dataset is meant for; licences are checked against it.")],
    base: Annotated[str | None, typer.Option(help="Licence of the student's base, if known already.")] = None,
    eval_share: Annotated[
        float | None, typer.Option("--eval", help="Share of prompts held back for evaluation.")
    ] = None,
    test_share: Annotated[
        float | None, typer.Option("--test", help="Share of prompts held back for the report.")
    ] = None,
    override: Annotated[
        list[str] | None, typer.Option(help="LICENCE=REASON: allow it all the same; needs --author, stays on the card.")
    ] = None,
    author: Annotated[str | None, typer.Option(help="Who answers for the overrides.")] = None,
    preview: Annotated[bool, typer.Option("--preview", help="Judge a sample and store nothing.")] = False,
    follow: Follow = False,
    json: Json = False,
) -> None:
    """Judge batches by a recipe and seal what is kept as the next version of a dataset."""
    terminal = begin(ctx, json)
    filters = read_object(recipe)
    if preview:
        found = terminal.client.preview(batch, filters)
        terminal.show(found, lambda terminal: _view_preview(terminal, found))
        return
    shares = {name: share for name, share in (("eval", eval_share), ("test", test_share)) if share is not None}
    more: dict[str, Any] = {
        "base": base,
        "split": shares or None,
        "overrides": _overrides(override or [], author) or None,
    }
    version = terminal.client.curate(name, batch, filters, use, **more)
    if follow:
        version = follow_version(terminal, version.dataset, version.number)
    terminal.show(version, view_version(version))
    label = f"{version.dataset}@{version.number}"
    if version.state in ENDED_BADLY:
        raise typer.Exit(FAILED)
    if not terminal.json:
        terminal.note(
            f"`retort export {label}` brings it here" if version.state == "sealed" else f"`retort wait {label}`"
        )


def control(
    ctx: typer.Context,
    version: Annotated[str, typer.Argument(help="NAME@N, sealed.")],
    filter: Annotated[str, typer.Option(help="Kind of the filter that chance stands in for.")],
    seed: Annotated[int, typer.Option(help="Another seed draws other samples.")] = 0,
    follow: Follow = False,
    json: Json = False,
) -> None:
    """Seal a control: the same recipe with a random draw of as many samples in the place of one filter.

    Train a student on both: the difference is what the filter is worth.
    """
    terminal = begin(ctx, json)
    made = terminal.client.control(*split_version(version), filter, seed=seed)
    if follow:
        made = follow_version(terminal, made.dataset, made.number)
    terminal.show(made, view_version(made))
    if made.state in ENDED_BADLY:
        raise typer.Exit(FAILED)
    if not terminal.json:
        terminal.note(f"{made.dataset}@{made.number} is {version} with chance in the place of {filter}")


def export(
    ctx: typer.Context,
    version: Annotated[str, typer.Argument(help="NAME@N.")],
    out: Annotated[Path | None, typer.Option(help="Folder to make; NAME-vN when left out.")] = None,
    format: Annotated[Literal["parquet", "jsonl"], typer.Option(help="How the rows are written.")] = "parquet",
    json: Json = False,
) -> None:
    """Bring a sealed version here as a folder, and check every file against its manifest."""
    terminal = begin(ctx, json)
    from service.cli.exports import bring

    name, number = split_version(version)
    folder = out or Path(f"{name}-v{number}")
    manifest = bring(terminal, name, number, folder, format)
    rows = {split: sum(part.rows for part in parts) for split, parts in manifest.splits.items()}
    told = {"path": str(folder), "format": format, "rows": rows, "sha256": manifest.sha256}
    terminal.show(told, lambda terminal: _view_export(terminal, folder, format, manifest, rows))


def _view_export(terminal: Terminal, folder: Path, format: str, manifest: "Manifest", rows: dict[Any, int]) -> None:
    total = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    shown = ", ".join(f"{split} {count:,}" for split, count in rows.items())
    checked = "every file as sealed" if format == "parquet" else "rows counted"
    terminal.say(f"{folder}: {manifest.dataset}@{manifest.version}, {shown} rows, {size(total)}; {checked}")
    terminal.say("load it with", style="dim")
    if format == "parquet":
        terminal.say(f'  datasets.load_dataset("{folder}")')
    else:
        files = ", ".join(f'"{split}": "{folder}/{split}.jsonl"' for split in rows)
        terminal.say(f'  datasets.load_dataset("json", data_files={{{files}}})')
    terminal.say(*(f"duty: {clean(duty)}" for duty in manifest.licence.duties))


def _view_preview(terminal: Terminal, found: "PreviewOut") -> None:
    looks.funnel(terminal, found.funnel)
    share = percent(found.kept / found.input if found.input else None)
    terminal.say(f"would keep {found.kept:,} of a sample of {found.input:,} ({share}); nothing was stored")
    for example in found.examples[:5]:
        why = ": ".join(part for part in (example.reason, example.detail) if part)
        terminal.say(clean(f"  trace {example.trace}, {example.filter}: {why}"), style="dim")


def _overrides(given: list[str], author: str | None) -> list[dict[str, str]]:
    if given and not author:
        raise Refused("--override needs --author: the card says who decided it")
    overrides: list[dict[str, str]] = []
    for text in given:
        licence, equals, reason = text.partition("=")
        if not (licence.strip() and equals and reason.strip()):
            raise Refused(f"--override {text!r}: expected LICENCE=REASON")
        overrides.append({"licence": licence.strip(), "reason": reason.strip(), "author": author or ""})
    return overrides
