"""`make experiments`: every training method measured on the tiny teacher, with intervals, into docs/experiments.md.

    python -m bench.experiments                     # all questions, three seeds
    python -m bench.experiments --only soft         # one of them
    python -m bench.experiments --quick             # that all of it works, in a few minutes; the figures mean nothing

Interrupt it, kill it, start it again: every finished training has a result file and is not run twice.
"""

import argparse
import math
import sys
from pathlib import Path

from rich.console import Console

from bench.experiments.data import FULL, QUICK, Maker
from bench.experiments.page import answer, write
from bench.experiments.place import Place
from bench.experiments.questions import COMMON, QUESTIONS, needed
from bench.experiments.runner import processes, run
from bench.experiments.small import make_small
from bench.experiments.watching import Watching

ROOT = Path(__file__).parents[2]
QUICK_STEPS = 3


def main() -> int:
    given = _options()
    place = Place(given.folder, QUICK_STEPS if given.quick else None)
    size = QUICK if given.quick else FULL
    questions = [QUESTIONS[name] for name in given.only or QUESTIONS]
    arms, seeds = needed(questions), range(given.seeds)
    console = Console()
    Maker(place, size).make()
    if any(arm.student == "small" for arm in arms):
        make_small(place.small, QUICK_STEPS) if given.quick else make_small(place.small)
    with (
        Watching(console, len(arms) * len(seeds)) as watching,
        processes(given.processes, place.folder / "processes.log") as workers,
    ):
        results = run(place, arms, seeds, workers, watching.hear, 60 * given.minutes)
    answers = [answer(question, results, seeds) for question in questions]
    told = {"prompts": size.prompts, "heldout": size.heldout, "common": COMMON}
    write(answers, results, told, given.out)
    console.print(f"{given.out} has the tables")
    return 1 if watching.failed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", action="append", choices=list(QUESTIONS), help="a question; may be given more than once"
    )
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each arm, at least two")
    parser.add_argument("--processes", type=int, default=2, help="trainings side by side, one thread each")
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin no training after so long")
    parser.add_argument("--folder", type=Path, help="where data, runs and results are kept")
    parser.add_argument("--out", type=Path, help="the page; docs/experiments.md for all questions, else in the folder")
    parser.add_argument("--quick", action="store_true", help="three steps each, few prompts: a trial")
    given = parser.parse_args()
    if given.seeds < 2:
        parser.error("--seeds: an interval needs at least two")
    given.folder = (
        given.folder or ROOT / "bench" / "results" / ("experiments-quick" if given.quick else "experiments")
    ).resolve()
    whole = not (given.quick or given.only)
    given.out = given.out or (ROOT / "docs" / "experiments.md" if whole else given.folder / "experiments.md")
    return given


if __name__ == "__main__":
    sys.exit(main())
