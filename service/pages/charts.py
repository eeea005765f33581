"""The loss curve: a line in SVG, drawn by hand because it is redrawn every few seconds in the page's own colours.

Charts of finished runs are drawn by the trainer and shown as the files they are.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 640, 200
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 10, 24
POINTS_MAX = 600
"""More points than pixels draw no finer line."""
TICKS = 4


@dataclass(frozen=True, slots=True)
class Line:
    """One series: its name, its SVG `points`, its last value."""

    name: str
    points: str
    last: float


@dataclass(frozen=True, slots=True)
class Chart:
    """Series with the labels of both axes: (place in SVG units, text)."""

    lines: list[Line]
    across: list[tuple[float, str]]
    up: list[tuple[float, str]]
    width: int = WIDTH
    height: int = HEIGHT


def chart(series: Mapping[str, Sequence[tuple[float, float]]]) -> Chart | None:
    """Return a chart of series of (step, value); None when no series has two points to draw a line between."""
    drawn = {
        name: _thinned([point for point in given if all(map(math.isfinite, point))]) for name, given in series.items()
    }
    drawn = {name: given for name, given in drawn.items() if len(given) > 1}
    if not drawn:
        return None
    steps = [step for given in drawn.values() for step, _ in given]
    values = [value for given in drawn.values() for _, value in given]
    first, last = min(steps), max(steps)
    low, high = min(0.0, *values), max(values)

    def x(step: float) -> float:
        return round(LEFT + (step - first) / ((last - first) or 1) * (WIDTH - LEFT - RIGHT), 1)

    def y(value: float) -> float:
        return round(HEIGHT - BOTTOM - (value - low) / ((high - low) or 1) * (HEIGHT - TOP - BOTTOM), 1)

    lines = [
        Line(name, " ".join(f"{x(step)},{y(value)}" for step, value in given), given[-1][1])
        for name, given in drawn.items()
    ]
    across = [(x(first), f"{first:,.0f}"), (x(last), f"{last:,.0f}")]
    up = [(y(value), f"{value:.2g}") for value in (low + (high - low) * tick / TICKS for tick in range(TICKS + 1))]
    return Chart(lines, across, up)


def _thinned(given: Sequence[tuple[float, float]]) -> Sequence[tuple[float, float]]:
    """Return every nth point and the last one."""
    every = math.ceil(len(given) / POINTS_MAX) or 1
    return [*given[:-1:every], given[-1]] if given else given
