"""Verifiers compare a response with its reference. A new one is a module here and a line in `VERIFIERS`.

A verifier is any object with `verify` and `gradable`. It may also have `quick(response, reference)`, which runs in the
caller's own process: it must be safe on hostile text (linear time, no arithmetic without bounds) and returns a verdict
where that is certain, else the text that `verify` has to look at, often far shorter than the response. And it may have
`EXAMPLE`, a response and a reference that make a fresh process load what the verifier needs.
"""

from typing import Protocol

from filters.verdict import Verdict, abstain
from filters.verifiers import choice, code, exact, json_schema, math, number, regex


class Verifier(Protocol):
    """What every verifier offers."""

    def verify(self, response: str, reference: str) -> Verdict:
        """Keep, or reject as `wrong_answer`, `no_answer` or another word, with what was extracted as evidence."""
        ...

    def gradable(self, reference: str) -> bool:
        """Tell, cheaply and before a token is spent, whether responses can be compared with this reference."""
        ...


VERIFIERS: dict[str, Verifier] = {
    "choice": choice,
    "code": code,
    "exact": exact,
    "json_schema": json_schema,
    "math": math,
    "number": number,
    "regex": regex,
}


def judge(verifier: Verifier, response: str, reference: str) -> Verdict:
    """Return the verifier's verdict, or an abstention where its reference cannot be graded.

    Runs the verifier here and now. Text that a model wrote can make it run for hours: use `filters.verifiers.pool`.
    """
    if not verifier.gradable(reference):
        return abstain("reference_not_gradable", f"no verdict is possible against {reference[:80]!r}")
    return verifier.verify(response, reference)
