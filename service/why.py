"""Why a trace is in a dataset version, or is not: where it is from, and its way through the recipe by filter."""

from typing import Any

from sqlmodel import Session

from service import origins
from service.api.shapes.traces import Step, WhyOut
from service.errors import NotFound
from service.models import DatasetVersion, VerdictRow
from service.store import datasets, traces


def why(session: Session, trace_id: int, version: str | None) -> WhyOut:
    """Return a trace's way through `version` (NAME@N), or through the newest that judged it; NotFound for neither."""
    origin = origins.of(session, trace_id)
    found = {label: row for row, label in traces.verdicts(session, trace_id)}
    label = version.removeprefix("dataset:") if version else next(iter(found), "")
    if label not in found:
        seen = f"; it was judged in {', '.join(found)}" if found else " yet"
        raise NotFound(f"trace {trace_id} was not judged in {version or 'any version'}{seen}")
    verdict = found[label]
    judged_in = datasets.named(session, label)
    steps = _steps(judged_in, verdict)
    return WhyOut(
        trace=trace_id,
        version=label,
        outcome=verdict.outcome,
        decided_by=verdict.filter or None,
        reason=verdict.reason,
        detail=verdict.detail,
        split=verdict.split,
        steps=steps,
        origin=origin,
    )


def _steps(version: DatasetVersion, verdict: VerdictRow) -> list[Step]:
    said: dict[int, tuple[str, dict[str, Any]]] = {}
    said |= {each["filter_index"]: ("noted", each) for each in verdict.notes or ()}
    said |= {each["filter_index"]: ("abstained", each) for each in verdict.abstentions or ()}
    # A person's word stands before or above all filters: which of them the trace would have passed is not known.
    by_person = verdict.filter_index is None and bool(verdict.filter)
    steps = []
    for index, knobs in enumerate(version.recipe["filters"]):
        outcome, found = said.get(index, ("passed", {}))
        if by_person:
            outcome = "not_asked"
        elif verdict.filter_index is not None and index > verdict.filter_index:
            outcome = "not_reached"
        elif index == verdict.filter_index:
            outcome, found = "rejected", verdict.model_dump(include={"reason", "detail", "evidence"})
        about = {name: found.get(name) or default for name, default in (("reason", ""), ("detail", ""))}
        given = {name: value for name, value in knobs.items() if name != "kind"}
        steps.append(Step(filter=knobs["kind"], knobs=given, outcome=outcome, evidence=found.get("evidence"), **about))
    return steps
