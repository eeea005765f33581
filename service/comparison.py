"""Finished runs side by side: what each measured, and whether two students differ on the same prompts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from filters.statistics import mcnemar
from service.api.shapes.runs import Paired, RunComparison, Side
from service.figures import figures, not_measured
from service.models import Run

Answers = dict[tuple[str, str], dict[int, bool]]
"""The student's judged answers: by set and mode, of each prompt whether it was right."""
COLUMNS = ["set", "id", "model", "mode", "right"]
ONCE = ["sample", "perturbation"]
"""Columns that tell further answers to a prompt from the first; reports of before them have one each."""


def compare(runs: Sequence[Run], data_dir: Path) -> RunComparison:
    """Return the runs' figures, and the paired tests of the first student with each other one."""
    answers = [_answers(data_dir / "runs" / run.id / "answers.parquet") for run in runs]
    paired = [
        test
        for run, theirs in zip(runs[1:], answers[1:], strict=True)
        for test in _paired(runs[0].id, answers[0], run.id, theirs)
    ]
    return RunComparison(runs=[_side(run) for run in runs], paired=paired)


def _side(run: Run) -> Side:
    report = run.report or {}
    about = {name: getattr(run, name) for name in ("dataset", "version", "method", "student")}
    return Side(run=run.id, figures=figures(report), not_measured=not_measured(report), **about)


def _paired(first: str, mine: Answers, second: str, theirs: Answers) -> list[Paired]:
    found = []
    for name, mode in mine:
        known, other = mine[name, mode], theirs.get((name, mode), {})
        pairs = [(known[key], other[key]) for key in known.keys() & other.keys()]
        if not pairs:
            continue
        only_first, only_second = pairs.count((True, False)), pairs.count((False, True))
        found.append(
            Paired(
                set=name,
                mode=mode,
                first=first,
                second=second,
                n=len(pairs),
                both_right=pairs.count((True, True)),
                only_first=only_first,
                only_second=only_second,
                difference=round((only_second - only_first) / len(pairs), 6),
                p_value=mcnemar(only_first, only_second),
            )
        )
    return found


def _answers(file: Path) -> Answers:
    from pyarrow import parquet

    found: Answers = {}
    if not file.is_file():
        return found
    there = parquet.read_schema(file).names
    rows: list[dict[str, Any]] = parquet.read_table(
        file, columns=[*COLUMNS, *(name for name in ONCE if name in there)]
    ).to_pylist()
    for row in rows:
        further = row.get("sample") or row.get("perturbation")
        if row["model"] == "student" and row["right"] is not None and not further:
            found.setdefault((row["set"], row["mode"]), {})[row["id"]] = row["right"]
    return found
