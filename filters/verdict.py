"""The answer of a filter: keep, reject or abstain, and why."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    """What a filter says of one sample."""

    KEEP = "keep"
    REJECT = "reject"
    ABSTAIN = "abstain"
    """The filter could not judge: no reference, judge broke, sandbox missing. Never counted against the teacher."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One filter's judgement of one sample.

    `reason` is a stable snake_case code (empty when kept without a note), `detail` a sentence for a person, `evidence`
    JSON values that let a person check it: the twin's id, the extracted answer, the repeated line.
    """

    outcome: Outcome
    reason: str = ""
    detail: str = ""
    evidence: dict[str, Any] | None = None


KEEP = Verdict(Outcome.KEEP)


def note(reason: str, detail: str = "", **evidence: Any) -> Verdict:
    """Return a verdict that keeps, with something to know about the sample; keyword arguments become its evidence."""
    return Verdict(Outcome.KEEP, reason, detail, evidence or None)


def reject(reason: str, detail: str = "", **evidence: Any) -> Verdict:
    """Return a rejection; keyword arguments become its evidence."""
    return Verdict(Outcome.REJECT, reason, detail, evidence or None)


def abstain(reason: str, detail: str = "", **evidence: Any) -> Verdict:
    """Return an abstention; keyword arguments become its evidence."""
    return Verdict(Outcome.ABSTAIN, reason, detail, evidence or None)
