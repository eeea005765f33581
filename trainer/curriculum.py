"""A curriculum: rows of prompts that teachers mostly get right come first, and of those alike the short ones.

Easy to hard was proposed by Bengio et al. 2009 ("Curriculum Learning"); how hard a prompt is the version itself tells.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from trainer.dataset import Folder
from trainer.errors import TrainerError

JUDGING = ("verified", "vote", "judged")
"""Filters that tell right answers from wrong ones."""
ROWS_AT_ONCE = 65_536


def pass_rates(folder: Folder) -> dict[int, Fraction]:
    """Return by row id the share of right answers to its prompt, of those that the recipe's first judging filter saw.

    What filters before it rejected was never judged; what those after it rejected was right. An abstention that the
    recipe kept counts as right: the export does not tell them apart. Raises TrainerError `no_pass_rates`,
    `columns_missing`.
    """
    kinds = [str(entry.get("kind")) for entry in folder.manifest.recipe.get("filters", [])]
    place = next((place for place, kind in enumerate(kinds) if kind in JUDGING), None)
    if place is None:
        raise TrainerError(
            "no_pass_rates",
            f"the recipe of {folder.name} has no filter that tells right from wrong ({', '.join(JUDGING)}), so nobody "
            "knows how hard its prompts are. Curate with one, or set `order` to `short_first`",
        )
    rows: dict[int, int] = {}
    for file in folder.files("train"):
        rows.update(zip(_column(file, "id", folder), _column(file, "prompt_id", folder), strict=True))
    right = Counter(rows.values())
    wrong = Counter[int]()
    prompts = _column(folder.rejected, "prompt_id", folder)
    for prompt_id, decided_by in zip(prompts, _column(folder.rejected, "filter", folder), strict=True):
        if decided_by == kinds[place]:
            wrong[prompt_id] += 1
        elif decided_by in kinds[place:] and decided_by not in kinds[:place]:
            right[prompt_id] += 1
    rates = {prompt_id: Fraction(count, count + wrong[prompt_id]) for prompt_id, count in right.items()}
    return {row: rates[prompt_id] for row, prompt_id in rows.items()}


def order(ids: Sequence[int], tokens: Sequence[int], rates: Mapping[int, Fraction]) -> list[int]:
    """Return the places of rows from easy to hard: by pass rate from high to low, by tokens from few to many."""
    return sorted(range(len(ids)), key=lambda place: (-rates[ids[place]], tokens[place]))


def _column(file: Path, name: str, folder: Folder) -> list[Any]:
    from pyarrow import parquet

    with parquet.ParquetFile(file) as opened:
        if name not in opened.schema_arrow.names:
            raise TrainerError("columns_missing", f"{file} has no column `{name}`: export {folder.name} again")
        found = []
        for batch in opened.iter_batches(ROWS_AT_ONCE, columns=[name]):
            found += batch.column(0).to_pylist()
    return found
