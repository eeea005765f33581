"""The gap chart: accuracy by category for base, student and teachers, with intervals; SVG and PNG, no JavaScript."""

import re
from pathlib import Path
from typing import Any

from trainer.report import Models, Report, Score, SetReport
from trainer.results import TEACHER, Mode

COLOURS = {"base": "#b9bfc9", "student": "#2463c9"}
TEACHER_COLOURS = ["#e08b1c", "#a44d9c", "#3d9970", "#c0392b"]
INK, FAINT, GRID = "#20242b", "#5b6270", "#e6e8ec"
ALL = "all categories"
ROW_PX = 48
"""Height of a category; its bars share it."""


def draw_charts(report: Report, folder: Path) -> dict[str, str]:
    """Write `gap-SET.svg` and `gap-SET.png` for each set and return the stem of their names by set."""
    from vl_convert import svg_to_png

    stems: dict[str, str] = {}
    for name, measured in report.sets.items():
        stem = "gap-" + (re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "set")
        if stem in stems.values():
            stem += f"-{len(stems)}"
        stems[name] = stem
        svg = folder / f"{stem}.svg"
        _chart(name, measured, report.temperature).save(str(svg))
        # From the drawing rather than from the chart again: a third of the time.
        (folder / f"{stem}.png").write_bytes(svg_to_png(svg.read_text(encoding="utf-8"), scale=2))
    return stems


def of_teacher(models: Models, model: str, mode: Mode) -> Score | None:
    """Return a model's score in a mode; a teacher's only one stands in both."""
    modes = models[model]
    return modes.sampled if model.startswith(TEACHER) else getattr(modes, mode)


def _chart(name: str, measured: SetReport, temperature: float) -> Any:
    import altair as alt

    note = "Whiskers: 95 % Wilson intervals."
    if any(model.startswith(TEACHER) for model in measured.overall):
        note = f"The teacher's answers are the stored ones; they stand in both panels. {note}"
    panels = (
        _panel(measured, "greedy", "Greedy", named=True),
        _panel(measured, "sampled", f"Sampled at temperature {temperature:g}", named=False),
    )
    title = alt.Title(
        f"{name}: {measured.prompts} prompts",
        subtitle=note,
        fontSize=16,
        subtitleFontSize=12,
        subtitleColor=FAINT,
        anchor="start",
        offset=14,
    )
    return (
        alt.hconcat(*panels, spacing=44)
        .resolve_scale(color="shared")
        .properties(title=title, padding=16, background="white")
        .configure(font="DejaVu Sans, Helvetica, Arial, sans-serif")
        .configure_view(stroke=None)
        .configure_axis(
            gridColor=GRID, labelColor=INK, titleColor=FAINT, titleFontWeight="normal", domain=False, ticks=False
        )
    )


def _panel(measured: SetReport, mode: Mode, title: str, *, named: bool) -> Any:
    import altair as alt

    models = list(measured.overall)
    teachers = iter(TEACHER_COLOURS * len(models))
    colours = [COLOURS.get(model) or next(teachers) for model in models]
    categories = [ALL, *sorted(measured.categories, key=lambda category: _gap(measured.categories[category]))]
    names = alt.Axis(labelLimit=260, labelFontSize=13, labelPadding=8) if named else None
    base = alt.Chart(alt.Data(values=_bars(measured, mode))).encode(
        y=alt.Y("category:N", sort=categories, title=None, axis=names, scale=alt.Scale(paddingInner=0.22)),
        yOffset=alt.YOffset("model:N", sort=models, scale=alt.Scale(paddingInner=0.08)),
    )
    percent = alt.Axis(format=".0%", values=[0, 0.25, 0.5, 0.75, 1], labelFlush=False)
    legend = alt.Legend(title=None, orient="top", symbolType="square", labelFontSize=13, symbolSize=140)
    bars = base.mark_bar(cornerRadiusEnd=2).encode(
        x=alt.X("accuracy:Q", title="right answers", scale=alt.Scale(domain=[0, 1]), axis=percent),
        color=alt.Color("model:N", sort=models, scale=alt.Scale(domain=models, range=colours), legend=legend),
    )
    whiskers = base.mark_rule(color=INK, strokeWidth=1.2).encode(x="low:Q", x2="high:Q")
    caps = [base.mark_tick(color=INK, thickness=1.2, size=7).encode(x=f"{end}:Q") for end in ("low", "high")]
    labels = base.mark_text(align="left", dx=5, fontSize=11, color=INK).encode(x="end:Q", text="label:N")
    return alt.layer(bars, whiskers, *caps, labels).properties(
        width=330,
        height=alt.Step(max(10, ROW_PX // len(models))),
        title=alt.Title(title, fontSize=13, anchor="start"),
    )


def _bars(measured: SetReport, mode: Mode) -> list[dict[str, Any]]:
    bars = []
    for category, models in {ALL: measured.overall, **measured.categories}.items():
        for model in models:
            score = of_teacher(models, model, mode)
            if score is None or score.accuracy is None:
                continue
            bars.append(
                {
                    "category": category,
                    "model": model,
                    "accuracy": score.accuracy,
                    "low": score.low,
                    "high": score.high,
                    "end": max(score.high, score.accuracy),
                    "label": f"{100 * score.accuracy:.0f}",
                }
            )
    return bars


def _gap(models: Models) -> float:
    """Return how far the student is from the best teacher, negated: the widest gap comes first."""
    scores = {model: of_teacher(models, model, "greedy") for model in models}
    known = {model: score.accuracy for model, score in scores.items() if score and score.accuracy is not None}
    best = max((accuracy for model, accuracy in known.items() if model.startswith(TEACHER)), default=0.0)
    return known.get("student", 0.0) - best
