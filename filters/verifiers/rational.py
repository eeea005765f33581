"""Reading numbers that have one meaning only (integers, decimals, fractions, percent, powers of ten) exactly.

Everything is bounded (length, digits, exponents), so that text from a model can be read in the service's own process.
"""

import re
from dataclasses import dataclass
from fractions import Fraction

CHARS_MAX = 100
"""Longer spellings are left to the library: nobody writes such a number, and conversion is quadratic in its digits."""

_UNITS = """
    cm mm km kg mg ml cent cents dollar dollars euro euros usd eur hour hours minute minutes second seconds day days
    week weeks month months year years meter meters metre metres mile miles foot feet inch inches gram grams liter
    liters litre litres degree degrees unit units people students point points coins apples books mph
""".split()  # noqa: SIM905 - a list literal of sixty strings reads worse
"""Words that never change the value. Others might ("5 million", "5 mod 7", "5 x") and are left to the library."""

_SIGNS = str.maketrans(
    {"−": "-", "–": "-", "×": r"\times ", "∞": r"\infty ", "π": r"\pi ", "°": r"^\circ "}  # noqa: RUF001 - signs of models
    | {
        sign: f" {top}/{bottom} "
        for sign, top, bottom in ("½12", "⅓13", "⅔23", "¼14", "¾34", "⅕15", "⅛18", "⅜38", "⅝58", "⅞78")
    }
)
_SPELLINGS = [
    (re.compile(r"\\!\s*|\u200b"), ""),
    (re.compile(r"(?<!\\)\\(?:(?:left|right|displaystyle|bigl?|bigr|quad)(?![A-Za-z])|[,;:\s])|~|\\?\$"), " "),
    (re.compile(r"\\[dtc]frac"), r"\\frac"),
    (re.compile(r"\\frac\s*(\d)\s*(\d)(?!\d)"), r"\\frac{\1}{\2}"),
    (re.compile(r"\{,\}"), ","),
    (re.compile(r"\s+"), " "),
]
_NUMBER = re.compile(
    r"""
    (?P<sign>[+-]?)\s*
    (?:
        (?P<whole>\d+)?\s*\\frac\s*\{\s*(?P<minus>-?)\s*(?P<top>\d+)\s*\}\s*\{\s*(?P<bottom>\d+)\s*\}
      | (?:(?P<whole2>\d+)\s+)?(?P<top2>\d+)\s*/\s*(?P<bottom2>\d+)
      | (?P<digits>\d{1,3}(?:,\d{3})+|\d{1,3}(?:\ \d{3})+|\d*)(?P<point>\.\d*)?
        (?:\\(?:overline|bar)\s*\{\s*(?P<repeat>\d{1,20})\s*\})?
        (?:[eE](?P<exponent>[+-]?\d{1,2}) | \s*\\(?:times|cdot)\s*10\s*\^\s*\{?\s*(?P<power>-?\d{1,2})\s*\}?)?
    )
    \s*(?P<percent>\\?%|percent\b|per\ cent\b)?
    \s*(?:\\(?:text(?:rm|bf|normal)?|mathrm|mbox)\s*\{\s*(?P<unit>[A-Za-z]+)\s*\}|(?P<unit2>[A-Za-z]+)|(?P<degree>\^\s*\{?\s*\\circ\s*\}?))?
    """,
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Rational:
    """A number read exactly."""

    value: Fraction | int
    """With percent already divided by 100."""
    decimal: bool
    """It was written with a decimal point, so it may stand for a rounded value."""
    percent: bool
    grouped: bool
    """Written with commas or spaces between thousands, which could also separate a list."""
    unit: str


def tidy(text: str) -> str:
    """Return the text without mark-up that changes no meaning: spacing commands, dollar signs, bold, a final stop."""
    text = text.translate(_SIGNS)
    for pattern, replacement in _SPELLINGS:
        text = pattern.sub(replacement, text)
    text = text.strip()
    if text.startswith("**") and text.endswith("**") and len(text) > 4:
        text = text[2:-2].strip()
    return text if text.endswith("..") else text.removesuffix(".").rstrip()


def rational(tidied: str) -> Rational | None:
    """Read one tidied number; None where it is anything else, or where two readings are possible."""
    found = _NUMBER.fullmatch(tidied) if len(tidied) <= CHARS_MAX else None
    if found is None:
        return None
    unit = (found["unit"] or found["unit2"] or ("degrees" if found["degree"] else "")).casefold()
    magnitude = _magnitude(found)
    if magnitude is None or (unit and unit not in _UNITS):
        return None
    negative = (found["sign"] == "-") != (found["minus"] == "-")
    percent = found["percent"] is not None
    return Rational(
        value=(-magnitude if negative else magnitude) * (Fraction(1, 100) if percent else 1),
        decimal=(found["point"] is not None and not found["repeat"]) or found["exponent"] is not None,
        percent=percent,
        grouped=any(sign in (found["digits"] or "") for sign in ", "),
        unit=unit,
    )


def _magnitude(found: re.Match[str]) -> Fraction | int | None:
    top, bottom = found["top"] or found["top2"], found["bottom"] or found["bottom2"]
    if top is not None:
        if not int(bottom):
            return None
        whole = found["whole"] or found["whole2"] or "0"
        if whole != "0" and (found["minus"] or int(top) >= int(bottom)):
            return None  # "2 3/2" is no mixed number: product or slip, not for us to say
        return int(whole) + Fraction(int(top), int(bottom))
    digits, point = found["digits"].replace(",", "").replace(" ", ""), (found["point"] or "").removesuffix(".")
    if (not digits and not point) or (found["repeat"] and found["point"] is None):
        return None
    exponent = found["exponent"] or found["power"]
    if not point and not exponent and not found["repeat"]:
        return int(digits)
    number = Fraction(f"{digits or '0'}{point}")
    if repeat := found["repeat"]:
        places = len(point.removeprefix("."))
        number += Fraction(int(repeat), (10 ** len(repeat) - 1) * 10**places)
    return number * Fraction(f"1e{exponent}") if exponent else number
