"""Pairs of a version's answers as a student reads them: both through its own template, neither cut."""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filters.manifest import Split
from filters.pairs import by_prompt, pairs, worse_rows
from trainer import dataset
from trainer.base import stop_tokens
from trainer.dataset import Folder
from trainer.errors import TrainerError
from trainer.prepare import Prepared, tokens_limits
from trainer.render import Renderer, render
from trainer.unfit import find_unfit, refusal

if TYPE_CHECKING:
    from datasets import Dataset

KEPT_COLUMNS = ("id", "batch", "prompt_id")
WORSE_COLUMNS = (*KEPT_COLUMNS, "teacher", "filter", "split")


@dataclass(frozen=True, slots=True)
class Paired:
    """The pairs of a split."""

    pairs: "Dataset"
    """Columns `prompt_ids`, `chosen_ids`, `rejected_ids`; in the order of the kept rows."""
    unfit: int
    """Pairs set aside for an answer that the student cannot be shown whole."""
    tokens_max: int
    """Of prompt and answer, of the longest."""


def pair_up(config: Any, prepared: Prepared, rows: "Dataset", folder: Folder, split: Split, out: Path) -> Paired:
    """Return the pairs of the rendered `rows` of a split with rejected answers to their prompts.

    Raises TrainerError with a reason of `trainer.unfit` where a rejected answer is unfit and `on_unfit` is `refuse`,
    `columns_missing`.
    """
    from datasets import Dataset

    places = {row: place for place, row in enumerate(rows["id"])}
    chosen = [(places[better], worse) for better, worse in _found(config, folder, split, places)]
    wanted = sorted({worse for _, worse in chosen})
    worse_rendered, unfit, tokens_max = _rendered(config, prepared, folder, split, wanted, out)
    worse_places = {place: number for number, place in enumerate(wanted)}
    # By the place of the kept row, which `order` has settled.
    fit = sorted((kept, worse_places[worse]) for kept, worse in chosen if worse not in unfit)

    def whole(pair: dict[str, int]) -> dict[str, list[int]]:
        kept, worse = rows[pair["kept"]], worse_rendered[pair["worse"]]
        prompt = kept["tokens"] - kept["reply_tokens"]
        return {
            "prompt_ids": kept["input_ids"][:prompt],
            "chosen_ids": kept["input_ids"][prompt:],
            "rejected_ids": worse["input_ids"][worse["tokens"] - worse["reply_tokens"] :],
        }

    index = Dataset.from_dict({"kept": [kept for kept, _ in fit], "worse": [worse for _, worse in fit]})
    made = index
    if fit:
        target = out / "cache" / f"pairs-{split}.arrow"
        target.unlink(missing_ok=True)
        # Named, because what `whole` holds cannot be hashed.
        named: dict[str, Any] = {
            "new_fingerprint": f"pairs{rows._fingerprint[:12]}{split}",
            "cache_file_name": str(target),
        }
        made = index.map(whole, remove_columns=["kept", "worse"], load_from_cache_file=False, desc="Pairing", **named)
    return Paired(made, len(chosen) - len(fit), max(prepared.tokens_max, tokens_max))


def _found(config: Any, folder: Folder, split: Split, ids: Iterable[int]) -> list[tuple[int, int]]:
    """Return the pairs: id of the kept row, place of the other among all rejected ones."""
    known = set(ids)
    kept = [row for file in folder.files(split) for row in _read(file, KEPT_COLUMNS, folder) if row["id"] in known]
    number = {batch: place for place, batch in enumerate(dict.fromkeys(row["batch"] for row in kept))}
    rejected = [row | {"place": place} for place, row in enumerate(_read(folder.rejected, WORSE_COLUMNS, folder))]
    teachers = {teacher.name for teacher in folder.manifest.teachers}
    worse = list(worse_rows(rejected, split, config.worse, number, teachers))
    for side in (kept, worse):  # as they are exported; a folder from elsewhere may differ
        side.sort(key=lambda row: (number[row["batch"]], row["prompt_id"]))
    return [
        (better["id"], other["place"])
        for answers, others in by_prompt(kept, worse, number)
        for better, other in pairs(answers, others, config.pairs_per_prompt)
    ]


def _read(file: Path, columns: Sequence[str], folder: Folder) -> list[dict[str, Any]]:
    from pyarrow import parquet

    with parquet.ParquetFile(file) as opened:
        if missing := [name for name in columns if name not in opened.schema_arrow.names]:
            raise TrainerError(
                "columns_missing", f"{file} lacks the columns {', '.join(missing)}: export {folder.name} again"
            )
        return opened.read(columns=list(columns)).to_pylist()


def _rendered(
    config: Any, prepared: Prepared, folder: Folder, split: Split, places: list[int], out: Path
) -> tuple[Any, set[int], int]:
    """Return the rejected rows at `places` rendered, which of the places are unfit, and tokens of the longest fit."""
    from datasets import load_dataset

    if not places:
        return [], set(), 0
    stored = load_dataset(
        "parquet",
        data_files=str(folder.rejected),
        split="train",
        columns=list(dataset.COLUMNS),
        cache_dir=str(out / "cache"),
    ).select(places)
    renderer = Renderer(prepared.tokenizer, prepared.dialect, stop_tokens(prepared.base.path, prepared.tokenizer))
    rendered = render(stored, renderer, f"worse {split} {folder.manifest.sha256} {config.model_dump_json()}")
    limit = min(tokens_limits(config, prepared.base), default=sys.maxsize)
    unfit = find_unfit(rendered, limit)
    if unfit and config.on_unfit == "refuse" and split == "train":
        ids = rendered["id"]
        told = refusal({ids[place]: found for place, found in unfit.items()}, len(rendered), limit)
        raise TrainerError(told.reason, f"of the rejected answers in the pairs, {told}")
    longest = max((tokens for place, tokens in enumerate(rendered["tokens"]) if place not in unfit), default=0)
    return rendered, {places[place] for place in unfit}, longest
