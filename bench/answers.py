"""Answers and references as models write them, made by chance, for what verifies them."""

import random
from collections.abc import Iterator
from fractions import Fraction


def a_number(chosen: random.Random) -> Fraction:
    """Return a whole number, or a fraction of one."""
    return Fraction(chosen.randint(-500, 5_000), chosen.choice([1, 1, 1, 1, 2, 3, 4, 8]))


def an_answer(chosen: random.Random) -> tuple[str, str]:
    """Return a response and its reference: numbers, pairs, sets, intervals; one in five takes algebra to compare."""
    kind = chosen.random()
    if kind < 0.6:
        number = a_number(chosen)
        return a_response(chosen, number), str(number)
    wrong = chosen.random() < 1 / 6
    low, high = chosen.randint(-50, 50), chosen.randint(51, 500)
    if kind < 0.8:
        opened, closed = chosen.choice([("(", ")"), (r"\{", r"\}"), ("[", ")"), ("(", "]")])
        return rf"So it is $\boxed{{{opened}{low},\ {high + wrong}{closed}}}$.", f"{opened}{low}, {high}{closed}"
    said = rf"{high}x + \sqrt{{{4 * high}}}" if chosen.random() < 0.5 else rf"x^{{2}} - {low + 60} y"
    expected = rf"2\sqrt{{{high + wrong}}} + {high} x" if "sqrt" in said else rf"x \cdot x - {low + 60 + wrong}y"
    return rf"Hence $\boxed{{{said}}}$.", expected


def a_response(chosen: random.Random, number: Fraction) -> str:
    """Write a number in one of the ways that models do, one in six a wrong one."""
    if chosen.random() < 1 / 6:
        number += 1
    top, bottom = number.numerator, number.denominator
    ways = [str(number), rf"\frac{{{top}}}{{{bottom}}}", rf"\dfrac{{{top}}}{{{bottom}}}", rf"x = {number}"]
    ways += [rf"{float(number)}"] if bottom != 3 else [rf"{top}\, / \,{bottom}"]
    return rf"So the answer is \boxed{{{chosen.choice(ways)}}}."


def sixteen_numbers(chosen: random.Random) -> Iterator[tuple[str, str]]:
    """Yield sixteen answers to one prompt, a whole number each, and its reference; one in five is wrong."""
    number = chosen.randint(0, 10_000)
    for _ in range(16):
        yield rf"The answer is \boxed{{{number + (chosen.random() < 0.2)}}}.", str(number)
