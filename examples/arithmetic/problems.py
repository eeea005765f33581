"""Seeded word problems with a worked chain of thought, graded from one step to three.

>>> rng = random.Random(0)
>>> problem(rng, "two_step").answer > 0
True
"""

import random
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from stories import FOUR_STEPS, LARGE_NUMBERS, NEW_NAMES, REWORDED, STORIES, USUAL, Setting, Story

CATEGORIES = tuple(STORIES)
ORDINARY = tuple(story for stories in STORIES.values() for story in stories)
OUT_OF_DISTRIBUTION: dict[str, tuple[tuple[Story, ...], Setting]] = {
    "ood_numbers": (ORDINARY, LARGE_NUMBERS),
    "ood_names": (ORDINARY, NEW_NAMES),
    "ood_wording": (REWORDED, USUAL),
    "ood_steps": (FOUR_STEPS, USUAL),
}
"""Each leaves the training distribution in exactly one way."""

OPENINGS = ("", "", "First ", "Let us see: ", "Step by step: ", "We need ", "Start: ", "Well, ")
JOINS = (" Then ", " Next ", " So ", " Now ", " ")
COMMAS = (", ", " and ")
RESPONSES = (
    "The answer is \\boxed{{{answer}}}.",
    "Answer: \\boxed{{{answer}}}",
    "That makes \\boxed{{{answer}}} {things}.",
)


@dataclass(frozen=True)
class Problem:
    """A prompt with the reasoning and response of a solver who makes no mistake."""

    prompt: str
    reasoning: str
    response: str
    answer: int
    category: str


def is_heldout(prompt: str) -> bool:
    """One prompt in twenty, by checksum: the split needs no list and every script agrees on it."""
    return zlib.crc32(prompt.encode()) % 20 == 0


def problem(rng: random.Random, category: str) -> Problem:
    """Draw one problem of `category` (one of CATEGORIES or OUT_OF_DISTRIBUTION; KeyError otherwise)."""
    stories, setting = OUT_OF_DISTRIBUTION[category] if category in OUT_OF_DISTRIBUTION else (STORIES[category], USUAL)
    story = rng.choice(stories)
    numbers = draw_numbers(rng, story, setting)
    name, other = rng.sample(setting.names, 2)
    items, containers = rng.choice(setting.items), rng.choice(setting.containers)
    prompt = story.text.format(n=name, o=other, i=items, c=containers, **numbers)
    answer = numbers[story.plan.split()[-1][0]]
    things = containers if "How many {c}" in story.text else items
    response = rng.choice(RESPONSES).format(answer=answer, things=things)
    return Problem(prompt, reasoning(rng, story.plan, numbers), response, answer, category)


def draw_numbers(rng: random.Random, story: Story, setting: Setting) -> dict[str, int]:
    """Values of all letters, drawn again until every step comes out whole and between 2 and the setting's limit."""
    ranges = {letter: setting.amounts for letter in "abd"} | {letter: setting.per_group for letter in "pq"}
    given = [letter for letter in ranges if "{" + letter + "}" in story.text]
    groups = {letter: rng.randint(*setting.groups) for letter in "kl"}  # once, or small divisors would crowd out others
    while True:
        numbers = groups | {letter: rng.randint(*ranges[letter]) for letter in given}
        for step in story.plan.split():
            result, left, operator, right = step[0], *step[2:]
            value = calculate(numbers[left], operator, numbers[right])
            if value is None or not 2 <= value <= setting.result_max:
                break
            numbers[result] = value
        else:
            return numbers


def calculate(left: int, operator: str, right: int) -> int | None:
    """The result, or None for a division that leaves a remainder."""
    if operator == "/":
        return left // right if left % right == 0 else None
    return {"+": left + right, "-": left - right, "*": left * right}[operator]


def reasoning(rng: random.Random, plan: str, numbers: dict[str, int]) -> str:
    """The plan worked in equations; opening, joining words and the order of sums vary, the arithmetic does not."""
    comma = rng.choice(COMMAS)
    sentences = []
    for step in plan.split():
        left, operator, right = numbers[step[2]], step[3], numbers[step[4]]
        if operator == "+" and rng.random() < 0.3:
            left, right = right, left
        sentences.append(comma.join(equations(left, operator, right)) + ".")
    text = rng.choice(OPENINGS) + sentences[0]
    for sentence in sentences[1:]:
        text += rng.choice(JOINS) + sentence
    return text


def equations(left: int, operator: str, right: int) -> list[str]:
    """One step as equations a small model can do in its head: products and quotients place by place.

    >>> equations(7, "*", 34)
    ['7*30=210', '7*4=28', '210+28=238']
    >>> equations(238, "/", 7)
    ['7*30=210', '238-210=28', '28/7=4', '30+4=34']
    """
    if operator == "*":
        return product(left, places(right))
    if operator == "/":
        return quotient(left, right, places(left // right))
    return [f"{left}{operator}{right}={calculate(left, operator, right)}"]


def places(number: int) -> list[int]:
    """234 -> [200, 30, 4]; zeros are left out."""
    digits = str(number)
    return [int(digit) * 10 ** (len(digits) - 1 - at) for at, digit in enumerate(digits) if digit != "0"]


def product(factor: int, parts: list[int]) -> list[str]:
    lines = [f"{factor}*{part}={factor * part}" for part in parts]
    total = factor * parts[0]
    for part in parts[1:]:
        lines.append(f"{total}+{factor * part}={total + factor * part}")
        total += factor * part
    return lines


def quotient(dividend: int, divisor: int, parts: list[int]) -> list[str]:
    lines, rest = [], dividend
    for part in parts[:-1]:
        lines += [f"{divisor}*{part}={divisor * part}", f"{rest}-{divisor * part}={rest - divisor * part}"]
        rest -= divisor * part
    lines.append(f"{rest}/{divisor}={parts[-1]}")
    total = parts[0]
    for part in parts[1:]:
        lines.append(f"{total}+{part}={total + part}")
        total += part
    return lines


def problems(seed: int | str, categories: tuple[str, ...], *, heldout: bool | None = None) -> Iterator[Problem]:
    """Endless problems taking the categories in turn; `heldout` keeps one side of the split, None keeps both."""
    rng = random.Random(seed)
    while True:
        for category in categories:
            drawn = problem(rng, category)
            while heldout is not None and is_heldout(drawn.prompt) != heldout:
                drawn = problem(rng, category)
            yield drawn
