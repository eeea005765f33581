"""How many traces a second of one core each filter of a recipe judges.

    python -m bench.filters                                   # 1,000 traces, half a minute
    python -m bench.filters --traces 5000 contamination pii

Traces are reasoning of 200 to 600 words with a response: word problems worked out in figures and in LaTeX, explanations
in prose, and programs. A few have what the filters are after. Seconds are CPU seconds, of child processes too.
"""

import argparse
import os
import random
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench.contamination import NAMES, PLACES, THINGS, question
from filters.base import Filter
from filters.benchmarks import Line, write
from filters.recipe import FILTERS, Recipe
from filters.sample import Sample
from filters.verdict import Verdict

QUESTIONS = 2_000
"""Lines of the benchmark that `contamination` looks for."""
BEGINNING = 20
"""Samples judged to find what a filter takes to begin."""
FASTEST = 1_000_000
"""Above it a clock says nothing."""
ANSWERS = 4
"""To each prompt, one after the other, as curation reads them."""
KNOBS: dict[str, dict[str, Any]] = {
    "judged": {"teacher": "none", "rubric": "It is right."},
    "format": {"pattern": r"\d|\bdone\b", "boxed": "any"},
    "select": {"per_prompt": 2},
}
"""What a filter must be told, or is most often."""
OPENINGS = """
    First I write down that|Now it is plain that|The text says that|Wait, I forgot that|Let me check whether
    It helps to draw how|So we may assume that|As {n} remarked before,|On the {a}th day|From this it follows that
    Nobody doubts that|Looked at from the other side,|To be sure,|In the second case|Suppose for a moment that
"""
MIDDLES = """
    {n} takes {a} {t} from the shelf|{m} counts the {u} a second time|every box holds as many {t} as {u}
    the {t} are sorted by their size|there is one {t} too few for {m}|{n} and {m} share what is left
    the first row stays as it was|{m} sells {b} {u} to a neighbour|the order of the boxes does not matter
    no more than {b} of them can fit|{n} gives half of the {t} away|the {u} have not been touched since noon
"""
ENDINGS = """
    {p}.|, which is easy to overlook.|, and that is all we need to know.|, so the count grows by {b}.
    before anybody comes back.|, because {m} said so at the beginning.|, as the table above shows.|, or so it seems.
    while {n} waits outside with the {u}.|, if the question means what I think it means.|, just as we had hoped.
    until the last {t} is gone.|, although {n} had planned it differently.|, give or take one or two.
"""
PARTS = [
    [part.strip() for part in parts.replace("\n", "|").split("|") if part.strip()]
    for parts in (OPENINGS, MIDDLES, ENDINGS)
]
ASKED = (
    "{n} keeps {a} {t} in one drawer and {b} {u} in another, and moves some of them every night. After how many nights "
    "are both drawers equally full?",
    "A machine wraps {a} {t} a minute. Another one, which {m} repaired, wraps {b}. How long do both need for an order "
    "of {c} {t}?",
    "For the wall of a shed {n} wants {a} {t} in the bottom row and one fewer in each row above. With {c} of them, how "
    "high does the wall get?",
)
STEPS: tuple[Callable[[int, int], str], ...] = (
    lambda a, b: f"So we have {a} * {b} = {a * b} in all.",
    lambda a, b: rf"This means that \({a} \times {b} + {a} = {a * b + a}\), as it should be.",
    lambda a, b: f"We are left with {a * b} - {b} = {a * b - b}, and half of that is {(a * b - b) / 2:g}.",
    lambda a, b: rf"\[ \frac{{{a}}}{{{b}}} + \frac{{1}}{{{b}}} = \frac{{{a + 1}}}{{{b}}} \]",
    lambda a, b: f"At ${a}.50 each that costs ${a}.50 * {b} = ${(a + 0.5) * b:.2f} altogether.",
)
CODE = """```python
def count_{t}(boxes, each={a}):
    # Sum what is in the boxes; empty ones count for nothing.
    total = 0
    for box in boxes:
        total += each * len(box) if box else 0
    return total + {b}
```"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", metavar="FILTER", help="its kind; all where none is named")
    parser.add_argument("--traces", type=int, default=1_000)
    given = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    samples = list(traces(given.traces))
    words = sum(len(f"{each.reasoning} {each.response}".split()) for each in samples)
    print(f"{len(samples):,} traces of {words / len(samples):.0f} words on average\n", flush=True)
    print("| filter | traces a second | verdicts other than keep |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for kind in given.kinds or FILTERS:
            print(line(kind, samples, Path(folder)), flush=True)


def line(kind: str, samples: list[Sample], folder: Path) -> str:
    """Judge all samples with one filter; return its row of the table."""
    knobs = KNOBS.get(kind, {})
    if kind == "contamination":
        rng = random.Random(2)
        lines = (Line(number, question(rng)) for number in range(1, QUESTIONS + 1))
        knobs = {"benchmarks": [f"exam@{write(lines, folder).sha256}"]}
    (filter_,) = Recipe.parse({"filters": [{"kind": kind, **knobs}]}).with_files(folder).filters
    list(filter_.judge(samples[:BEGINNING]))  # loaded and compiled from here on
    # Reading benchmarks or starting processes takes as long for a few samples as for a million.
    beginning, _ = _judged(filter_, samples[:BEGINNING])
    seconds, verdicts = _judged(filter_, samples)
    rate = (len(samples) - BEGINNING) / max(seconds - beginning, 1e-6)
    said = Counter(f"{verdict.outcome.value} {verdict.reason}" for verdict in verdicts if verdict.reason)
    shown = ", ".join(f"{count} {what}" for what, count in said.most_common())
    return f"| {kind} | {min(rate, FASTEST):,.0f} | {shown} |"


def _judged(filter_: Filter, samples: list[Sample]) -> tuple[float, list[Verdict]]:
    start = _cpu_s()
    verdicts = list(filter_.judge(iter(samples)))
    return _cpu_s() - start, verdicts


def traces(count: int) -> Iterator[Sample]:
    """Yield so many traces, the answers to a prompt one after the other."""
    rng = random.Random(4)
    for number in range(count):
        if number % ANSWERS == 0:
            prompt = rng.choice(ASKED).format(**_words(rng))
        yield _trace(rng, number, prompt)  # pyright: ignore[reportPossiblyUnboundVariable] - set by the first


def _trace(rng: random.Random, number: int, prompt: str) -> Sample:
    figures, length = rng.random(), rng.randint(200, 600)
    parts: list[str] = []
    while sum(part.count(" ") + 1 for part in parts) < length:
        if rng.random() < figures / 2:
            parts.append(rng.choice(STEPS)(rng.randint(2, 90), rng.randint(2, 90)))
        else:
            sentence = " ".join(map(rng.choice, PARTS)).replace(" ,", ",")
            parts.append(sentence.format(**_words(rng)))
    result = rng.randint(2, 5000)
    parts.append(f"So the result is {result}.")
    reasoning = "".join(f"{part}{rng.choice((' ', ' ', chr(10), chr(10) * 2))}" for part in parts)
    response = f"{' '.join(rng.choices(parts, k=4))}\n\n" if rng.random() < 0.8 else ""
    if rng.random() < 0.3:
        response += CODE.format(**_words(rng)) + "\n\n"
    response += rf"The answer is \(\boxed{{{result}}}\)."
    if rng.random() < 0.02:
        reasoning += question(rng)
    if rng.random() < 0.02:
        response = rng.choice(("I'm sorry, but I can't help with that.", "Write to jane@somefirm.de.", "Voilà 你好."))
    return Sample(
        id=number,
        prompt_id=number // ANSWERS,
        messages=[{"role": "user", "content": prompt}],
        response=response,
        reasoning=reasoning,
        completion_tokens=length,
        reference=str(result),
        teacher="made",
        teacher_license="apache-2.0",
        license="own",
    )


def _words(rng: random.Random) -> dict[str, Any]:
    (one, other), (thing, second) = rng.sample(NAMES, 2), rng.sample(THINGS, 2)
    figures = {"a": rng.randint(2, 90), "b": rng.randint(2, 90), "c": rng.randint(100, 900)}
    return {"n": one, "m": other, "t": thing, "u": second, "p": rng.choice(PLACES), **figures}


def _cpu_s() -> float:
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + spent.ru_utime + spent.ru_stime


if __name__ == "__main__":
    main()
