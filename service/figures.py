"""The figures of a run's report, one line each: for the command line, the pages and comparisons.

Reports of before a figure was measured, or of another shape, have fewer lines and no error.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from service.api.shapes.runs import Figure

CALIBRATIONS = {"token_probability": "calibration error, tokens", "vote_share": "calibration error, votes"}
DISTANCES = {
    "perplexity": ("perplexity", ""),
    "kl": ("KL to the teacher", "nats"),
    "agreement": ("same likeliest token", "share"),
    "acceptance": ("accepted as a draft", "share"),
}


def figures(report: dict[str, Any]) -> list[Figure]:
    """Return every figure beside accuracy, set by set and then of the whole run."""
    found = [figure for name, measured in _objects(report.get("sets")) for figure in _of_set(name, measured)]
    for source, held_out in _objects(report.get("held_out")):
        for key, (name, unit) in DISTANCES.items():
            found.append(_figure(name, source, unit, _each(held_out.get("models"), key)))
    for task, models in _objects(report.get("tasks")):
        metrics = dict.fromkeys(metric for _, measured in _objects(models) for metric in measured)
        found += [
            _figure(f"{task}, {metric}", "", "", _each(models, metric))
            for metric in metrics
            if not metric.endswith("_stderr")
        ]
    return [figure for figure in found if figure.values]


def models(found: Iterable[Figure]) -> list[str]:
    """Return the columns of a table of figures: base, student and the teachers that any of them has."""
    known = dict.fromkeys(model for figure in found for model in figure.values)
    return ["base", "student", *(model for model in known if model.startswith("teacher"))]


def shown(figure: Figure, model: str) -> str:
    """Return a figure's value for a person; a dash where there is none."""
    value = figure.values.get(model)
    if value is None:
        return "-"
    if figure.unit == "share":
        return f"{100 * value:.1f} %"
    if figure.unit in ("tokens", "prompts"):
        return f"{value:,.0f}"
    if figure.unit == "points":
        return f"{100 * value:+.1f} points"
    return f"{value:,.3f}" if abs(value) < 1e6 else "over a million"


def not_measured(report: dict[str, Any]) -> dict[str, str]:
    """Return why figures are missing, by name."""
    found = report.get("not_measured")
    return {str(name): str(reason) for name, reason in found.items()} if isinstance(found, dict) else {}


def _of_set(name: str, measured: dict[str, Any]) -> Iterator[Figure]:
    passed = {model: found.get("rate") or {} for model, found in _objects(measured.get("pass_at"))}
    for k in sorted({int(k) for rates in passed.values() for k in rates}):
        rates = {model: rate[str(k)] for model, rate in passed.items() if str(k) in rate}
        yield _figure(f"pass@{k}", name, "share", rates)
    for kind, told in CALIBRATIONS.items():
        by_model = {model: found.get(kind) for model, found in _objects(measured.get("calibration"))}
        yield _figure(told, name, "ratio", _each(by_model, "ece"))
    lengths = {model: modes.get("greedy") or modes.get("sampled") for model, modes in _objects(measured.get("lengths"))}
    yield _figure("median tokens of an answer", name, "tokens", _each(lengths, "p50"))
    for kind, found in _objects(measured.get("robustness")):
        yield _figure(f"prompts changed: {kind}", name, "points", _each({"student": found}, "difference"))
    if isinstance(forgotten := measured.get("forgotten_count"), int):
        yield _figure("base right, student wrong", name, "prompts", {"student": forgotten})


def _figure(name: str, of: str, unit: str, values: dict[str, Any]) -> Figure:
    return Figure(name=name, of=of, unit=unit, values=values)


def _each(models: Any, key: str) -> dict[str, float]:
    return {model: float(found[key]) for model, found in _objects(models) if isinstance(found.get(key), int | float)}


def _objects(found: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, value in found.items() if isinstance(found, dict) else ():
        if isinstance(value, dict):
            yield name, value
