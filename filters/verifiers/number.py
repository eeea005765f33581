"""Is the response's number the reference's, with its unit and within its tolerance?

A reference is `42`, `9.81 m/s^2 ± 1%`, `3.5 km`, `6.02e23 ± 0.01e23`, `1/3`. Compatible units are converted, exactly:
3500 m is 3.5 km. A response that leaves the unit out is read in the reference's; one that adds a unit where the
reference has none is read without. Without a tolerance whole numbers and fractions must be met exactly, and a decimal
of three digits or more stands for what rounds to it: 3.14159 is right where 3.14 is asked, 3.1 is not. A response with
six or more digits may itself be rounded: 0.333333 is a third.
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from filters.verdict import Verdict, abstain, reject
from filters.verifiers.answer import alternatives, boxed, compared, marked, no_answer, without_denied
from filters.verifiers.quantity import SPECIAL, Quantity, last_quantity, quantity

EXAMPLE = (r"\boxed{1000 m}", "1 km")
"""What a fresh process judges first, so that no item pays for loading the units."""
REFERENCE_CHARS_MAX = 200
_PLUS_MINUS = re.compile(r"±|\\pm|\+\s*/?\s*-(?=\s*[\d.])")
_PLAIN = re.compile(
    r"""-?\d{1,20}(?:\.\d{1,20})?
    (?:[ ]?(?P<unit>%|[A-Za-z]{1,20}(?:/[A-Za-z]{1,20})?))?
    (?:[ ]?±[ ]?\d{1,20}(?:\.\d{1,20})?[ ]?%?)?""",
    re.VERBOSE,
)
"""What most references are: gradable without being read."""
_NOISE = Fraction(1, 10**9)
"""Share of the value: what floating point and conversions by way of pi leave."""
_ROUNDED_MAX = Fraction(2, 10**6)
"""Share of its value within which a response may be rounded."""
_TAIL_CHARS = 2000


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A reference as read."""

    quantity: Quantity
    tolerance: Fraction
    """In the reference's own unit."""


def gradable(reference: str) -> bool:
    """Tell whether the reference is one number, with or without unit and tolerance. Loads no units."""
    plain = _PLAIN.fullmatch(reference)
    if plain and (plain["unit"] or "").casefold() not in SPECIAL:
        return True
    return _wanted(reference) is not None


def quick(response: str, reference: str) -> Verdict | str:
    """Decide where no unit needs converting; else return the answer that `verify` is to look at."""
    wanted = _wanted(reference)
    if wanted is None:
        return abstain("reference_not_gradable", "the reference is not one number", expected=reference[:200])
    found = _answer(response)
    if found is None:
        return no_answer("no single number is called the answer", reference, extracted=_said(response))
    said, given = found
    numbers = _without_conversion(given, wanted.quantity)
    if numbers is None:
        return rf"\boxed{{{said}}}"
    return compared(any(_within(number, given, wanted) for number in numbers), said, reference)


def verify(response: str, reference: str) -> Verdict:
    """Compare, converting units where they differ."""
    part = quick(response, reference)
    wanted = _wanted(reference)
    if isinstance(part, Verdict) or wanted is None:
        return part if isinstance(part, Verdict) else abstain("reference_not_gradable")
    from filters.verifiers import units

    said, given = _answer(part) or ("", wanted.quantity)
    try:
        value = units.convert(given.parts, wanted.quantity.unit)
    except units.Incompatible as error:
        return reject("wrong_unit", str(error)[:200], extracted=said, expected=reference[:200])
    except units.Unknown as error:
        return abstain("unknown_unit", str(error)[:200], extracted=said, expected=reference[:200])
    return compared(_within(value, given, wanted), said, reference)


@lru_cache(maxsize=1024)
def _wanted(reference: str) -> _Wanted | None:
    text = reference.strip()
    if not 0 < len(text) <= REFERENCE_CHARS_MAX:
        return None
    if "####" in text or "\\boxed" in text:
        text = (text.rpartition("####")[2] if "####" in text else boxed(text) or "").strip()
    number, sign, tolerance = _split(text)
    wanted = quantity(number)
    if wanted is None or len(wanted.parts) > 1:
        return None
    if not sign:
        return _Wanted(wanted, max(wanted.slack, abs(wanted.value) * _NOISE))
    margin = quantity(tolerance)
    if margin is None or len(margin.parts) > 1 or margin.value < 0:
        return None
    if margin.unit == "%" and wanted.unit != "%":
        return _Wanted(wanted, abs(wanted.value) * margin.value / 100)
    if margin.unit and wanted.unit and margin.unit != wanted.unit:
        return None  # "1 km ± 5 m": say the tolerance in the unit of the value
    unit = wanted.unit or margin.unit
    return _Wanted(Quantity(((wanted.value, unit),)), margin.value)


def _split(text: str) -> tuple[str, str, str]:
    """Cut at the plus-minus; a unit after brackets counts for the value: `(9.81 ± 0.05) m/s^2`."""
    found = _PLUS_MINUS.search(text)
    if found is None:
        return text, "", ""
    number, tolerance = text[: found.start()].strip(), text[found.end() :].strip()
    if number.startswith("(") and ")" in tolerance:
        number, tolerance = number[1:], tolerance.replace(")", " ", 1)
    return number, found[0], tolerance


def _answer(response: str) -> tuple[str, Quantity] | None:
    """Return the answer as written and as read: boxed, called the answer, all there is, or the last line's last."""
    held = boxed(response)
    if held is not None:
        read = quantity(held)
        return (held, read) if read else None
    tail = response[-_TAIL_CHARS:].strip()
    last = tail.rsplit("\n", 1)[-1]
    if (several := alternatives(last)) and len({read.parts for part in several if (read := quantity(part))}) > 1:
        return None
    if (kept := without_denied(last)) != last:
        if not any(map(str.isdigit, kept)):
            return None
        tail = (tail.removesuffix(last) + kept).strip()
    for candidate in (tail, marked(tail)):
        if candidate and (read := quantity(candidate)):
            return candidate, read
    read = last_quantity(marked(tail) or tail.rsplit("\n", 1)[-1])
    return (_spelt(read), read) if read else None


def _spelt(read: Quantity) -> str:
    return " ".join(f"{value} {unit}".strip() for value, unit in read.parts)


def _without_conversion(given: Quantity, wanted: Quantity) -> list[Fraction] | None:
    """Return what the given number may be in the wanted unit, any of which counts; None where pint has to say."""
    if len(given.parts) > 1:
        return None
    value, mine, yours = given.value, given.unit, wanted.unit
    if mine == "%" and not yours:
        # "What percentage?" has the reference 42; "what share?" has 0.42.
        return [value / 100, *([value] if abs(wanted.value) >= 1 else [])]
    if yours == "%" and not mine:
        return [value, value * 100]
    if not mine or not yours or _alike(mine) == _alike(yours):
        return [value]
    return None


def _alike(unit: str) -> str:
    return unit.casefold().removesuffix("s") if len(unit) > 3 else unit


def _within(value: Fraction, given: Quantity, wanted: _Wanted) -> bool:
    rounded = given.slack / abs(given.value) if given.value else Fraction(0)
    slack = abs(value) * rounded if rounded <= _ROUNDED_MAX else Fraction(0)
    return abs(value - wanted.quantity.value) <= max(wanted.tolerance, slack)


def _said(response: str) -> str:
    return boxed(response) or response[-_TAIL_CHARS:].strip().rsplit("\n", 1)[-1]
