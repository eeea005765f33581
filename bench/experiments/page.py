"""`docs/experiments.md`: for every question its lines, their differences with intervals, and what is shown by them."""

import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from bench.experiments.arm import Result
from bench.experiments.questions import GREEDY, SAMPLED, Line, Question
from bench.experiments.statistics import Estimate, estimate

MODES = {GREEDY: "greedy", SAMPLED: "T = 1"}
Results = dict[tuple[str, int], Result]


@dataclass(frozen=True)
class Row:
    """A line of a question, counted."""

    label: str
    seeds: list[int]
    rows: int
    steps: int
    tokens: int
    reply_tokens: float
    accuracy: dict[str, Estimate]


@dataclass(frozen=True)
class Difference:
    """Two lines of a question on the same seeds and prompts."""

    line: str
    against: str
    of: dict[str, Estimate]

    @property
    def verdict(self) -> str:
        """Say in which modes the difference is shown."""
        shown = [MODES[mode] for mode, found in self.of.items() if found.is_shown]
        if not shown:
            return "not shown"
        return "shown" if len(shown) == len(MODES) else f"shown, {shown[0]} only"


@dataclass(frozen=True)
class Answer:
    """A question with what was found; a line with less than two seeds is among neither."""

    question: Question
    rows: list[Row]
    differences: list[Difference]
    missing: list[str]


def answer(question: Question, results: Results, seeds: Sequence[int]) -> Answer:
    """Count what the results say to a question."""
    lines = {line.label: line for line in question.lines}
    done = {label: [seed for seed in seeds if (line.arm, seed) in results] for label, line in lines.items()}
    rows = [_row(line, results, done[label]) for label, line in lines.items() if len(done[label]) > 1]
    differences = []
    for line in question.lines:
        for other in line.against:
            both = [seed for seed in done[line.label] if seed in done[other]]
            if len(both) > 1:
                differences.append(_difference(line, lines[other], results, both))
    missing = [f"{label}: {len(done[label])} of {len(seeds)} seeds" for label in lines if len(done[label]) < len(seeds)]
    return Answer(question, rows, differences, missing)


def write(answers: Iterable[Answer], results: Results, data: dict[str, Any], target: Path) -> None:
    """Write the page."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=False,  # noqa: S701 - Markdown, of words that are all ours
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(percent=percent, points=points)
    verified = [found for (arm, _), found in sorted(results.items()) if arm == "verified"]
    text = environment.get_template("page.md.jinja").render(
        answers=list(answers),
        modes=MODES,
        cpu_min=round(sum(found.cpu_s for found in results.values()) / 60),
        runs=len(results),
        seeds=len({seed for _, seed in results}),
        base=_accuracies(verified, "base"),
        teacher=_teacher(verified),
        machine=_machine(),
        day=datetime.now(UTC).date().isoformat(),
        **data,
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")


def percent(found: Estimate) -> str:
    """Return an accuracy in percent with its interval, which cannot leave 0 to 100."""
    low, high = max(0.0, found.low), min(1.0, found.high)
    return f"{100 * found.mean:.1f} ({100 * low:.0f}-{100 * high:.0f})"


def points(found: Estimate) -> str:
    """Return a difference in percentage points with its interval; bold where it is shown."""
    text = f"{100 * found.mean:+.1f} ({100 * found.low:+.1f} to {100 * found.high:+.1f})"
    return f"**{text}**" if found.is_shown else text


def _row(line: Line, results: Results, seeds: list[int]) -> Row:
    found = [results[line.arm, seed] for seed in seeds]
    return Row(
        label=line.label,
        seeds=seeds,
        rows=round(np.mean([each.seen[line.model].rows for each in found])),
        steps=round(np.mean([each.seen[line.model].steps for each in found])),
        tokens=round(np.mean([each.seen[line.model].tokens for each in found])),
        reply_tokens=float(np.mean([each.reply_tokens[line.model] for each in found])),
        accuracy={mode: estimate(_table([each.right[line.model][mode] for each in found])) for mode in MODES},
    )


def _difference(line: Line, other: Line, results: Results, seeds: list[int]) -> Difference:
    of = {}
    for mode in MODES:
        mine, theirs = (
            np.array([results[each.arm, seed].right[each.model][mode] for seed in seeds], dtype=float)
            for each in (line, other)
        )
        of[mode] = estimate(_judged(mine - theirs))
    return Difference(line.label, other.label, of)


def _table(right: list[list[bool | None]]) -> Any:
    return _judged(np.array(right, dtype=float))


def _judged(table: Any) -> Any:
    """Return the prompts that could be judged in every cell."""
    return table[:, ~np.isnan(table).any(axis=0)]


def _accuracies(results: list[Result], model: str) -> dict[str, Estimate]:
    found = [each.right[model] for each in results if model in each.right]
    return {mode: estimate(_table([right[mode] for right in found])) for mode in MODES} if len(found) > 1 else {}


def _teacher(results: list[Result]) -> float | None:
    """Return the share of the teacher's stored, greedy answers that are right."""
    right = next((each.right["teacher"][SAMPLED] for each in results if "teacher" in each.right), [])
    return sum(map(bool, right)) / len(right) if right else None


def _machine() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
    return f"{os.cpu_count()} cores of {name}"
