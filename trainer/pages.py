"""`report.md`, `report.html`, their charts, and the model card: all from `report.json` alone."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from trainer.chart import draw_charts, of_teacher
from trainer.curves import draw_curves
from trainer.figures import Table, run_tables, set_tables
from trainer.report import Report, Score, SetReport
from trainer.results import Mode

TEMPLATES = Path(__file__).parent / "templates"
P_MIN = 0.0001
"""Below it a p-value is told as such: more digits would claim what exactness cannot give."""


def write_pages(report: Report, out: Path) -> None:
    """Write the report for people beside `report.json`."""
    from markupsafe import Markup

    charts = draw_charts(report, out)
    # Drawn here by vl-convert, which escapes the text in it; the page has no script at all.
    svgs = {name: Markup((out / f"{stem}.svg").read_text(encoding="utf-8")) for name, stem in charts.items()}  # noqa: S704
    figures = {"of_set": {name: set_tables(found) for name, found in report.sets.items()}, "of_run": run_tables(report)}
    curves = draw_curves(report, out)
    drawn = Markup((out / curves).read_text(encoding="utf-8")) if curves else None  # noqa: S704 - as above
    for kind in ("md", "html"):
        text = fill(
            f"report.{kind}.jinja", report=report, charts=charts, svgs=svgs, figures=figures, curves=curves, drawn=drawn
        )
        (out / f"report.{kind}").write_text(text, encoding="utf-8")


def fill(template: str, **values: Any) -> str:
    """Fill a template of this room; values in HTML are escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=lambda name: name is not None and ".html" in name,  # noqa: S701 - Markdown is escaped by its filters
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(accuracy=_accuracy, points=_points, pvalue=_pvalue, code=_code, inline=inline)
    return environment.get_template(template).render(
        of_teacher=of_teacher, table=markdown_table, figure=figure_table, score_table=score_table, **values
    )


def score_table(measured: SetReport, mode: Mode) -> str:
    """Return the accuracies of a set as a Markdown table, categories down and models across."""
    models = list(measured.overall)
    rows = {"**all**": measured.overall, **{inline(name): found for name, found in measured.categories.items()}}
    return markdown_table(
        ["category", *models],
        [
            [name, *(_accuracy(of_teacher(found, model, mode) if model in found else None) for model in models)]
            for name, found in rows.items()
        ],
    )


def figure_table(found: Table) -> str:
    """Return a table of figures in Markdown."""
    return markdown_table(list(map(inline, found.head)), [list(map(inline, row)) for row in found.rows])


def markdown_table(head: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table; the cells are Markdown already."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def _accuracy(score: Score | None) -> str:
    if score is None or score.accuracy is None:
        return "-"
    return f"{_percent(score.accuracy)} ({100 * score.low:.1f} to {_percent(score.high)}, n = {score.n})"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _points(difference: float) -> str:
    return f"{100 * difference:+.1f} points"


def _pvalue(p: float) -> str:
    return f"< {P_MIN}" if p < P_MIN else f"{p:.4f}"


def _code(text: object) -> str:
    """Return text as Markdown code in one line, whatever backticks a model wrote into it."""
    line = " ".join(str(text).split())
    fence = "`" * (1 + max(map(len, re.findall("`+", line)), default=0))
    return f"{fence} {line} {fence}" if len(fence) > 1 else f"{fence}{line}{fence}"


def inline(text: object) -> str:
    """Return text that stays within a cell of a Markdown table and is no HTML."""
    escaped = " ".join(str(text).split()).replace("\\", "\\\\").replace("|", "\\|")
    return escaped.replace("<", "&lt;").replace(">", "&gt;")
