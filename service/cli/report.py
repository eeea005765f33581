"""`retort report`: what students learned, against base and teacher, by set and category; several runs side by side."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from service.cli.figures import view_figures, view_paired
from service.cli.proposal import write_proposal
from service.cli.terminal import Json, Refused, Terminal, begin
from service.cli.words import UNKNOWN, clean, one_line

if TYPE_CHECKING:
    from service.api.shapes.runs import RunOut

Mode = Literal["greedy", "sampled"]
Models = dict[str, dict[str, Any]]
ALL = "all"
CATEGORY_WIDTH = 14
NAMES = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def report(
    ctx: typer.Context,
    runs: Annotated[list[str], typer.Argument(help="Finished runs.")],
    mode: Annotated[Mode, typer.Option(help="How base and student answered.")] = "greedy",
    propose: Annotated[
        Path | None, typer.Option(help="Write prompts to ask next, from where the student lacks most, as JSONL.")
    ] = None,
    prompts: Annotated[int, typer.Option(help="How many to propose.", min=1)] = 1000,
    json: Json = False,
) -> None:
    """Show what students learned: accuracy in percent with its 95 % interval, by set and category, and other figures.

    Teachers' stored answers were sampled; they are compared as they are.
    """
    terminal = begin(ctx, json)
    if propose is not None:
        if len(runs) != 1:
            raise Refused("--propose takes one run: the gap is that of one student")
        write_proposal(terminal, runs[0], propose, prompts)
        return
    if len(runs) > len(NAMES):
        raise Refused(f"{len(NAMES)} runs side by side are the most that can be told apart")
    found = [(terminal.client.run(run), terminal.client.report(run)) for run in runs]
    reports = [report for _, report in found]

    def view(terminal: Terminal) -> None:
        view_reports(terminal, found, mode)
        if len(runs) > 1:
            view_paired(terminal, terminal.client.compare_runs(runs), mode)

    terminal.show(reports[0] if len(reports) == 1 else reports, view)


def view_reports(terminal: Terminal, found: "list[tuple[RunOut, dict[str, Any]]]", mode: Mode = "greedy") -> None:
    """Print a table for each set, and what the paired tests say."""
    names = ["student"] if len(found) == 1 else [f"student {name}" for name, _ in zip(NAMES, found, strict=False)]
    for name, (run, report) in zip(names, found, strict=False):
        base = one_line(str(report.get("base", run.student)), 60)
        terminal.say(f"{name}: {run.method} of {base} on {run.dataset}@{run.version} ({run.id})")
    sets = dict.fromkeys(name for _, report in found for name in report.get("sets", {}))
    for set_name in sets:
        of_set = [report.get("sets", {}).get(set_name, {}) for _, report in found]
        terminal.say("")
        columns = list(_columns(names, of_set))
        title = f"{one_line(set_name, 40)}: accuracy in %, with its 95 % interval"
        terminal.table(
            ("category", "#n", *(f"#{head}" for head, _, _ in columns)),
            list(_rows(of_set, columns, mode)),
            title=title,
        )
        for name, report in zip(names, of_set, strict=False):
            terminal.say(*_remarks(name, report, mode))
    view_figures(terminal, names, [report for _, report in found])


Column = tuple[str, int, str]
"""Heading, which report, and which model of it."""


def _columns(names: list[str], reports: list[dict[str, Any]]) -> Iterator[Column]:
    """Yield base, the students and the teachers; what is the same in all reports stands once."""
    yield from _once("base", reports)
    for place, name in enumerate(names):
        yield name, place, "student"
    teachers = dict.fromkeys(model for report in reports for model in _overall(report) if model.startswith("teacher"))
    for teacher in teachers:
        yield from _once(teacher, reports)


def _once(model: str, reports: list[dict[str, Any]]) -> Iterator[Column]:
    having = [place for place, report in enumerate(reports) if model in _overall(report)]
    same = all(_overall(reports[place])[model] == _overall(reports[having[0]])[model] for place in having)
    head = model.removeprefix("teacher:")
    for place in having[:1] if same else having:
        yield head if same else f"{head} {NAMES[place]}", place, model


def _rows(reports: list[dict[str, Any]], columns: list[Column], mode: Mode) -> Iterator[tuple[str, ...]]:
    categories = dict.fromkeys(category for report in reports for category in report.get("categories", {}))
    for category in [ALL, *categories]:
        of_category = [_models(report, None if category == ALL else category) for report in reports]
        scores = [_score(of_category[place].get(model), mode) for _, place, model in columns]
        n = max((score["n"] for score in scores if score), default=0)
        if category == ALL and len(categories) == 1:
            continue
        yield one_line(category or "(none)", CATEGORY_WIDTH), f"{n:,}", *map(_cell, scores)


def _overall(report: dict[str, Any]) -> Models:
    return report.get("overall", {})


def _models(report: dict[str, Any], category: str | None) -> Models:
    return _overall(report) if category is None else report.get("categories", {}).get(category, {})


def _score(modes: dict[str, Any] | None, mode: Mode) -> dict[str, Any] | None:
    """Return the score in the mode asked for, else in the one there is: a teacher has sampled answers alone."""
    return (modes or {}).get(mode) or (modes or {}).get("sampled") or (modes or {}).get("greedy")


def _cell(score: dict[str, Any] | None) -> str:
    if score is None or score.get("accuracy") is None:
        return UNKNOWN
    return f"{100 * score['accuracy']:.1f} ({100 * score['low']:.0f}-{100 * score['high']:.0f})"


def _remarks(name: str, report: dict[str, Any], mode: Mode) -> list[str]:
    lines: list[str] = []
    for found in report.get("comparisons", []):
        if found["mode"] == mode and found["n"]:
            p = "< 0.001" if found["p_value"] < 0.001 else f"= {found['p_value']:.3f}"
            points = f"{100 * found['difference']:+.1f} points"
            lines.append(
                f"{name} against {clean(found['against'])}: {points} on {found['n']:,} prompts, p {p} (McNemar)"
            )
    score = _score(_overall(report).get("student"), mode) or {}
    for count, text in (
        (score.get("truncated"), "answers were cut off at the token limit and count as they are"),
        (score.get("unjudged"), "answers could not be judged and are not counted"),
        (report.get("ungradable"), "prompts were not asked: no reference that can be compared"),
        (report.get("left_out"), "prompts were not asked: more than the evaluation's prompts_max"),
    ):
        if count:
            lines.append(f"{name}: {count:,} {text}")
    return lines
