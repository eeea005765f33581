r"""Does the reference, a regular expression, match the response?

It is searched for in the last `\boxed{}`, else in the whole response, without white space around it; `^…$` asks for all
of it. The engine is RE2: its time grows with the text times the size of the pattern and no faster, so that no pattern
stalls anybody. What it leaves out for that, look-around and back-references, makes a reference ungradable.
"""

import warnings
from functools import cache, lru_cache
from typing import Any

from filters.verdict import KEEP, Verdict, abstain, reject
from filters.verifiers.answer import EVIDENCE_CHARS_MAX, boxed, no_answer

PATTERN_CHARS_MAX = 2000
"""Longer patterns are data, not rules."""
MEMORY_BYTES_MAX = 1 << 20
"""Of one compiled pattern; counted repetitions of repetitions are refused beyond it."""
_QUICK_MAX = 5_000_000
"""Characters times instructions that take less than a fifth of a second; a longer search goes to a killable process."""


def gradable(reference: str) -> bool:
    """Tell whether the reference is a pattern that RE2 takes."""
    return bool(reference.strip()) and _compiled(reference) is not None


def quick(response: str, reference: str) -> Verdict | str:
    """Search where that is soon done."""
    pattern = _compiled(reference) if reference.strip() else None
    if pattern is not None and len(response) * pattern.programsize > _QUICK_MAX:
        return response
    return verify(response, reference)


def verify(response: str, reference: str) -> Verdict:
    """Keep where the pattern is found; reject as `no_match`."""
    pattern = _compiled(reference) if reference.strip() else None
    if pattern is None:
        return abstain("reference_not_gradable", "RE2 takes no such pattern", expected=reference[:EVIDENCE_CHARS_MAX])
    held = boxed(response)
    # Lone surrogates, which some servers send, have no UTF-8 form.
    text = (response if held is None else held).encode(errors="replace").decode().strip()
    if not text:
        return no_answer("the response is empty" if held is None else "the last box is empty", reference)
    if pattern.search(text):
        return KEEP
    return reject(
        "no_match",
        "the pattern is not found",
        extracted=text[-EVIDENCE_CHARS_MAX:],
        expected=reference[:EVIDENCE_CHARS_MAX],
    )


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> Any:
    """Return the compiled pattern; None for one that is too long, too large or not RE2's."""
    if len(pattern) > PATTERN_CHARS_MAX:
        return None
    re2, options = _engine()
    try:
        return re2.compile(pattern, options)
    except (re2.error, UnicodeEncodeError):
        return None


@cache
def _engine() -> tuple[Any, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import re2

    options = re2.Options()
    options.max_mem = MEMORY_BYTES_MAX
    options.log_errors = False
    return re2, options
