"""What units mean: conversion by pint, exactly, in fractions. Loading it takes some tenths of a second."""

from fractions import Fraction
from functools import cache, lru_cache
from typing import Any

_ALSO = {"AU": "au", "cal": "calorie", "cals": "calorie", "cents": "cent", "lt": "liter", "mcg": "microgram"}
"""Spellings that pint lacks or reads as another unit."""


_CURRENCIES = {
    "usd": "usd",
    "dollar": "usd",
    "dollars": "usd",
    "eur": "eur",
    "euro": "eur",
    "euros": "eur",
    "gbp": "gbp",
}
"""Names of one currency; nothing converts one into another."""


class Incompatible(ValueError):
    """No conversion leads from one unit to the other: metres to kilograms."""


class Unknown(ValueError):
    """A unit that nobody defined, such as apples."""


def convert(parts: tuple[tuple[Fraction, str], ...], unit: str) -> Fraction:
    """Return the sum of values with their units in another unit. Raises Incompatible and Unknown."""
    import pint

    if _CURRENCIES.get(unit.casefold(), "?") == _CURRENCIES.get(parts[0][1].casefold()) and len(parts) == 1:
        return parts[0][0]
    wanted = _unit(unit)
    try:
        return sum((_converted(value, _unit(given), wanted) for value, given in parts), Fraction(0))
    except pint.DimensionalityError as error:
        # pint's own message cannot be printed where exponents are fractions.
        raise Incompatible(f"'{' '.join(given for _, given in parts)}' does not convert to '{unit}'") from error
    except (pint.PintError, ArithmeticError, TypeError) as error:
        raise Unknown(f"no conversion to '{unit}': {type(error).__name__}") from error


def _converted(value: Fraction, given: Any, wanted: Any) -> Fraction:
    return Fraction(_registry().Quantity(value, given).to(wanted).magnitude)


@lru_cache(maxsize=1024)
def _unit(text: str) -> Any:
    import pint

    for spelling in dict.fromkeys((_ALSO.get(text, text), text.lower(), text.lower().removesuffix("s"))):
        try:
            return _registry().parse_units(spelling)
        except (pint.PintError, ValueError, TypeError, AttributeError, AssertionError):
            continue
        except Exception as error:
            # Its parser raises whatever Python's tokenizer does.
            raise Unknown(f"'{text}': {type(error).__name__}") from error
    raise Unknown(f"'{text}' is no unit that can be converted")


@cache
def _registry() -> Any:
    import pint

    # Any number type will do; pint's annotation says float.
    exact: Any = Fraction
    return pint.UnitRegistry(non_int_type=exact)
