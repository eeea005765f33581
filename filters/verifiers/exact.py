"""Is the response the reference, word for word? Case, spacing, bold and a closing full stop do not count."""

import re

from filters.verdict import Verdict, abstain
from filters.verifiers.answer import boxed, compared, marked, no_answer

_TEXT = re.compile(r"\\(?:text|textbf|textit|mathrm)\s*\{([^{}]*)\}")


def gradable(reference: str) -> bool:
    """Tell whether anything is left of the reference to compare with."""
    return bool(plain(reference))


def verify(response: str, reference: str) -> Verdict:
    """Compare the boxed answer, else what the last line calls the answer, else the whole response."""
    expected = plain(reference)
    if not expected:
        return abstain("reference_not_gradable", "the reference is empty")
    found = boxed(response)
    if found is None:
        # The whole response is tried first: a reference may itself read "The answer is 42."
        if plain(response) == expected:
            return compared(True, response, reference)
        found = marked(response) or response
    extracted = plain(found)
    if not extracted:
        return no_answer("the response is empty", reference)
    return compared(extracted == expected, found.strip(), reference)


quick = verify


def plain(text: str) -> str:
    """Return the text as it is compared: case, spacing, bold and a closing full stop gone."""
    wrapped = _TEXT.fullmatch(text.strip())
    text = wrapped[1] if wrapped else text
    words = " ".join(text.casefold().split()).removesuffix(".").strip()
    return words[2:-2].strip() if words.startswith("**") and words.endswith("**") and len(words) > 4 else words
