"""The gap chart: accuracy by category for base, student and teachers, with intervals; SVG and PNG, no JavaScript."""

import re
from pathlib import Path
from typing import Any

from trainer.evaluate import TEACHER
from trainer.report import Models, Report, SetReport

COLOURS = {"base": "#b9bfc9", "student": "#2463c9"}
TEACHER_COLOURS = ["#e08b1c", "#a44d9c", "#3d9970", "#c0392b"]
ALL = "all categories"
PANELS = {"greedy": "Greedy", "sampled": "Sampled"}
TEACHER_NOTE = "The teacher’s stored answers were sampled; they stand in both panels. Whiskers: 95 % Wilson intervals."


def draw_charts(report: Report, folder: Path) -> dict[str, str]:
    """Write `gap-SET.svg` and `gap-SET.png` for each set and return the stem of their names by set."""
    stems: dict[str, str] = {}
    for name, measured in report.sets.items():
        stem = "gap-" + (re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "set")
        if stem in stems.values():
            stem += f"-{len(stems)}"
        stems[name] = stem
        chart = _chart(name, measured, report.temperature)
        chart.save(str(folder / f"{stem}.svg"))
        chart.save(str(folder / f"{stem}.png"), scale_factor=2)
    return stems


def _chart(name: str, measured: SetReport, temperature: float) -> Any:
    import altair as alt

    models = list(measured.overall)
    categories = [ALL, *sorted(measured.categories, key=lambda category: _gap(measured.categories[category]))]
    rows = _rows(measured)
    teachers = iter(TEACHER_COLOURS * len(models))
    colours = [COLOURS.get(model) or next(teachers) for model in models]
    panels = []
    for place, (mode, title) in enumerate(PANELS.items()):
        data = alt.Data(values=[row for row in rows if row["mode"] == mode])
        encoding = alt.Chart(data).encode(
            y=alt.Y(
                "category:N",
                sort=categories,
                title=None,
                axis=alt.Axis(labelLimit=260, labelFontSize=13, ticks=False, domain=False, labelPadding=8)
                if place == 0
                else None,
                scale=alt.Scale(paddingInner=0.22, paddingOuter=0.1),
            ),
            yOffset=alt.YOffset("model:N", sort=models, scale=alt.Scale(paddingInner=0.08)),
        )
        x = alt.X(
            "accuracy:Q",
            title="right answers",
            scale=alt.Scale(domain=[0, 1]),
            axis=alt.Axis(format=".0%", values=[0, 0.25, 0.5, 0.75, 1], grid=True, domain=False, ticks=False),
        )
        colour = alt.Color(
            "model:N",
            sort=models,
            scale=alt.Scale(domain=models, range=colours),
            legend=alt.Legend(title=None, orient="top", symbolType="square", labelFontSize=13, symbolSize=140),
        )
        bars = encoding.mark_bar(cornerRadiusEnd=2).encode(x=x, color=colour)
        whiskers = encoding.mark_rule(color="#20242b", strokeWidth=1.2).encode(x="low:Q", x2="high:Q")
        caps = [encoding.mark_tick(color="#20242b", thickness=1.2, size=7).encode(x=f"{end}:Q") for end in ("low", "high")]
        labels = encoding.mark_text(align="left", dx=5, fontSize=11, color="#20242b").encode(x="label_at:Q", text="label:N")
        heading = title if mode == "greedy" else f"{title} at temperature {temperature:g}"
        panels.append(
            alt.layer(bars, whiskers, *caps, labels).properties(
                width=330, height=alt.Step(max(10, 48 // len(models))), title=alt.Title(heading, fontSize=13, anchor="start")
            )
        )
    return (
        alt.hconcat(*panels, spacing=44)
        .resolve_scale(color="shared")
        .properties(
            title=alt.Title(
                f"{name}: {measured.prompts} prompts",
                subtitle=TEACHER_NOTE if any(model.startswith(TEACHER) for model in models) else TEACHER_NOTE.split("panels. ")[1],
                fontSize=16,
                subtitleFontSize=12,
                subtitleColor="#5b6270",
                anchor="start",
                offset=14,
            ),
            padding=16,
            background="white",
        )
        .configure(font="DejaVu Sans, Helvetica, Arial, sans-serif")
        .configure_view(stroke=None)
        .configure_axis(gridColor="#e6e8ec", labelColor="#20242b", titleColor="#5b6270", titleFontWeight="normal")
    )


def _rows(measured: SetReport) -> list[dict[str, Any]]:
    rows = []
    for category, models in {ALL: measured.overall, **measured.categories}.items():
        for model, modes in models.items():
            for mode in PANELS:
                found = getattr(modes, mode) or (modes.sampled if model.startswith(TEACHER) else None)
                if found is None or found.accuracy is None:
                    continue
                bounds = {"low": found.low, "high": found.high, "label_at": max(found.high, found.accuracy)}
                label = f"{100 * found.accuracy:.0f}"
                rows.append(
                    {"category": category, "model": model, "mode": mode, "accuracy": found.accuracy, "label": label, **bounds}
                )
    return rows


def _gap(models: Models) -> float:
    """Return how far the student is from the best teacher, negated: the widest gap comes first."""
    student = models["student"].greedy if "student" in models else None
    teachers = [modes.sampled for model, modes in models.items() if model.startswith(TEACHER)]
    best = max((found.accuracy for found in teachers if found and found.accuracy is not None), default=0.0)
    return (student.accuracy or 0.0 if student else 0.0) - best
