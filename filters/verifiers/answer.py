r"""Finding the answer in a response: the last `\boxed{}`, or what its last line calls the answer. Linear time."""

import re
from typing import Any

from filters.verdict import KEEP, Verdict, reject

EVIDENCE_CHARS_MAX = 200
"""Evidence is for a person's eye and is stored with every rejected row."""

_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_BETWEEN_BOXES = re.compile(r"[\s$]*(?:,|;|,?\s*\band\b|,?\s*\bor\b)[\s$]*")
_MARKED = re.compile(
    r".*\banswer\W{0,4}(?:is|:|=)[\s:*=]*(?P<answer>[^\s:*=].*)$|^\s*####\s*(?P<final>\S.*)$", re.IGNORECASE
)
_LINE_CHARS_MAX = 500
_FIGURE = r"[-+]?(?:\\[dt]?frac\{-?\d{1,20}\}\{\d{1,20}\}|\d(?:[\d.,/]{0,40}\d)?)(?:\\?%)?"
_DENYING = ("not", "n't", "n\u2019t", "≠", "\\ne", "!=")
_DENIED = re.compile(
    rf"""(?:,\s?)?(?:\b(?:is|are|does|do|can|must|will)\s)?(?:\b(?:can)?not\b|n['\u2019]t\b|≠|\\neq?(?![A-Za-z])|!=)
    [\s}}]{{0,3}}(?:(?:be|equal(?:\sto)?|exactly|simply|just|really)\s)?[\s$({{\\]{{0,4}}{_FIGURE}(?:\\?[$)])?""",
    re.VERBOSE | re.IGNORECASE,
)
_OR = r"(?:,?\s+or\s+(?:else\s+)?|,?\s*\\(?:text|mbox|mathrm)\s?\{\s?or\s?\}\s*|\s*\\lor\s+)"
_ALTERNATIVES = re.compile(
    rf"(?P<one>{_FIGURE})(?:\\?[$)])?{_OR}(?:[A-Za-z]\s?=\s?)?[$(\\]{{0,2}}(?P<other>{_FIGURE})[\s$.!)*\\]{{0,8}}$"
)
_BOXES_MAX = 20


def boxed(text: str) -> str | None:
    r"""Return what the last `\boxed{}` holds; "" if the text ends before it closes; None without any box.

    Boxes joined by nothing but a comma, "and" or "or" are one answer in several parts: `\boxed{1} and \boxed{2}`.
    """
    parts: list[str] = []
    end_of_next = len(text)
    start_of_next = None
    spellings = [spelling for spelling in ("\\boxed", "\\fbox") if spelling in text]
    while (start := max([text.rfind(spelling, 0, end_of_next) for spelling in spellings], default=-1)) >= 0:
        opened = _BOX.match(text, start)
        if opened is None:
            break
        closed = _closing_brace(text, opened.end(), start_of_next)
        if closed is None:
            return "" if not parts else ", ".join(parts)
        if start_of_next is not None and not _BETWEEN_BOXES.fullmatch(text, closed + 1, start_of_next):
            break
        parts.insert(0, text[opened.end() : closed].strip())
        if len(parts) == _BOXES_MAX:
            break
        start_of_next = end_of_next = start
    return ", ".join(parts) if parts else None


def _closing_brace(text: str, start: int, end: int | None) -> int | None:
    end = len(text) if end is None else end
    first = text.find("}", start, end)
    if first < 0 or (text.find("{", start, first) < 0 and text.find("\\", start, first) < 0):
        return first if first >= 0 else None  # nothing nested, as nearly always
    depth = 1
    for found in _BRACE.finditer(text, start, end):
        depth += {"{": 1, "}": -1}.get(found.group(), 0)
        if depth == 0:
            return found.start()
    return None


def marked(text: str) -> str | None:
    """Return the rest of the last line after "the answer is", "Answer:" or "####", without markup; None if unmarked."""
    line = text.rstrip()[-_LINE_CHARS_MAX:].rsplit("\n", 1)[-1]
    found = _MARKED.match(line)
    if found is None:
        return None
    return (found["answer"] or found["final"]).strip().strip("*").strip()


def without_denied(text: str) -> str:
    """Return the text without numbers that it says are not meant: `not 42`, `isn't 42`, `≠ 42`."""
    return _DENIED.sub(" ", text) if any(sign in text for sign in _DENYING) else text


def denies(text: str) -> bool:
    """Say whether a text denies a number."""
    return without_denied(text) != text


def alternatives(text: str) -> tuple[str, str] | None:
    """Return the two numbers that a text ends with as `42 or 43`; None where it ends otherwise."""
    found = _ALTERNATIVES.search(text[-_LINE_CHARS_MAX:]) if " or" in text or "{or" in text or "lor" in text else None
    return (found["one"], found["other"]) if found else None


def compared(equal: bool, extracted: str, expected: str) -> Verdict:
    """Return the verdict of a comparison that could be made."""
    return KEEP if equal else reject("wrong_answer", **_evidence(extracted, expected))


def no_answer(detail: str, expected: str, extracted: str = "") -> Verdict:
    """Return the verdict for a response that gives no answer, or none that can be read."""
    return reject("no_answer", detail, **_evidence(extracted, expected))


def _evidence(extracted: str, expected: str) -> dict[str, Any]:
    return {"extracted": extracted[:EVIDENCE_CHARS_MAX], "expected": expected[:EVIDENCE_CHARS_MAX]}
