"""The figures of runs beside accuracy, and the paired tests between students, as tables."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from service.cli.terminal import Terminal
from service.cli.words import one_line

if TYPE_CHECKING:
    from service.api.shapes.runs import Figure, RunComparison

NAME_WIDTH, REASON_WIDTH = 28, 300


def view_figures(terminal: Terminal, names: Sequence[str], reports: Sequence[dict[str, Any]]) -> None:
    """Print the figures: of one run its models side by side, of several their students."""
    from service.figures import figures, models, not_measured

    found = [figures(report) for report in reports]
    columns = models(found[0]) if len(found) == 1 else names
    if any(found):
        terminal.say("")
        terminal.table(
            ("~figure", "~of", *(f"#{one_line(name, 20)}" for name in columns)),
            list(_rows(found, columns)),
            title="Other figures",
        )
    for name, report in zip(names, reports, strict=False):
        for figure, reason in not_measured(report).items():
            told = one_line(reason, REASON_WIDTH)
            terminal.say(f"{name}: not measured: {one_line(figure.replace('_', ' '), NAME_WIDTH)}: {told}", style="dim")


def view_paired(terminal: Terminal, comparison: "RunComparison", mode: str) -> None:
    """Print whether the other students differ from the first on the same prompts."""
    lines = [
        f"{one_line(test.second, 40)} against {one_line(test.first, 40)} on {one_line(test.set, 40)}: "
        f"{100 * test.difference:+.1f} points on {test.n:,} prompts, "
        f"p {'< 0.001' if test.p_value < 0.001 else f'= {test.p_value:.3f}'} (McNemar)"
        for test in comparison.paired
        if test.mode == mode
    ]
    if lines:
        terminal.say("", *lines)


def _rows(found: "list[list[Figure]]", columns: Sequence[str]) -> Iterator[tuple[str, ...]]:
    from service.figures import shown

    keys = dict.fromkeys((figure.name, figure.of) for figures in found for figure in figures)
    for name, of in keys:
        same = [next((each for each in figures if (each.name, each.of) == (name, of)), None) for figures in found]
        if len(found) == 1:
            cells = [shown(same[0], model) if same[0] else "-" for model in columns]
        else:
            cells = [shown(figure, "student") if figure else "-" for figure in same]
        yield one_line(name, 60), one_line(of, 40), *cells
