"""Write the example's prompts in Retort's native format, with references.

python examples/arithmetic/prompts.py --seed 0 --train 2000 --heldout 360 --ood 180 --out DIR
"""

import argparse
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from problems import CATEGORIES, OUT_OF_DISTRIBUTION, Problem, problems


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--train", type=int, default=2000, help="prompts to train on")
    parser.add_argument("--heldout", type=int, default=360, help="prompts of the same kind, never trained on")
    parser.add_argument("--ood", type=int, default=180, help="prompts of other kinds: larger numbers, new names, ...")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    write_all(options.out, options.seed, {"train": options.train, "heldout": options.heldout, "ood": options.ood})


def write_all(folder: Path, seed: int, counts: dict[str, int]) -> None:
    """Write `<split>.jsonl` for each split; byte for byte the same for the same arguments."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, items in splits(seed, counts).items():
        lines = (json.dumps(line(split, number, item)) + "\n" for number, item in enumerate(items, 1))
        (folder / f"{split}.jsonl").write_text("".join(lines), encoding="utf-8", newline="\n")


def splits(seed: int, counts: dict[str, int]) -> dict[str, list[Problem]]:
    """Problems of each split; no prompt occurs twice, within a split or across them."""
    seen: set[str] = set()
    return {
        "train": list(islice(unseen(problems(f"{seed} train", CATEGORIES, heldout=False), seen), counts["train"])),
        "heldout": list(islice(unseen(problems(f"{seed} heldout", CATEGORIES, heldout=True), seen), counts["heldout"])),
        "ood": list(islice(unseen(problems(f"{seed} ood", tuple(OUT_OF_DISTRIBUTION)), seen), counts["ood"])),
    }


def unseen(items: Iterator[Problem], seen: set[str]) -> Iterator[Problem]:
    """Skip prompts already in `seen`, and add the new ones to it."""
    for item in items:
        if item.prompt not in seen:
            seen.add(item.prompt)
            yield item


def line(split: str, number: int, item: Problem) -> dict[str, str]:
    return {
        "id": f"{split}-{number:06d}",
        "prompt": item.prompt,
        "reference": str(item.answer),
        "verifier": "math",
        "category": item.category,
        "source": "retort-arithmetic",
        "license": "apache-2.0",
    }


if __name__ == "__main__":
    main()
