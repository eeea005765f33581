"""Where a student lacks most against its teachers: by category, over all sets of a report."""

from dataclasses import dataclass
from typing import Any

from service.errors import Conflict

UNCATEGORISED = "uncategorised"
"""What the trainer calls prompts without a category."""


@dataclass(frozen=True, slots=True)
class Gap:
    """One category. `student` and `teacher` are shares of right answers."""

    category: str
    judged: int
    student: float
    teacher: float | None
    """Of the best teacher in each set; None where none answered, so that being always right is what is missed."""

    @property
    def missing(self) -> float:
        """What a perfect imitation would gain, 0 where nothing."""
        return max(0.0, (1.0 if self.teacher is None else self.teacher) - self.student)


def gaps(report: dict[str, Any]) -> list[Gap]:
    """Return the gap of each category, the widest first; sets of retained skills are no aim of the distillation.

    Raises Conflict for a report without a judged category.
    """
    counted: dict[str, list[tuple[int, float, float | None]]] = {}
    for measured in report.get("sets", {}).values():
        if measured.get("retained"):
            continue
        for category, models in measured.get("categories", {}).items():
            student = _accuracy(models.get("student"), "greedy")
            if student is None:
                continue
            known = [_accuracy(models[model], "sampled") for model in models if model.startswith("teacher")]
            best = max((share for share in known if share is not None), default=None)
            counted.setdefault(category, []).append((models["student"]["greedy"]["n"], student, best))
    found = [_together(category, rows) for category, rows in counted.items()]
    if not found:
        raise Conflict("the report has no category with judged answers of the student: there is no gap to propose from")
    return sorted(found, key=lambda gap: (-gap.missing, gap.category))


def _together(category: str, rows: list[tuple[int, float, float | None]]) -> Gap:
    n = sum(count for count, _, _ in rows)
    taught = [(count, best) for count, _, best in rows if best is not None]
    return Gap(
        category=category,
        judged=n,
        student=sum(count * student for count, student, _ in rows) / n,
        teacher=sum(count * best for count, best in taught) / sum(count for count, _ in taught) if taught else None,
    )


def _accuracy(modes: dict[str, Any] | None, mode: str) -> float | None:
    score = (modes or {}).get(mode) or {}
    return score.get("accuracy") if score.get("n") else None
