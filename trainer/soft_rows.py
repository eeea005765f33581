"""Soft labels put beside the rendered rows: which token of a student's row each of them is of."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from filters.manifest import Split
from trainer.dataset import Folder
from trainer.errors import TrainerError

if TYPE_CHECKING:
    from datasets import Dataset

NO_LABEL = -1
"""Token id where there is no entry."""
SHARE_MIN = 0.9
"""Of the teacher's tokens that must be found in the student's rows. With the same tokenizer only what a template trims
is missing, a few tokens a row; another tokenizer has other ids for nearly all."""


@dataclass(slots=True)
class Matched:
    """How much of the soft labels found its place."""

    rows: int = 0
    rows_labelled: int = 0
    tokens: int = 0
    """Of the replies of all rows."""
    labels: int = 0
    """Tokens that the teacher labelled."""
    found: int = 0
    """Of those, how many are the same tokens in the student's row."""
    k: int = 0

    def told(self) -> dict[str, Any]:
        """Return what the event `soft_labels` says."""
        return {
            "rows": self.rows,
            "rows_labelled": self.rows_labelled,
            "tokens": self.tokens,
            "tokens_labelled": self.found,
            "k": self.k,
        }

    def check(self, name: str) -> None:
        """Raise TrainerError unless there are labels and nearly all of them fit."""
        if not self.labels:
            raise TrainerError("no_soft_labels", f"no row of {name} that can be trained on has soft labels")
        if self.found < SHARE_MIN * self.labels:
            raise TrainerError(
                "tokenizer_mismatch",
                f"only {self.found:,} of the {self.labels:,} tokens that the teacher labelled are tokens of the "
                "student's rows: they split text differently. Soft labels need a student with the teacher's tokenizer; "
                "the method `sft` trains any",
            )


def with_soft_labels(rows: "Dataset", folder: Folder, split: Split, cache: Path) -> tuple["Dataset", Matched]:
    """Return `rows` with `soft_ids` and `soft_logprobs`, and how well they matched.

    Both are flat lists of (tokens of the reply) * k entries; `soft_ids` is NO_LABEL where nothing is known.
    """
    from datasets import load_dataset

    matched = Matched(rows=len(rows))
    files = [str(folder.path / part.path) for part in folder.labels(split)]
    stored = load_dataset("parquet", data_files=files, split="train", cache_dir=str(cache)) if files else None
    places = {row: place for place, row in enumerate(stored["id"])} if stored else {}
    matched.k = folder.manifest.soft_labels.k if folder.manifest.soft_labels else 0
    reader = stored.with_format("numpy") if stored else None

    def place(row: dict[str, Any]) -> dict[str, Any]:
        reply = np.asarray(row["input_ids"][len(row["input_ids"]) - row["reply_tokens"] :])
        ids = np.full((len(reply), matched.k), NO_LABEL, np.int32)
        logprobs = np.zeros((len(reply), matched.k), np.float32)
        matched.tokens += len(reply)
        found = places.get(row["id"])
        if reader is not None and found is not None:
            label = reader[found]
            k = int(label["k"])
            theirs = label["token_ids"].reshape(-1, k)
            mine, its = same_tokens(reply, theirs[:, 0])
            ids[mine, :k] = theirs[its]
            logprobs[mine, :k] = label["logprobs"].reshape(-1, k)[its]
            matched.rows_labelled += 1
            matched.labels += len(theirs)
            matched.found += len(mine)
        return {"soft_ids": ids.ravel(), "soft_logprobs": logprobs.ravel()}

    # Named, because what `place` holds cannot be hashed.
    name = f"{rows._fingerprint[:12]}soft"
    return rows.map(place, new_fingerprint=name, load_from_cache_file=False, desc="Placing soft labels"), matched


def same_tokens(first: Any, second: Any) -> tuple[Any, Any]:
    """Return the places in `first` and in `second` of the tokens that both have in common, in order.

    A template may trim or add blanks around reasoning and response, so that a reply is not token for token what the
    teacher wrote. What was predicted right after such a place is off by a blank in its context, and is used.
    """
    from rapidfuzz.distance import Indel

    if np.array_equal(first, second):
        places = np.arange(len(first))
        return places, places
    blocks = Indel.opcodes(first.tolist(), second.tolist())
    mine, its = [], []
    for block in blocks:
        if block.tag == "equal":
            mine.append(np.arange(block.src_start, block.src_end))
            its.append(np.arange(block.dest_start, block.dest_end))
    none = [np.arange(0)]
    return np.concatenate(mine or none), np.concatenate(its or none)
