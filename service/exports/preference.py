"""`preference`: pairs of a kept and a rejected answer to one prompt, as TRL's DPO reads them."""

from collections.abc import Iterator
from typing import Any

from filters.pairs import by_prompt, pairs, worse_rows
from service.exports import answer
from service.exports.form import ExportFormat, Wish
from service.exports.sealed import Row, Sealed


def _rows(sealed: Sealed, split: str, wish: Wish) -> Iterator[dict[str, Any]]:
    number = {name: place for place, name in enumerate(sealed.batches(split))}
    teachers = {teacher.name for teacher in sealed.manifest.teachers}
    worse = worse_rows(sealed.rejected(), split, wish.worse, number, teachers)
    for kept, others in by_prompt(sealed.kept(split), worse, number):
        for better, other in pairs(kept, others, wish.pairs_max):
            yield _pair(better, other, wish)


def _pair(better: Row, other: Row, wish: Wish) -> dict[str, Any]:
    return {
        "prompt": better["prompt"],
        "chosen": [answer.message(better, wish)],
        "rejected": [answer.message(other, wish)],
        **answer.ids(better),
        "rejected_id": other["id"],
        "reason": f"{other['filter']}: {other['reason']}",
    }


FORMAT = ExportFormat("preference", "TRL (DPO and other preference trainers)", _rows, one_each=False)
