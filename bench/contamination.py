"""What each method of the filter `contamination` finds of planted test questions, and what it takes for one wrongly.

    python -m bench.contamination                    # 600 questions, 3,000 traces, twenty seconds
    python -m bench.contamination --questions 5000

Questions are word problems of two to five sentences, drawn from stock phrases as authors of exams use them; half go
into the benchmark, the other half are the hardest honest text there is: new questions by the same author. Each question
of the benchmark is planted in five ways. Precision counts hits on honest traces, of which there are as many as plants.
"""

import argparse
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from filters.benchmarks import Line, write
from filters.contamination import Contamination
from filters.sample import Sample
from filters.statistics import wilson

NAMES = """
    Ada Bo Chen Dina Emil Farah Goran Hana Ivo Jun
    Kofi Lena Milan Nora Omar Priya Rosa Sven Tara Umut
""".split()  # noqa: SIM905 - a list literal reads worse
THINGS = """
    tulips pencils marbles bottles tickets bricks stamps
    kites lanterns ropes apples chairs shells coins
""".split()  # noqa: SIM905 - a list literal reads worse
PLACES = ("at the market", "in the school library", "on the farm", "during the summer fair", "at the harbour")
OPENINGS = (
    "{n} has {a} {t} and {b} {u}.",
    "There are {a} {t} and {b} {u} {p}.",
    "{n} bought {a} {t} for {b} dollars each {p}.",
    "On Monday {n} sold {a} {t} {p}, and on Tuesday {b} more than that.",
)
MIDDLES = (
    "{m} has {c} times as many {t} as {n}.",
    "She gives {c} of them to {m} and keeps the rest.",
    "Each box holds {c} {t}, and every box must be full.",
    "A quarter of the {u} were sold before noon, and {m} took {c} of those that were left.",
    "After that {m} brought {c} {t} back because they were broken.",
)
ENDS = (
    "How many {t} are there in total at the end of the day?",
    "How many {u} does {n} have left?",
    "What is the greatest number of {t} that {m} can have?",
    "How many more {t} than {u} are there now?",
)
ASIDES = "Please think step by step and give the final answer in a box. ", "My homework says: ", "Hello! "
SAME = {"has": "owns", "bought": "purchased", "sold": "gave away", "left": "remaining", "How many": "What number of"}
PROSE = """
    the of and to in is that for it as was with
    be by on not he his but at are this have from
""".split()  # noqa: SIM905 - a list literal reads worse


class Row(NamedTuple):
    """A trace, what was done to make it, and whether it holds a question of the benchmark."""

    sample: Sample
    planted: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=600)
    given = parser.parse_args()
    benchmark, rows = corpus(given.questions)
    sizes = Counter(row.planted for row in rows)
    print("| method | " + " | ".join(sizes) + " | precision (95 %) | traces/s |")
    print("|---|" + "---|" * (len(sizes) + 2))
    with tempfile.TemporaryDirectory() as folder:
        written = write((Line(number, text) for number, text in enumerate(benchmark, start=1)), Path(folder))
        for method in Contamination.methods:
            off = {name: "off" for name in Contamination.methods if name != method}
            filter_ = Contamination(benchmarks=(f"exam@{written.sha256}",), **off, **{method: "exclude"})  # pyright: ignore[reportArgumentType]
            print(_line(method, filter_.with_files(Path(folder)), rows, sizes))


def _line(method: str, filter_: Contamination, rows: list[Row], sizes: Counter[str]) -> str:
    started = time.process_time()
    verdicts = list(filter_.judge(row.sample for row in rows))
    took = time.process_time() - started
    hits = Counter(row.planted for row, verdict in zip(rows, verdicts, strict=True) if verdict.reason)
    wrong = sum(hits[kind] for kind in HONEST)
    right = sum(hits.values()) - wrong
    low, high = wilson(right, right + wrong)
    precision = f"{right / max(1, right + wrong):.3f} ({low:.3f}-{high:.3f})"
    shares = " | ".join(f"{hits[kind] / sizes[kind]:.3f}" for kind in sizes)
    return f"| {method} | {shares} | {precision} | {len(rows) / took:,.0f} |"


HONEST = ("new question", "prose")


def corpus(size: int) -> tuple[list[str], list[Row]]:
    """Return the benchmark's questions, and traces: five plants of each, and as many honest ones."""
    rng = random.Random(11)
    drawn = list(dict.fromkeys(question(rng) for _ in range(size)))
    benchmark, others = drawn[::2], drawn[1::2]
    rows = [Row(_sample(rng, plant(rng, text)), name) for name, plant in PLANTS.items() for text in benchmark]
    honest = [Row(_sample(rng, text), "new question") for text in others]
    for _ in range(len(rows) - len(honest)):
        honest.append(Row(_sample(rng, " ".join(rng.choices(PROSE, k=60))), "prose"))
    return benchmark, rows + honest


def question(rng: random.Random) -> str:
    """Draw a word problem of two to five sentences."""
    one, other = rng.sample(NAMES, 2)
    thing, second = rng.sample(THINGS, 2)
    parts = [rng.choice(OPENINGS), *rng.sample(MIDDLES, rng.randint(0, 3)), rng.choice(ENDS)]
    values = {"n": one, "m": other, "t": thing, "u": second, "p": rng.choice(PLACES)}
    numbers = {name: rng.randint(2, 90) for name in "abc"}
    return " ".join(parts).format(**values, **numbers)


def _reworded(rng: random.Random, text: str) -> str:
    for word, other in SAME.items():
        text = text.replace(word, other)
    words = text.split()
    for place in rng.sample(range(len(words)), max(1, len(words) // 8)):
        words[place] = rng.choice(PROSE)
    return " ".join(words)


def _half(rng: random.Random, text: str) -> str:
    words = text.split()
    return " ".join(words[len(words) // 2 :])


def _other_figures(rng: random.Random, text: str) -> str:
    return " ".join(str(rng.randint(2, 90)) if word.isdecimal() else word for word in text.split())


PLANTS: dict[str, Callable[[random.Random, str], str]] = {
    "as it is": lambda rng, text: text,
    "within a text": lambda rng, text: f"{rng.choice(ASIDES)}{text.upper()} {' '.join(rng.choices(PROSE, k=20))}",
    "second half": _half,
    "other figures": _other_figures,
    "reworded": _reworded,
}


def _sample(rng: random.Random, prompt: str) -> Sample:
    reasoning = " ".join(rng.choices(PROSE, k=200))
    messages = [{"role": "user", "content": prompt}]
    return Sample(id=0, prompt_id=0, messages=messages, response="It is 4.", reasoning=reasoning)


if __name__ == "__main__":
    main()
