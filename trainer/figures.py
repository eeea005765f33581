"""The figures of a report beside accuracy, as tables of text that Markdown and HTML show alike."""

from collections.abc import Iterable
from dataclasses import dataclass

from trainer.measures.calibration import Calibration
from trainer.measures.distance import DRAFTED, Distance
from trainer.report import Report, SetReport

NONE = "-"
CHANGES = {
    "whitespace": "spaces doubled",
    "case": "words in lower case",
    "typos": "two letters swapped in some words",
    "polite": "a polite sentence before it",
    "moved": "its instruction or last sentence moved",
}
CONFIDENCES = {"token_probability": "token probability", "vote_share": "share of votes"}


@dataclass(frozen=True, slots=True)
class Table:
    """A caption, a sentence on what it says, and cells of plain text."""

    title: str
    note: str
    head: list[str]
    rows: list[list[str]]


def set_tables(measured: SetReport) -> list[Table]:
    """Return what one set of prompts has beside its accuracies."""
    found = [_pass_at(measured), _calibration(measured), _reliability(measured), _robustness(measured)]
    return [table for table in [*found, _lengths(measured)] if table.rows]


def run_tables(report: Report) -> list[Table]:
    """Return what was measured of the whole run."""
    found = [_distance(report), _draft(report), _watched(report), _tasks(report)]
    missing = [[name.replace("_", " "), reason] for name, reason in report.not_measured.items()]
    found.append(Table("Not measured", "And why.", ["figure", "reason"], missing))
    return [table for table in found if table.rows]


def _pass_at(measured: SetReport) -> Table:
    ks = sorted({k for found in measured.pass_at.values() for k in found.rate})
    rows = [
        [model, *(f"{_percent(found.rate[k])} (n = {found.prompts[k]})" if k in found.rate else NONE for k in ks)]
        for model, found in measured.pass_at.items()
    ]
    note = "At least one of k sampled answers is right, on the prompts that were answered at least k times."
    return Table("pass@k", note, ["model", *(f"pass@{k}" for k in ks)], rows)


def _calibration(measured: SetReport) -> Table:
    rows = [
        [model, told, str(found.n), f"{found.ece:.3f}", f"{found.over:+.3f}"]
        for model, told, found in _calibrations(measured)
    ]
    note = "Expected calibration error over ten bins: 0 is best. Above 0 in the last column it is surer than right."
    return Table("Calibration", note, ["model", "confidence", "n", "ECE", "confidence less accuracy"], rows)


def _reliability(measured: SetReport) -> Table:
    rows = [
        [told, f"{each.confidence:.2f}", _percent(each.accuracy), str(each.n)]
        for model, told, found in _calibrations(measured)
        if model == "student"
        for each in found.bins
    ]
    note = "Of the student's answers: what it held likely, and how many were right."
    return Table("Reliability", note, ["confidence", "mean of the bin", "right", "n"], rows)


def _calibrations(measured: SetReport) -> Iterable[tuple[str, str, Calibration]]:
    for model, by_kind in measured.calibration.items():
        for kind, told in CONFIDENCES.items():
            if (found := getattr(by_kind, kind)) is not None:
                yield model, told, found


def _robustness(measured: SetReport) -> Table:
    rows = [
        [
            CHANGES.get(kind, kind),
            str(found.n),
            _percent(found.right / found.n),
            _percent(found.right_changed / found.n),
            f"{100 * found.difference:+.1f} points",
            _pvalue(found.p_value),
        ]
        for kind, found in measured.robustness.items()
    ]
    note = "The student, greedy, on prompts put a little differently. With five changes one p below 0.05 means little."
    return Table("Changed prompts", note, ["change", "n", "unchanged", "changed", "difference", "p (McNemar)"], rows)


def _lengths(measured: SetReport) -> Table:
    rows = [
        [model, mode, str(found.p10), str(found.p50), str(found.p90), str(found.longest), _times(found.to_teacher)]
        for model, modes in measured.lengths.items()
        for mode, found in modes.items()
    ]
    head = ["model", "mode", "10 %", "median", "90 %", "longest", "to the teacher's"]
    return Table("Length of answers", "Tokens of reasoning and response, by the student's tokenizer.", head, rows)


def _distance(report: Report) -> Table:
    rows = [
        [
            source,
            model,
            str(found.rows),
            f"{found.tokens:,}",
            f"{found.perplexity:,.3f}" if found.perplexity < 1e6 else "over a million",
            _figure(found.kl),
            NONE if found.agreement is None else _percent(found.agreement),
        ]
        for source, held_out in report.held_out.items()
        for model, found in held_out.models.items()
    ]
    origins = dict.fromkeys(held.distribution for held in report.held_out.values() if held.distribution)
    note = "Answers that were not trained on."
    if origins:
        note += (
            f" KL(teacher || model) in nats a token, at least; the teacher's distributions are {', '.join(origins)}."
        )
    head = ["answers", "model", "rows", "tokens", "perplexity", "KL", "same likeliest token"]
    return Table("On the teacher's own answers", note, head, rows)


def _draft(report: Report) -> Table:
    rows = [
        [source, model, _between(found), *(f"{each.sampled:.2f} / {each.greedy:.2f}" for each in found.draft)]
        for source, held_out in report.held_out.items()
        for model, found in held_out.models.items()
        if found.acceptance is not None
    ]
    note = (
        "Of a token drafted for the teacher, how likely it is accepted; and tokens that one pass of the teacher would "
        "yield, sampling / greedy (1 without a draft). Drafting costs time of its own, which is not in it."
    )
    head = ["answers", "draft", "accepted", *(f"{drafted} drafted" for drafted in DRAFTED)]
    return Table("As a draft model (estimate)", note, head, rows)


def _watched(report: Report) -> Table:
    rows = [
        [str(look.step), _figure(look.kl), NONE if look.agreement is None else _percent(look.agreement)]
        for look in report.trained.watched
    ]
    note = "On the same few rows of the eval split."
    return Table("During the training", note, ["step", "KL to the teacher", "same likeliest token"], rows)


def _tasks(report: Report) -> Table:
    rows = [
        [task, model, metric, f"{value:.4f}", _figure(metrics.get(f"{metric}_stderr"))]
        for task, models in report.tasks.items()
        for model, metrics in models.items()
        for metric, value in metrics.items()
        if not metric.endswith("_stderr")
    ]
    return Table("Tasks", "Measured by lm-eval.", ["task", "model", "metric", "value", "standard error"], rows)


def _between(found: Distance) -> str:
    low, high = found.acceptance or 0.0, found.acceptance_max or 0.0
    return _percent(low) if high - low < 0.0005 else f"{_percent(low)} to {_percent(high)}"


def _figure(value: float | None) -> str:
    return NONE if value is None else f"{value:.4f}"


def _times(ratio: float | None) -> str:
    return NONE if ratio is None else f"{ratio:.2f} times"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _pvalue(p: float) -> str:
    return f"{p:.4f}" if p >= 0.0001 else "< 0.0001"
