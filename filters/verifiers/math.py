r"""Does the response's final answer equal the reference as mathematics?

The answer is the last `\boxed{}`, else what the response ends with. Plain numbers, sets and intervals are decided by
exact arithmetic in `certain`; the rest by `math-verify` on sympy, which has no bound on its time: use the pool.
"""

import re
from functools import lru_cache
from typing import Any

from filters.verdict import Verdict, abstain
from filters.verifiers import certain
from filters.verifiers.answer import alternatives, boxed, compared, denies, marked, no_answer, without_denied
from filters.verifiers.rational import tidy

REFERENCE_CHARS_MAX = 2000
"""Longer references are solutions or prose, not answers."""
ANSWER_CHARS_MAX = 4000
"""A longer boxed answer equals no reference of permitted length; only the library could say, at great cost."""
TAIL_CHARS = 2000
"""Without a box the answer is looked for in the last words of the response; math-verify takes the rightmost match."""
_PROSE_WORDS_MAX = 4
_SEVERAL = re.compile(r"[,;<>=≠±]|\\(?:pm|cup|lor|neq?|in|leq?|geq?|text)(?![A-Za-z])|\\\{|\b(?:or|and|not)\b")
"""In a reference: it is more than one number, or says itself what is not."""
_WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{3,}")


def gradable(reference: str) -> bool:
    """Tell whether the reference looks like an answer: short, and symbols rather than prose. Never runs sympy."""
    return _expected(reference)[1]


def quick(response: str, reference: str) -> Verdict | str:
    """Decide what exact arithmetic can, in microseconds and safely; else return the part of the response to look at."""
    expected, usable = _expected(reference)
    if not usable:
        return abstain("reference_not_gradable", "the reference is empty, too long or prose", expected=expected[:200])
    held = boxed(response)
    if held is None:
        return _quick_without_box(response, expected)
    if not held.strip():
        return no_answer("the last box is empty or does not close", expected)
    if len(held) > ANSWER_CHARS_MAX:
        return abstain("answer_too_long", f"the box holds {len(held)} characters")
    if _is_one(expected) and (denies(held) or alternatives(held)):
        return _unclear(held, expected)
    equal = _equal(held, expected)
    return rf"\boxed{{{held}}}" if equal is None else compared(equal, held, expected)


def _quick_without_box(response: str, expected: str) -> Verdict | str:
    tail = response[-TAIL_CHARS:].strip()
    if not tail:
        return no_answer("the response is empty", expected)
    last = tail.rsplit("\n", 1)[-1]
    if _is_one(expected) and (denies(last) or alternatives(last)):
        kept = without_denied(last)
        if alternatives(last) or not any(map(str.isdigit, kept)):
            return _unclear(last, expected)
        tail = tail.removesuffix(last) + kept
    for candidate in (tail if len(tail) <= certain.CHARS_MAX else None, marked(tail)):
        equal = _equal(candidate, expected) if candidate else None
        if candidate and equal is not None:
            return compared(equal, candidate, expected)
    return tail


def _unclear(said: str, expected: str) -> Verdict:
    """Judge what says two numbers, or what the answer is not: right only where both are the same and right."""
    parts = alternatives(said)
    if parts is None:
        return no_answer("it says what the answer is not", expected, extracted=said[-200:])
    equal = [_equal(part, expected) for part in parts]
    if all(equal):
        return compared(True, said, expected)
    if False in equal:
        return no_answer("it gives two answers", expected, extracted=said[-200:])
    return abstain(
        "two_answers", "it gives two answers that may be one", extracted=said[-200:], expected=expected[:200]
    )


def verify(response: str, reference: str) -> Verdict:
    """Compare by exact arithmetic where that decides, else by math-verify. May run for hours on hostile text."""
    part = quick(response, reference)
    if isinstance(part, Verdict):
        return part
    expected, _ = _expected(reference)
    wanted = _parse_reference(expected)
    if all(isinstance(form, str) for form in wanted):
        return abstain("reference_not_gradable", "the reference cannot be read as mathematics", expected=expected[:200])
    held = boxed(part)
    given = _parse(_as_box(held) if held else part)
    if all(isinstance(form, str) for form in given):
        _raise_if_the_reader_broke(given)
        return no_answer("nothing could be read as mathematics", expected, extracted=held or part[-200:])
    from math_verify import verify as equal

    extracted = held or str(given[-1])
    return compared(equal(list(wanted), given, timeout_seconds=0, raise_on_error=True), extracted, expected)


@lru_cache(maxsize=1024)
def _expected(reference: str) -> tuple[str, bool]:
    """Return the answer a reference gives (its last box, else what follows "####", else all of it); can it be used?"""
    held = boxed(reference)
    expected = (reference.rpartition("####")[2] if held is None else held).strip()
    usable = 0 < len(expected) <= REFERENCE_CHARS_MAX and len(_WORD.findall(expected)) <= _PROSE_WORDS_MAX
    return expected, usable


def _is_one(expected: str) -> bool:
    return _SEVERAL.search(expected) is None


def _equal(held: str, expected: str) -> bool | None:
    """Compare exactly; most of the n answers to one prompt are the same, so short ones are compared once."""
    short = len(held) <= certain.CHARS_MAX and len(expected) <= certain.CHARS_MAX
    return _remembered(held, expected) if short else certain.equal(held, expected)


_remembered = lru_cache(maxsize=4096)(certain.equal)


@lru_cache(maxsize=256)
def _parse_reference(expected: str) -> tuple[Any, ...]:
    return tuple(_parse(_as_box(expected)))


def _as_box(answer: str | None) -> str:
    return rf"\boxed{{{tidy(answer or '')}}}"


def _raise_if_the_reader_broke(unread: list[str]) -> None:
    """math-verify hides why it could not read a text: not mathematics, or too deep for its own recursion."""
    from latex2sympy2_extended import latex2sympy

    for text in unread:
        try:
            latex2sympy(text)
        except (RecursionError, MemoryError):
            raise
        except Exception:  # noqa: BLE001, S110 - anything else is its way to say "not mathematics"
            pass


def _parse(text: str) -> list[Any]:
    """Read every form math-verify finds: sympy objects, and the text itself as the last one."""
    from math_verify import parse

    # Its own time limit is a signal handler: it fails off the main thread and some inputs outlast it.
    return parse(text, parsing_timeout=0, raise_on_error=True)
