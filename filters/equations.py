r"""Finding the equations that a text writes out in figures, `12 \times 3 = 36`, and working them out exactly.

Only what has one reading is an equation here: no letters, no product without its sign, no figure that goes on with a
unit of time, a power of ten in words or a remainder. All bounded and in linear time, for text from a model.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

_SIDE_CHARS_MAX = 200
"""Nobody writes a longer side by hand; its value would be of no use."""
_SIDES_MAX = 100
"""Of one chain `a = b = c`; what follows is passed over."""
_DIGITS_MAX = 40
"""Of numbers read and of values worked out."""
_DEPTH_MAX = 10
_STRETCH = re.compile(r"[\d+\-*/^().= ]+")
_FRACTION = re.compile(r"\\[dt]?frac\s{0,3}\{([^{}\n]{1,60})\}\s{0,3}\{([^{}\n]{1,60})\}")
_SPELLINGS = [
    ("\\×·∙", r"\\(?:times|cdot|ast)(?![A-Za-z])|[×·∙]", "*"),  # noqa: RUF001 - signs that models write for times
    ("xX", r"(?<=\d)( {0,3})[xX]( {0,3})(?=\d)", r"\1*\2"),
    ("\\÷", r"\\div(?![A-Za-z])|÷", "/"),
    ("−–", r"[−–]", "-"),  # noqa: RUF001 - minus and dash
    ("\\{\u200b", r"\\(?:left|right)(?=[()])|\\!|\{,\}|\u200b", ""),
    ("\\$€£~&*", r"\\?[$€£]|\\[,;:(\[)\]]|~|\\quad(?![A-Za-z])|&(?==)|\*\*(?=\s|$)", " "),
    (",", r"(?<=\d),(?=\d{3}(?!\d))", ""),
    (".)*•-", r"(?m)^[ \t]{0,20}(?:\d{1,3}[.)]|[*•-]) ", "\n"),
    ("*", r"\*\*(?= ?[\d(])", "^"),
]
"""Signs of which a text has one wherever it has the pattern, the pattern, and what it is read as."""
_READ_AS = [(frozenset(signs), re.compile(pattern), plain) for signs, pattern, plain in _SPELLINGS]
_GLUED_BEFORE = re.compile(r"[\w)\]}^\\√!%°:.,/|]$")
_WORD_BEFORE = re.compile(
    r"\b(?:of|plus|minus|times|over|by|log|ln|sin|cos|tan|sqrt|root|mod|lcm|gcd|negative|twice|half|between|hundred"
    r"|thousand|million|billion|cubed|squared)$",
    re.IGNORECASE,
)
"""What stands before a stretch that is only the end of something longer."""
_GOES_ON = re.compile(rf"[-+*/^=(×·÷]$|{_WORD_BEFORE.pattern}", re.IGNORECASE)  # noqa: RUF001 - a sign for times
"""At the end of a line: the next one goes on with it."""
_AFTER = re.compile(
    r"[A-Za-z_^{(\[!%√°:/|]|,\d|[^\W\d]"
    r"| {0,3}(?:%|\?|!=|\\(?!text|mathrm|mbox|boxed|approx|implies|Rightarrow|qquad|\\|n)"
    r"|\(?(?:mod|rounded|approx|about|rem|(?:in )?base|in (?:binary|octal|hex))"
    r"|[A-Za-z](?![A-Za-z'])|r\d|(?:R|remainder|percent|thousand|million|billion|hundred|dozen|half|to the)\b"
    r"|and (?:(?:a|one|three)\b|\d{1,3}/\d{1,3}(?! ?[=+*/\d-])))",
)
"""What follows a figure that is only the beginning of something longer, or a question."""
_NUMBER = re.compile(
    r"\(\((-?\d{1,40})\)/\((\d{1,40})\)\)|(?<![\w.)\-])(-?\d{1,40}(?:\.\d{1,40})?)(?!\d)(?:/(\d{1,40})(?!\d|\.\d))?"
)
_SUPPOSED = re.compile(r" {0,3}(?:suppose|assume|imagine|if|were)\b", re.IGNORECASE)
"""Begins a sentence that says nothing of what holds."""
_TAIL_CHARS = 4000
_FIGURE = re.compile(r"\d")
_FULL_STOP = re.compile(r"\.(?!\d)")
_OPERAND = r"(?:(\d{1,15}(?:\.\d{1,5})?)|\(\((\d{1,15})\)/\((\d{1,15})\)\))"
_SIMPLE = re.compile(rf" *{_OPERAND} *(?:([-+*/]) *{_OPERAND} *)?", re.ASCII)
"""A figure or a fraction, or two of them and a sign, as most sides are."""
_TOKEN = re.compile(r"\s*(?:(\d+(?:\.\d+)?|\.\d+)|([+\-*/^()]))")


Number = Fraction | int
"""Exact; whole numbers stay what they are, since fractions are twenty times slower."""


class Value(NamedTuple):
    """What one side comes to."""

    number: Number
    decimal: bool
    """A decimal point was written, so that it may be rounded."""
    worked: bool
    """There was something to work out."""


@dataclass(frozen=True, slots=True)
class Equation:
    """Two neighbouring sides of an equals sign, as written, and what each comes to."""

    text: str
    left: Value
    right: Value

    def holds(self, tolerance: float) -> bool:
        """Say whether both sides agree; where decimals were written, within this share or their last place."""
        left, right = self.left.number, self.right.number
        if left == right:
            return True
        return (self.left.decimal or self.right.decimal) and abs(left - right) <= Fraction(tolerance) * abs(left)


def equations(text: str) -> Iterator[Equation]:
    """Yield the equations of a text in order. What cannot be read for certain is passed over."""
    earlier = ""
    for line in text.split("\n"):
        if "=" in line:
            # No equation goes beyond a full stop; most sentences have none and need no reading.
            for place, sentence in enumerate(line.split(". ")):
                if "=" in sentence and not _SUPPOSED.match(sentence):
                    yield from _of_sentence(_plain(sentence), earlier if place == 0 else "")
        earlier = line if line and not line.isspace() else ""


def _of_sentence(plain: str, earlier: str) -> Iterator[Equation]:
    for found in _STRETCH.finditer(plain):
        if "=" not in found[0]:
            continue
        before = plain[max(0, found.start() - 12) : found.start()]
        if not before and _GOES_ON.search(earlier[-12:].rstrip()):
            continue
        yield from _of_stretch(found[0], before, plain[found.end() : found.end() + 16])


def written(text: str, count: int) -> list[Fraction]:
    """Return the last numbers near the end of a text in order, fractions as one."""
    found: list[tuple[str, str, str, str]] = []
    for sentence in _from_the_end(text[-_TAIL_CHARS:]):
        found = [*_NUMBER.findall(_plain(sentence)), *found]
        if len(found) >= count:
            break
    pairs = ((top or number, bottom or below or "1") for top, bottom, number, below in found[-count:])
    return [Fraction(top) / Fraction(bottom) for top, bottom in pairs if Fraction(bottom)]


def _from_the_end(text: str) -> Iterator[str]:
    """Yield the sentences with a figure in them, the last one first."""
    for line in reversed(text.split("\n")):
        for sentence in reversed(line.split(". ")):
            if _FIGURE.search(sentence):
                yield sentence


def _plain(text: str) -> str:
    if "\\" in text:
        text = _FRACTION.sub(r"((\1)/(\2))", text)
    there = set(text)
    for signs, pattern, plain in _READ_AS:
        if not signs.isdisjoint(there):
            text = pattern.sub(plain, text)
    return text.replace("{", "(").replace("}", ")")


def _of_stretch(stretch: str, before: str, after: str) -> Iterator[Equation]:
    sentences = _FULL_STOP.split(stretch) if "." in stretch else [stretch]
    for number, sentence in enumerate(sentences):
        sides = sentence.split("=", _SIDES_MAX)
        values = [_value(side) for side in sides]
        if number == 0 and _cut_before(sides[0], before):
            values[0] = None
        if number == len(sentences) - 1 and _AFTER.match(" " + after if sides[-1].endswith(" ") else after):
            values[-1] = None
        for place, (left, right) in enumerate(pairwise(values)):
            if left and right and (left.worked or right.worked):
                yield Equation(f"{sides[place].strip()} = {sides[place + 1].strip()}", left, right)


def _cut_before(side: str, before: str) -> bool:
    """Say whether the first side goes on to the left of the stretch: `x + 3`, `the square of 3 + 4`."""
    if side.lstrip().startswith(("+", "-", "*", "/", "^", ")")):
        return bool(before.strip())
    return bool((_WORD_BEFORE if side.startswith(" ") else _GLUED_BEFORE).search(before))


def _value(side: str) -> Value | None:
    if not side.strip() or len(side) > _SIDE_CHARS_MAX:
        return None
    plain = side.strip()
    if plain.isdecimal() and plain.isascii() and len(plain) <= _DIGITS_MAX:  # half of all sides: a short way for them
        return Value(int(plain), False, False)
    if (simple := _SIMPLE.fullmatch(side)) and (number := _worked(*simple.groups())) is not None:
        return Value(number, "." in side, bool(simple[2] or simple[4]))
    tokens: list[str] = []
    place, end = 0, len(side.rstrip())
    while place < end:
        found = _TOKEN.match(side, place)
        if found is None:
            return None
        tokens.append(found[1] or found[2])
        place = found.end()
    reader = _Reader(tokens)
    try:
        number = reader.sum(0)
    except (ValueError, ZeroDivisionError):
        return None
    if not reader.ended():
        return None
    worked = any(token in "+*/^" or (token == "-" and at) for at, token in enumerate(tokens))  # noqa: S105 - no password
    return Value(number, any("." in token for token in tokens), worked)


def _worked(
    figure: str | None, top: str, bottom: str, sign: str | None, second: str | None, top2: str, bottom2: str
) -> Number | None:
    """Work out a simple side: a short way for what `_Reader` does. None where that would divide by nothing."""
    if (left := _operand(figure, top, bottom)) is None or not sign:
        return left
    if (right := _operand(second, top2, bottom2)) is None:
        return None
    if sign == "/":
        return Fraction(left) / right if right else None
    return left + right if sign == "+" else left - right if sign == "-" else left * right


def _operand(figure: str | None, top: str, bottom: str) -> Number | None:
    if not figure:
        return Fraction(int(top), int(bottom)) if int(bottom) else None
    whole, point, decimals = figure.partition(".")
    return Fraction(int(whole + decimals), 10 ** len(decimals)) if point else int(figure)


class _Reader:
    """Reads sums, products and powers by descent. Raises ValueError where there is none, or it grows beyond bounds."""

    def __init__(self, tokens: list[str]):
        self._tokens, self._place = tokens, 0

    def ended(self) -> bool:
        return self._place == len(self._tokens)

    def sum(self, depth: int) -> Number:
        total = self._product(depth)
        while (sign := self._take("+", "-")) is not None:
            term = self._product(depth)
            total = _bounded(total + term if sign == "+" else total - term)
        return total

    def _product(self, depth: int) -> Number:
        total = self._power(depth)
        while (sign := self._take("*", "/")) is not None:
            factor = self._power(depth)
            total = _bounded(total * factor if sign == "*" else Fraction(total) / factor)
        return total

    def _power(self, depth: int) -> Number:
        if self._take("-"):
            return -self._power(depth + 1) if depth < _DEPTH_MAX else _refuse()
        base = self._single(depth)
        if not self._take("^"):
            return base
        exponent = -self._single(depth) if self._take("-") else self._single(depth)
        if exponent.denominator != 1 or abs(exponent) > 64 or self._peek() == "^":
            raise ValueError("no exponent for us")
        return _bounded(Fraction(base) ** exponent.numerator)

    def _single(self, depth: int) -> Number:
        token = self._peek()
        self._place += 1
        if token == "(" and depth < _DEPTH_MAX:  # noqa: S105 - no password
            number = self.sum(depth + 1)
            if not self._take(")"):
                raise ValueError("not closed")
            return number
        if token is None or not token[-1].isdecimal() or len(token) > _DIGITS_MAX:
            raise ValueError("no number")
        return Fraction(token) if "." in token else int(token)

    def _peek(self) -> str | None:
        return None if self.ended() else self._tokens[self._place]

    def _take(self, *wanted: str) -> str | None:
        token = self._peek()
        if token not in wanted:
            return None
        self._place += 1
        return token


def _refuse() -> Number:
    raise ValueError("nested too deeply")


def _bounded(number: Number) -> Number:
    if max(number.numerator.bit_length(), number.denominator.bit_length()) > 4 * _DIGITS_MAX:
        raise ValueError("too large to be of use")
    return number
