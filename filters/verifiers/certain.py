"""Deciding whether two answers are equal where no algebra is needed: numbers, and lists, sets and intervals of them.

Says True or False only where that is certain, and None for everything else.
"""

import re
from collections.abc import Sequence

from filters.verifiers.rational import Rational, rational, tidy

_INFINITY = re.compile(r"(?P<sign>[+-]?)\s*\\infty")
_ASSIGNMENT = re.compile(r"(?P<name>[A-Za-z])\s*=\s*(?P<rest>[^=]+)")
_BRACKETS = re.compile(
    r"(?P<open>\\\{|[(\[])(?P<inside>[^()\[\]{}=]*(?:\\frac\{-?\d+\}\{\d+\}[^()\[\]{}=]*)*)(?P<close>\\\}|[)\]])"
)
_TOLERANCE = 2e-6
"""math-verify compares decimals rounded to six places; further apart than this they differ under any rounding of it."""
_SHARE = 1e-3
"""… except for tiny numbers, which rounding to six places would all make zero: these differ when a thousandth apart."""
CHARS_MAX = 300
"""Longer answers hold no plain number or short list."""
_WORDS = re.compile(r"(?:\\text\s*\{\s*)?(?P<words>[A-Za-z][A-Za-z ]+[A-Za-z])\s*\}?")
_PARTS_MAX = 50

Part = Rational | str
"""A number, or `+oo` / `-oo`."""


def equal(extracted: str, expected: str) -> bool | None:
    """Compare two answers. None means: ask the library."""
    left, right = tidy(extracted), tidy(expected)
    if left and left == right:
        return True
    left, right = _without_name(left, right)
    if left and left == right:
        return True
    if (one := rational(left)) and (other := rational(right)):
        return _same_number(one, other)
    if (said := _WORDS.fullmatch(left)) and (wanted := _WORDS.fullmatch(right)):
        # Different words may mean the same, and letters may be variables: only the same word is certain.
        return True if said["words"].casefold() == wanted["words"].casefold() else None
    mine, yours = _collection(left), _collection(right)
    if mine is None or yours is None or mine[0] != yours[0]:
        return None
    return _same_parts(mine[0], mine[1], yours[1])


def _without_name(left: str, right: str) -> tuple[str, str]:
    """Drop "x =" from both sides, or from the one that has it: `x = 5` answers 5; `y = 5` does not answer `x = 5`."""
    mine, yours = _ASSIGNMENT.fullmatch(left), _ASSIGNMENT.fullmatch(right)
    if mine and yours and mine["name"] != yours["name"]:
        return left, right
    return (mine["rest"].strip() if mine else left), (yours["rest"].strip() if yours else right)


def _same_number(one: Rational, other: Rational) -> bool | None:
    if one.unit and other.unit and one.unit != other.unit:
        return None
    if one.value == other.value:
        return True
    if one.unit != other.unit:
        return None  # "90 minutes" where 1.5 hours are expected
    if one.grouped and other.grouped:
        return None  # "1,234" might be the list 1, 234
    if one.percent != other.percent and (one.value * 100 == other.value or one.value == other.value * 100):
        return None  # "50%" where "50" is expected: the library's leniency decides
    if not (one.decimal or other.decimal):
        return False
    gap = abs(one.value - other.value)
    return False if gap > _TOLERANCE or gap > _SHARE * max(abs(one.value), abs(other.value)) else None


def _collection(text: str) -> tuple[str, list[Part]] | None:
    """Read `(1, 2]`, `\\{1, 2\\}` or `1, 2` as its brackets and parts; None where a part is no plain number."""
    if len(text) > CHARS_MAX:
        return None
    found = _BRACKETS.fullmatch(text)
    inside, brackets = (found["inside"], found["open"] + found["close"]) if found else (text, "")
    spellings = re.split(r"\s*[,;]\s*|\s+(?:and|or)\s+" if not found else r"\s*[,;]\s*", inside.strip())
    # Without a space after it, a comma before three digits may group thousands: "(1,234)".
    if not 2 <= len(spellings) <= _PARTS_MAX or re.search(r"\d,\d{3}(?!\d)", inside):
        return None
    parts = [_part(spelling) for spelling in spellings]
    return (brackets, [part for part in parts if part is not None]) if None not in parts else None


def _part(text: str) -> Part | None:
    if found := _INFINITY.fullmatch(text):
        return "-oo" if found["sign"] == "-" else "+oo"
    number = rational(text) if not re.match(r"0\d", text) else None
    # Percent and units inside collections are rare and open to readings; decimals are compared as everywhere.
    return number if number and not number.percent and not number.unit else None


def _same_parts(brackets: str, mine: Sequence[Part], yours: Sequence[Part]) -> bool | None:
    if not brackets:
        # "1, 2" may be meant in order or as a set, so only equal in order or different as sets is certain.
        as_given = len(mine) == len(yours) and all(map(_same_part, mine, yours))
        return True if as_given else (False if _same_parts(r"\{\}", mine, yours) is False else None)
    if brackets == r"\{\}":
        mine, yours = _as_set(mine), _as_set(yours)
    if len(mine) != len(yours):
        return None if any(isinstance(part, Rational) and part.decimal for part in (*mine, *yours)) else False
    verdicts = [_same_part(one, other) for one, other in zip(mine, yours, strict=True)]
    if all(verdicts):
        return True
    return False if False in verdicts else None


def _same_part(one: Part, other: Part) -> bool | None:
    if isinstance(one, Rational) and isinstance(other, Rational):
        return _same_number(one, other)
    return one == other


def _as_set(parts: Sequence[Part]) -> list[Part]:
    """Sort the parts by value and drop repeats."""
    by_value = {float("-inf") if p == "-oo" else float("inf") if isinstance(p, str) else p.value: p for p in parts}
    return [by_value[value] for value in sorted(by_value)]
