"""Reading a number with its unit exactly: `9.81 m/s^2`, `3,500 m`, `6.02e23`, `1 1/2 h`, `1 h 30 min`, `42%`.

Bounded like `rational`, so that hostile text can be read in the service's own process. Units are only spelt alike here;
what they mean is for `units`.
"""

import re
from dataclasses import dataclass
from fractions import Fraction

from filters.verifiers.rational import CHARS_MAX, rational, tidy

TEXT_CHARS_MAX = 300
"""Longer text is no quantity."""
UNIT_CHARS_MAX = 60
_PARTS_MAX = 4
_SCALES = {"dozen": 12, "hundred": 100} | {
    word: 1000**power for power, word in enumerate(("thousand", "million", "billion", "trillion"), start=1)
}
_CURRENCIES = {"€": "euro", "£": "gbp", "¥": "yen", "₹": "rupee"}

_NUMBER = r"""
    [+-]?\s*(?:
        (?:\d{1,6}\s*)?\\frac\s*\{\s*-?\d{1,20}\s*\}\s*\{\s*\d{1,20}\s*\}
      | (?:\d{1,6}\s+)?\d{1,20}\s*/\s*\d{1,20}(?![\d.])
      | (?:\d{1,3}(?:,\d{3}){1,8}(?![\d,])|\d{1,3}(?:\ \d{3}){1,8}(?!\d)|\d{0,60})(?:\.\d{0,60})?
        (?:[eE][+-]?\d{1,2}(?!\w)|\s*(?:\\times|\\cdot|\*|[xX])\s*10\s*\^\s*\{?\s*[+-]?\d{1,2}\s*\}?)?
    )
"""
_START = re.compile(_NUMBER, re.VERBOSE)
_PLAIN = re.compile(
    r"\s*(?P<number>-?\d{1,20}(?:\.\d{1,20})?)(?:\s?(?P<unit>%|[A-Za-z]{1,20}(?:/[A-Za-z]{1,20})?))?\s*"
)
"""What most references are, read without the rest of this file."""
_POWER = re.compile(r"([+-]?)\s*10\s*\^\s*\{?\s*([+-]?\d{1,2})\s*\}?")
_BEFORE = re.compile(r"^\s*(?:(?:about|approximately|approx\.?|roughly|\\approx|\\sim|≈|~)\s*)?")
_NAMED = re.compile(r"[A-Za-z][\w\\{}]{0,20}\s*(?:=|\\approx|≈)\s*(?=[^=]*$)")
_IN_BRACKETS = re.compile(r"^\(([^()]*)\)")
_TIMES = re.compile(r"\*|(?<=\d)\s*[xX](?=\s*10\s*\^)|\\cdot")
_WRAPPED = re.compile(r"\\(?:text(?:rm|bf|normal|it)?|mathrm|mathbf|mbox|operatorname|rm|unit|si)\b\s*|[{}]")
_DEGREES = re.compile(r"\^\s*\\circ\s*")
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_RAISED = re.compile(r"(?<=[A-Za-zµΩ)])(?:\s*\^\s*\(?\s*)?([⁻-]?[\d⁰¹²³⁴⁵⁶⁷⁸⁹]{1,2})\)?(?!\d)")
_UNIT_PIECE = re.compile(r"[A-Za-zµΩ_]+(?:\^-?\d{1,2})?|[*/()]|\s+|\)\^-?\d")
_GOING_ON = {"in", "a", "as", "at", "is", "are", "of", "for", "so", "was", "left", "each", "total", "altogether"}
"""After a number within a sentence these are English, not inches, years or attoseconds."""
_AND = re.compile(r"^\s*(?:,|and\b)?\s*")
_JOINING = {"or", "and", "to", "plus", "minus", "times", "mod", "over", "i", "x", "y", "z"}
"""After these comes another number, or they make it one: no unit, and no single quantity."""
SPECIAL = {*_SCALES, *_JOINING, "percent", "per"}
"""Words after a number that are no plain unit."""
_NOT_SAID = re.compile(
    r"(?:\bnot|n[\u2019']t|\d\s*(?:to|or|-|\u2013|and))(?:\s+(?:be|exactly|equal|to))?$", re.IGNORECASE
)
"""Before a number: it is denied, or only the end of a range."""
_DECIMALS = re.compile(r"\d+")
_WORD = re.compile(r"\s*([A-Za-z]+)")
_FIRST = re.compile(r"(?<![\w.^/{,])(?:[€£¥₹]\s*)?[+-]?(?:\d|\.\d|\\frac)")


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number with its unit, or several to be added: `1 h 30 min`."""

    parts: tuple[tuple[Fraction, str], ...]
    """Values with their units, "" for none and "%" for percent."""
    slack: Fraction = Fraction(0)
    """Half a unit of the last place written, where at least three digits are and one of them is a decimal."""

    @property
    def value(self) -> Fraction:
        """Of the first part, in its own unit."""
        return self.parts[0][0]

    @property
    def unit(self) -> str:
        """Of the first part."""
        return self.parts[0][1]


def quantity(text: str) -> Quantity | None:
    """Read text that is one quantity and nothing else, but for "x =" or "about" before it; None for all other text."""
    if len(text) > TEXT_CHARS_MAX:
        return None
    plain = _PLAIN.fullmatch(text)
    if plain and (plain["unit"] or "").casefold() not in SPECIAL:
        value = Fraction(plain["number"])
        return Quantity(((value, plain["unit"] or ""),), _slack(plain["number"], value))
    left = _BEFORE.sub("", _NAMED.sub("", _readable(text), count=1), count=1)
    left = _IN_BRACKETS.sub(r"\1", left, count=1)
    parts: list[tuple[Fraction, str]] = []
    slack = Fraction(0)
    while left and len(parts) < _PARTS_MAX:
        found = _leading(left)
        if found is None:
            return None
        value, written, left = found
        slack = slack or _slack(written, value)
        unit = unit_of(left)
        if unit is not None:
            return Quantity((*parts, (value, unit)), slack if not parts else Fraction(0))
        word = _WORD.match(left)
        if word is None or word[1] in _JOINING:
            return None
        parts.append((value, word[1]))
        left = _AND.sub("", left[word.end() :], count=1)
    return None


def last_quantity(text: str) -> Quantity | None:
    """Read what a line of prose ends with, else its last number, with the word after that as its unit."""
    line = _readable(text[-TEXT_CHARS_MAX:])
    last, end = None, 0
    for found in _FIRST.finditer(line):
        if found.start() < end:
            continue
        rest = line[found.start() :]
        if (
            (whole := quantity(rest)) is not None
            and not _NOT_SAID.search(line[: found.start()].rstrip())
            and (len(whole.parts) > 1 or " " not in whole.unit)
        ):
            return whole
        if (read := _leading(rest)) is not None:
            last, end = read, len(line) - len(read[2])
    if last is None:
        return None
    value, written, rest = last
    if _NOT_SAID.search(line[: end - len(written)].rstrip()):
        return None
    token = re.match(r"\s*((?:degrees?\s+(?=[A-Z]))?[^\s,;:!?]+)", rest)
    unit = unit_of(token[1].rstrip(".)*")) if token and token[1].casefold() not in _GOING_ON else ""
    return Quantity(((value, unit or ""),), _slack(written, value))


def _readable(text: str) -> str:
    return tidy(_DEGREES.sub(lambda _: "° ", text)).strip().strip("*").strip()


def _leading(text: str) -> tuple[Fraction, str, str] | None:
    """Return the number that text starts with, as a value and as written, and the text after it."""
    currency = _CURRENCIES.get(text[:1], "")
    text = text[1:].lstrip() if currency else text
    if power := _POWER.match(text):
        sign = -1 if power[1] else 1
        return sign * Fraction(10) ** int(power[2]), power[0], text[power.end() :] or currency
    found = _START.match(text)
    if found is None or not found[0].strip(" +-"):
        return None
    written = found[0].strip()
    read = rational(_TIMES.sub(lambda _: r"\times", written)) if len(written) <= CHARS_MAX else None
    if read is None:
        return None
    value, rest = Fraction(read.value), text[found.end() :]
    word = _WORD.match(rest)
    if word and (scale := _SCALES.get(word[1].casefold())):
        value, rest = value * scale, rest[word.end() :]
    return value, written, rest if rest.strip() or not currency else currency


def unit_of(text: str) -> str | None:
    """Return the unit that text spells, in one spelling (`m*s^-2`); "" for no text; None where it cannot be one."""
    text = text.strip().lstrip("-").strip()
    if not text:
        return ""
    if re.fullmatch(r"\\?%|percent|per\s?cent", text, re.IGNORECASE):
        return "%"
    if text[0] in _CURRENCIES and len(text) == 1:
        return _CURRENCIES[text]
    if len(text) > 2 * UNIT_CHARS_MAX:
        return None
    text = re.sub(r"\\frac\s*\{(.{1,30}?)\}\s*\{(.{1,30}?)\}(?!\})", r"\1/\2", text)
    text = text.replace(r"\mu ", "µ").replace(r"\mu", "µ").replace("μ", "µ").replace(r"\Omega", "Ω").replace("Ω", "Ω")
    text = re.sub(r"\\?\^\s*\\circ\s*|\\degree\s*|°\s*", "deg", _WRAPPED.sub("", text))
    text = re.sub(r"\bdeg(?![A-Za-z])", "degree", text)
    text = re.sub(
        r"(?i)\bdegrees?\s+([CFK])(?:elsius|ahrenheit|elvin)?\b", lambda found: f"deg{found[1].upper()}", text
    )
    text = re.sub(r"\\cdot|\\times|·|⋅|(?<=[A-Za-z])\.(?=[A-Za-z])", "*", text)
    text = _RAISED.sub(lambda found: "^" + found[1].translate(_SUPERSCRIPTS), text.replace("**", "^"))
    text = re.sub(r"\s*([*/^()])\s*", r"\1", " ".join(text.split())).strip("~ ")
    if not text or len(text) > UNIT_CHARS_MAX or _UNIT_PIECE.sub("", text) or not text[0].isalpha():
        return None
    if not _JOINING.isdisjoint(re.split(r"[^A-Za-z]+", text.casefold())):
        return None
    return text


def _slack(written: str, value: Fraction) -> Fraction:
    whole, _, rest = written.partition(".")
    decimals = _DECIMALS.match(rest)
    if decimals is None or len((whole + decimals[0]).lstrip("+-0, ").replace(",", "").replace(" ", "")) < 3:
        return Fraction(0)
    mantissa = Fraction(f"{whole.replace(',', '').replace(' ', '')}.{decimals[0]}")
    half = Fraction(1, 2 * 10 ** len(decimals[0]))
    return half * abs(value / mantissa) if mantissa and value != mantissa else half
