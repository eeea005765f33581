"""What a report has beside the gap as one drawing, `curves.svg`: reliability, and the distance to the teacher."""

from pathlib import Path
from typing import Any

from trainer.chart import COLOURS, FAINT, GRID, INK
from trainer.report import Report

NAME = "curves.svg"
WIDTH, HEIGHT = 330, 240


def draw_curves(report: Report, folder: Path) -> str | None:
    """Write the drawing and return its name; None, and no file, where there is nothing to draw."""
    import altair as alt

    target = folder / NAME
    target.unlink(missing_ok=True)
    panels = [panel for panel in (_reliability(report), _watched(report)) if panel is not None]
    if not panels:
        return None
    chart = (
        alt.hconcat(*panels, spacing=44)
        .properties(padding=16, background="white")
        .configure(font="DejaVu Sans, Helvetica, Arial, sans-serif")
        .configure_view(stroke=None)
        .configure_axis(gridColor=GRID, labelColor=INK, titleColor=FAINT, titleFontWeight="normal", domain=False)
    )
    chart.save(str(target))
    return NAME


def _reliability(report: Report) -> Any:
    """Return the student's answers by how sure it was; on the diagonal it is as sure as it is right."""
    import altair as alt

    points = [
        {"set": name, "confidence": each.confidence, "accuracy": each.accuracy, "answers": each.n}
        for name, measured in report.sets.items()
        if (found := measured.calibration.get("student")) and found.token_probability
        for each in found.token_probability.bins
    ]
    if not points:
        return None
    share = alt.Scale(domain=[0, 1])
    percent = alt.Axis(format=".0%", values=[0, 0.25, 0.5, 0.75, 1])
    dots = (
        alt.Chart(alt.Data(values=points))
        .mark_circle(opacity=0.85)
        .encode(
            x=alt.X("confidence:Q", title="mean probability of an answer's tokens", scale=share, axis=percent),
            y=alt.Y("accuracy:Q", title="right answers", scale=share, axis=percent),
            size=alt.Size("answers:Q", legend=None, scale=alt.Scale(range=[30, 400])),
            color=alt.Color("set:N", legend=alt.Legend(title=None, orient="top", labelLimit=200)),
        )
    )
    ends = alt.Data(values=[{"confidence": 0, "accuracy": 0}, {"confidence": 1, "accuracy": 1}])
    diagonal = alt.Chart(ends).mark_line(color=FAINT, strokeDash=[4, 4]).encode(x="confidence:Q", y="accuracy:Q")
    return alt.layer(diagonal, dots).properties(
        width=WIDTH, height=HEIGHT, title=_title("Is it right when it is sure?")
    )


def _watched(report: Report) -> Any:
    import altair as alt

    looks = [{"step": look.step, "kl": look.kl} for look in report.trained.watched if look.kl is not None]
    if len(looks) < 2:
        return None
    return (
        alt.Chart(alt.Data(values=looks))
        .mark_line(point=True, color=COLOURS["student"])
        .encode(x=alt.X("step:Q", title="step"), y=alt.Y("kl:Q", title="KL to the teacher, nats a token"))
        .properties(width=WIDTH, height=HEIGHT, title=_title("Distance to the teacher during the training"))
    )


def _title(text: str) -> Any:
    import altair as alt

    return alt.Title(text, fontSize=13, anchor="start")
