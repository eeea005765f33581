"""A judgement as a row of the ledger."""

from typing import Any

from filters.stages import Judged
from filters.verdict import Outcome

NO_VERDICT: dict[str, Any] = {
    "outcome": "keep",
    "filter_index": None,
    "filter": "",
    "filter_version": None,
    "reason": "",
    "detail": "",
    "evidence": None,
    "abstentions": None,
    "notes": None,
}


def columns(judged: Judged) -> dict[str, Any]:
    """Return a judgement as the ledger's columns."""
    if judged.index is None and not judged.abstentions and not judged.notes:
        return NO_VERDICT
    abstentions = [
        {"filter_index": said.index, "filter": said.kind, "reason": said.verdict.reason, "detail": said.verdict.detail}
        for said in judged.abstentions
    ]
    if judged.verdict.outcome is Outcome.ABSTAIN:
        why = {"reason": judged.verdict.reason, "detail": judged.verdict.detail}
        abstentions.append({"filter_index": judged.index, "filter": judged.kind, **why})
    notes = [
        {
            "filter_index": said.index,
            "filter": said.kind,
            "reason": said.verdict.reason,
            "detail": said.verdict.detail,
            "evidence": said.verdict.evidence,
        }
        for said in judged.notes
    ]
    found: dict[str, Any] = {
        "outcome": judged.outcome.value,
        "abstentions": abstentions or None,
        "notes": notes or None,
    }
    if judged.index is None:
        return found
    return found | {
        "filter_index": judged.index,
        "filter": judged.kind,
        "filter_version": judged.version,
        "reason": judged.verdict.reason,
        "detail": judged.verdict.detail,
        "evidence": judged.verdict.evidence,
    }
