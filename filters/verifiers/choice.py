"""Which letter of a multiple choice does the response settle on?"""

import re

from filters.verdict import Verdict, abstain
from filters.verifiers.answer import boxed, compared, no_answer

# A letter is a choice where punctuation, a line's end or a capitalised option follows: "B", "(B)", "B. Paris",
# "B Paris".
# "A dog" and "I think" are English, so a lower-case word after the letter rules it out; "b" must end or be punctuated.
_ENDED = r"\W*$|\s*[).:,;*\]}]"
_LETTER = rf"(?P<letter>[A-J](?![\w'’])(?={_ENDED}|\s+[^a-z\s])|[a-j](?!\w)(?={_ENDED}))"  # noqa: RUF001 - a curly apostrophe
_ALONE = re.compile(rf"\W*(?i:\\text\w*\s*\{{|\\mathrm\s*\{{|(?:option|choice|answer)\s+)?\W*{_LETTER}")
_SAID = re.compile(
    rf"\b(?i:answer|choice|option)\W{{0,4}}(?i:is|:|=)?\W{{0,4}}(?i:(?:option|choice)\s+)?\W{{0,4}}\b{_LETTER}",
    re.MULTILINE,
)
_TAIL_CHARS = 8000
"""The choice is stated at the end; longer looks would find the options as they were discussed."""


def gradable(reference: str) -> bool:
    """Tell whether the reference names one letter from A to J."""
    return _letter(reference) is not None


def verify(response: str, reference: str) -> Verdict:
    """Compare letters: the boxed one, else the last that is called the answer, else one alone in the last line."""
    expected = _letter(reference)
    if expected is None:
        return abstain("reference_not_gradable", "the reference names no letter from A to J")
    extracted = chosen(response)
    if extracted is None:
        return no_answer("no letter from A to J is called the answer", expected)
    return compared(extracted == expected, extracted, expected)


quick = verify


def _letter(text: str) -> str | None:
    held = boxed(text[-_TAIL_CHARS:])
    found = _ALONE.match((text if held is None else held).strip()[:100])
    return found["letter"].upper() if found else None


def chosen(response: str) -> str | None:
    """Return the letter that a response settles on, A to J; None for none."""
    tail = response[-_TAIL_CHARS:].rstrip()
    if boxed(tail) is not None:
        return _letter(tail)
    said = list(_SAID.finditer(tail))
    if said:
        return said[-1]["letter"].upper()
    return _letter(tail.rsplit("\n", 1)[-1])
