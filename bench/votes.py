"""How often `vote` errs: several real answers to each of many prompts whose right answer is known, but not told.

    python -m bench.votes                                      # the table, from the answers in examples/filters
    python -m bench.votes --ask examples/arithmetic/teacher    # ask a model for them anew, a minute or two

`bench.verifiers` publishes the table in docs/filters.md.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filters.sample import Sample
from filters.statistics import wilson
from filters.verdict import Outcome
from filters.verifiers.pool import Pool
from filters.vote import Vote

ROOT = Path(__file__).parents[1]
ANSWERS = ROOT / "examples/filters/answers.jsonl"
ANSWERS_MAX = 8
PROMPTS = 300
SIZES = (3, 5, 8)
"""Answers that vote on one prompt."""
TIMEOUT_S = 60.0
"""Far beyond what any comparison takes: the table must not depend on how busy the machine is."""
HEAD = """## How often a majority is wrong

`vote` is measured on real answers: the tiny teacher of `examples/arithmetic` answered {prompts} prompts {most} times
each (temperature 1), {right:.0f} % of them rightly. `{path}` holds the answers beside the
references, which `vote` is not shown. The first 3, 5 and 8 answers to each prompt vote (`python -m bench.votes`).

Answers to one prompt err together, so the intervals (Wilson, 95 %) are of prompts: where there is a majority, how often
is it wrong? Another teacher errs otherwise: one that is mostly wrong in the same way outvotes the truth.

| answers | prompts with a majority | of these wrong, % | wrong among kept, % | right ones rejected, % | abstained, % |
|---|---|---|---|---|---|
"""


@dataclass(frozen=True, slots=True)
class Asked:
    """A prompt with its right answer and the responses to it."""

    prompt: str
    reference: str
    category: str
    responses: list[str]


@dataclass(frozen=True, slots=True)
class Ballot:
    """What `vote` said of the answers to one prompt, beside which of them are right."""

    kept: list[bool]
    """For each answer that was kept, whether it is right."""
    rejected: list[bool]
    abstained: int


def answers() -> list[Asked]:
    """Read the answers."""
    return [Asked(**json.loads(line)) for line in ANSWERS.read_text(encoding="utf-8").splitlines()]


def right(asked: list[Asked]) -> list[list[bool]]:
    """Return for each prompt which of its responses are right, as the verifier `math` finds with the reference."""
    with Pool(timeout_s=TIMEOUT_S) as pool:
        said = pool.verify_many(("math", response, each.reference) for each in asked for response in each.responses)
        return [[next(said).outcome is Outcome.KEEP for _ in each.responses] for each in asked]


def ballots(asked: list[Asked], marks: list[list[bool]], size: int) -> Iterator[Ballot]:
    """Have the first `size` answers to each prompt vote."""
    samples = (
        Sample(number * ANSWERS_MAX + index, number, [{"role": "user", "content": each.prompt}], response, "")
        for number, each in enumerate(asked)
        for index, response in enumerate(each.responses[:size])
    )
    verdicts = Vote(timeout_s=TIMEOUT_S).judge(samples)
    for each in marks:
        said = [(next(verdicts).outcome, is_right) for is_right in each[:size]]
        kept, rejected = (
            [is_right for outcome, is_right in said if outcome is wanted] for wanted in (Outcome.KEEP, Outcome.REJECT)
        )
        yield Ballot(kept, rejected, len(said) - len(kept) - len(rejected))


def page() -> str:
    """Return the section of docs/filters.md."""
    asked = answers()
    marks = right(asked)
    every = [mark for each in marks for mark in each]
    head = {"prompts": len(asked), "most": ANSWERS_MAX, "right": 100 * sum(every) / len(every)}
    rows = [_row(size, list(ballots(asked, marks, size))) for size in SIZES]
    return HEAD.format(path=ANSWERS.relative_to(ROOT), **head) + "\n".join([*rows, ""])


def _row(size: int, found: list[Ballot]) -> str:
    decided = [each for each in found if each.kept]
    wrong = sum(not each.kept[0] for each in decided)
    low, high = wilson(wrong, len(decided))
    kept = [mark for each in found for mark in each.kept]
    right_ones = sum(kept) + sum(mark for each in found for mark in each.rejected)
    cells = (
        size,
        f"{len(decided)} of {len(found)}",
        f"{100 * wrong / len(decided):.1f} ({100 * low:.1f}-{100 * high:.1f})",
        f"{100 * (1 - sum(kept) / len(kept)):.1f}",
        f"{100 * (1 - sum(kept) / right_ones):.1f}",
        f"{100 * sum(each.abstained for each in found) / (size * len(found)):.1f}",
    )
    return f"| {' | '.join(map(str, cells))} |"


def ask(model: str) -> None:
    """Have a model answer the example's held-out problems, and keep what it answers."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    sys.path.insert(0, str(ROOT / "examples/arithmetic"))
    from evaluation import answer, heldout  # pyright: ignore[reportMissingImports]
    from problems import CATEGORIES  # pyright: ignore[reportMissingImports]

    torch.set_num_threads(1)
    items: list[Any] = heldout(PROMPTS, tuple(CATEGORIES))
    prompts = [item.prompt for item in items for _ in range(ANSWERS_MAX)]
    loaded = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32), AutoTokenizer.from_pretrained(model)
    replies = iter(answer(*loaded, prompts, temperature=1.0))
    with ANSWERS.open("w", encoding="utf-8") as out:
        for item in items:
            responses = [next(replies).rpartition("</think>")[2].strip() for _ in range(ANSWERS_MAX)]
            line = {"prompt": item.prompt, "reference": str(item.answer), "category": item.category}
            out.write(json.dumps(line | {"responses": responses}, ensure_ascii=False) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ask", metavar="MODEL", help="a folder of weights to ask for answers first")
    given = parser.parse_args()
    if given.ask:
        ask(given.ask)
    print(page())


if __name__ == "__main__":
    main()
