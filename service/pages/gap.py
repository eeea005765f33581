"""What a run's report says, as the table base → student → teacher, set by set and category by category."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

Mode = Literal["greedy", "sampled"]
ALL = "all categories"
TEACHER = "teacher"


class Score(BaseModel):
    """One model in one mode: a share of right answers with its 95 % interval."""

    n: int
    accuracy: float | None
    low: float
    high: float


class Modes(BaseModel):
    """One model's scores; a teacher's stored answers were sampled, so it has no greedy one."""

    greedy: Score | None = None
    sampled: Score | None = None


class Comparison(BaseModel):
    """Student less another model, on the prompts on which both were judged."""

    mode: Mode
    against: str
    n: int
    difference: float
    p_value: float


class Example(BaseModel):
    """A prompt that the teacher got right and the student wrong."""

    category: str
    prompt: str
    reference: str
    student_reasoning: str
    student_response: str
    student_reason: str
    teacher_reasoning: str
    teacher_response: str


class Forgotten(BaseModel):
    """A prompt that the base got right and the student wrong."""

    category: str
    prompt: str
    reference: str
    student_reasoning: str
    student_response: str
    student_reason: str
    base_reasoning: str
    base_response: str


class Measured(BaseModel):
    """One set of evaluation prompts."""

    prompts: int
    ungradable: int = 0
    left_out: int = 0
    overall: dict[str, Modes]
    categories: dict[str, dict[str, Modes]]
    comparisons: list[Comparison] = []
    lost: list[Example] = []
    retained: bool = False
    forgotten: list[Forgotten] = []
    forgotten_count: int | None = None


class Report(BaseModel):
    """What the page needs of `report.json`; whatever else is in it stays in the file."""

    temperature: float = 1.0
    trained: dict[str, Any] = {}
    sets: dict[str, Measured]


@dataclass(frozen=True, slots=True)
class Row:
    """One category: each model's score in the order of the table's columns, and what the student gained and lacks."""

    category: str
    scores: list[Score | None]
    gained: float | None
    """Student less base, as a share."""
    lacking: float | None
    """Student less the best teacher."""


@dataclass(frozen=True, slots=True)
class Table:
    """One set in one mode."""

    mode: Mode
    models: list[str]
    rows: list[Row]
    comparisons: list[Comparison]


def read_report(report: dict[str, Any] | None) -> Report | None:
    """Return the report; None where there is none, or one of another shape."""
    try:
        return Report.model_validate(report) if report else None
    except ValidationError:
        return None


def tables(measured: Measured) -> list[Table]:
    """Return the table of each mode in which base or student were asked."""
    models = sorted(measured.overall, key=_place)
    found = []
    for mode in ("greedy", "sampled"):
        if any(getattr(measured.overall[model], mode) for model in models if not model.startswith(TEACHER)):
            comparisons = [each for each in measured.comparisons if each.mode == mode]
            found.append(Table(mode, models, list(_rows(measured, models, mode)), comparisons))
    return found


def _place(model: str) -> tuple[int, str]:
    """Return where a model stands: base, student, then the teachers."""
    return {"base": 0, "student": 1}.get(model, 2), model


def _rows(measured: Measured, models: list[str], mode: Mode) -> Iterator[Row]:
    """Yield all categories together, then each, the widest gap first."""
    rows = [_row(category, scored, models, mode) for category, scored in measured.categories.items()]
    yield _row(ALL, measured.overall, models, mode)
    if len(rows) > 1:
        yield from sorted(rows, key=lambda row: (row.lacking if row.lacking is not None else 1.0, row.category))


def _row(category: str, scored: dict[str, Modes], models: list[str], mode: Mode) -> Row:
    scores = [_score(model, scored.get(model), mode) for model in models]
    right = {model: score.accuracy for model, score in zip(models, scores, strict=True) if score}
    best = max(
        (share for model, share in right.items() if model.startswith(TEACHER) and share is not None), default=None
    )
    return Row(category, scores, _less(right.get("student"), right.get("base")), _less(right.get("student"), best))


def _score(model: str, modes: Modes | None, mode: Mode) -> Score | None:
    if modes is None:
        return None
    # A teacher's stored answers stand against the student's in either mode.
    return modes.sampled if model.startswith(TEACHER) else getattr(modes, mode)


def _less(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other
