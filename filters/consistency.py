"""Filter `consistency`: the arithmetic that the reasoning writes out is right, and the response answers its result."""

import re
from fractions import Fraction
from itertools import islice
from typing import Annotated, ClassVar, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from filters.base import Filter
from filters.equations import Equation, equations, written
from filters.sample import Sample
from filters.verdict import KEEP, Verdict, reject
from filters.verifiers.answer import boxed, marked
from filters.verifiers.rational import rational, tidy

_STEPS_MAX = 2000
"""Nobody reasons in more; a loop may write a hundred thousand."""
_STEP_CHARS = 200
_SHOWN = 10
_DECIMAL = re.compile(r"-?\d{1,20}\.(\d{2,20})")


class Consistency(Filter):
    r"""Reject reasoning with a written step that is wrong, or whose last results are not what the response answers.

    Steps are equations in figures, `12 * 3 = 36`, `\frac{1}{2} + 1/4 = 3/4`, worked out exactly. A right answer by
    wrong steps teaches the steps; no verifier sees it. What has letters or two readings is passed over.
    """

    version: ClassVar[int] = 2
    kind: Literal["consistency"] = "consistency"
    wrong_steps_max: NonNegativeInt = 0
    """A step that is written again later with its right result was corrected and does not count."""
    tolerance: Annotated[float, Field(ge=0, le=0.1)] = 0.01
    """Share by which steps with decimals may be off, since those are rounded: 10/3 = 3.33."""
    answer: bool = True
    """Whether the number that the response answers must be among the last that the reasoning wrote."""
    results: PositiveInt = 5
    """How many of them to look at: after its result a reasoning often checks or repeats what was given."""

    def check(self, sample: Sample) -> Verdict:
        """Judge the steps of the reasoning, or those of the response where there is no reasoning; then the answer."""
        steps = list(islice(equations(sample.reasoning or sample.response), _STEPS_MAX))
        wrong = self._wrong(steps)
        if len(wrong) > self.wrong_steps_max:
            shown = [{"step": step.text[:_STEP_CHARS], "is": _written(step.left.number)} for step in wrong[:_SHOWN]]
            detail = f"{shown[0]['step']}, but the left side is {shown[0]['is']}"
            return reject("wrong_step", detail, steps=shown, wrong=len(wrong), read=len(steps))
        return self._compared(sample) if self.answer else KEEP

    def _wrong(self, steps: list[Equation]) -> list[Equation]:
        wrong = []
        right: set[str] = set()
        for step in reversed(steps):  # from the end, so that what came later is known
            asked = step.text.partition("=")[0].replace(" ", "")
            if step.holds(self.tolerance):
                right.add(asked)
            elif asked not in right:
                wrong.append(step)
        return wrong[::-1]

    def _compared(self, sample: Sample) -> Verdict:
        said = boxed(sample.response) or marked(sample.response)
        answer = rational(tidy(said)) if said else None
        found = numbers(sample.reasoning, self.results)
        if answer is None or not found or Fraction(answer.value) in found:
            return KEEP
        if answer.percent and Fraction(answer.value) * 100 in found:
            return KEEP
        if answer.decimal and any(_rounds_to(number, tidy(said or "")) for number in found):
            return KEEP
        last = [_written(number) for number in found]
        detail = f"the response answers {said!r:.80}, the reasoning ends with {', '.join(last[-3:])}"
        return reject("answer_differs", detail, answer=(said or "")[:_STEP_CHARS], last=last)


def numbers(text: str, count: int) -> list[Fraction]:
    r"""Return the last numbers that a text writes; a number in its last `\boxed{}` stands alone."""
    box = boxed(text)
    final = rational(tidy(box)) if box else None
    if final is not None:
        return [Fraction(final.value)]
    return written(text, count)


def _rounds_to(number: Fraction, decimal: str) -> bool:
    """Say whether a plain decimal with two places or more is the number, rounded: 3.14 for 3.14159."""
    figure = _DECIMAL.fullmatch(decimal)
    return figure is not None and abs(number - Fraction(decimal)) <= Fraction(1, 2 * 10 ** len(figure[1]))


def _written(number: Fraction | int) -> str:
    return str(number) if number.denominator < 1000 else f"{float(number):.6g}"
