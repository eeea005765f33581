"""`retort curate` and `retort export`: from traces to a sealed version, and from there to a folder here."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from service.cli import looks
from service.cli.batches import Follow
from service.cli.files import read_object
from service.cli.following import ENDED_BADLY, follow_version
from service.cli.looks import view_version
from service.cli.status import split_version
from service.cli.terminal import FAILED, Json, Refused, Terminal, begin
from service.cli.words import clean, percent, size

if TYPE_CHECKING:
    from service.api.shapes.datasets import PreviewOut
    from service.cli.exports import Brought

Use = Literal["research", "commercial"]
Group = Literal["auto", "near", "text"]


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
    group: Annotated[
        Group | None,
        typer.Option(
            help="Prompts that share a split: equal ones (text), near-duplicate ones, too (near), or those unless too "
            "many hang together (auto, the default)."
        ),
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
    wanted = {"eval": eval_share, "test": test_share, "group": group}
    split: dict[str, Any] = {name: value for name, value in wanted.items() if value is not None}
    more: dict[str, Any] = {
        "base": base,
        "split": split or None,
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
    out: Annotated[Path | None, typer.Option(help="Folder to make; NAME-vN, with the format, when left out.")] = None,
    format: Annotated[
        str,
        typer.Option(
            help="parquet (the sealed folder), jsonl, messages, prompt_completion, preference, openai, sharegpt, "
            "alpaca or axolotl."
        ),
    ] = "parquet",
    split: Annotated[
        list[str] | None, typer.Option(help="train, eval or test; may be given more than once. All, when left out.")
    ] = None,
    reasoning: Annotated[
        str | None,
        typer.Option(metavar="field|inline|drop", help="Where it goes; a field where the format has one, else inline."),
    ] = None,
    reasoning_key: Annotated[
        str | None, typer.Option(help="What that field is called; reasoning_content, as most templates read it.")
    ] = None,
    worse: Annotated[
        list[str] | None,
        typer.Option(help="For preference: a filter whose rejections are worse answers; verified when left out."),
    ] = None,
    pairs_max: Annotated[int | None, typer.Option(help="For preference: pairs of one prompt at most; 4.")] = None,
    json: Json = False,
) -> None:
    """Bring a sealed version here as a folder, in the format that a trainer reads."""
    terminal = begin(ctx, json)
    from service.cli.exports import bring
    from service.errors import nearest
    from service.exports import FORMATS, PARQUET

    name, number = split_version(version)
    if format != PARQUET and format not in FORMATS:
        raise Refused(f"--format: there is no '{format}'{nearest(format, [PARQUET, *FORMATS])}")
    if split and format == PARQUET:
        raise Refused("--split: parquet brings the whole sealed folder; --format jsonl has the same rows by split")
    folder = out or Path(f"{name}-v{number}" if format in {PARQUET, "jsonl"} else f"{name}-v{number}-{format}")
    wish = {"reasoning": reasoning, "reasoning_key": reasoning_key, "worse": worse, "pairs_max": pairs_max}
    brought = bring(terminal, name, number, folder, format, split or (), **wish)
    told = {"path": str(folder), "format": format, "rows": brought.rows, "sha256": brought.manifest.sha256}
    terminal.show(told, lambda terminal: _view_export(terminal, folder, format, brought))


def _view_export(terminal: Terminal, folder: Path, format: str, brought: "Brought") -> None:
    manifest = brought.manifest
    total = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    shown = ", ".join(f"{split} {count:,}" for split, count in brought.rows.items())
    checked = "every file as sealed" if format == "parquet" else "rows counted"
    terminal.say(f"{folder}: {manifest.dataset}@{manifest.version}, {shown} rows, {size(total)}; {checked}")
    if brought.settings:
        terminal.say(f"{folder / brought.settings} tells its reader of the files", style="dim")
    else:
        terminal.say("load it with", style="dim")
        files = ", ".join(f'"{split}": "{folder}/{split}.jsonl"' for split in brought.rows)
        arguments = f'"{folder}"' if format == "parquet" else f'"json", data_files={{{files}}}'
        terminal.say(f"  datasets.load_dataset({arguments})")
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
