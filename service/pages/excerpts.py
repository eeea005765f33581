"""Where a trace has the words that were looked for: a line around each, for texts that a list shows folded or cut."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from service.pages.words import message_text
from service.store.search import Term

AROUND_CHARS = 70
PER_PART_MAX = 2
_WORD = re.compile(r"[^\W_]+")


class Excerpt(NamedTuple):
    """A stretch of the part `where`, with what was found in the middle of it."""

    where: str
    before: str
    found: str
    after: str


def excerpts(trace: Any, terms: Sequence[Term]) -> list[Excerpt]:
    """Return the first places of the terms in a trace's prompt, reasoning and response, as far as it has them.

    The database's own index decides what fits; a word that it reads otherwise (accents, endings) is simply not marked.
    """
    pattern = _pattern(terms)
    if pattern is None:
        return []
    parts = [("prompt", "\n".join(map(message_text, trace.messages))), ("reasoning", trace.reasoning)]
    parts.append(("response", trace.response))
    return [excerpt for where, text in parts for excerpt in _of(where, text or "", pattern)]


def _of(where: str, text: str, pattern: re.Pattern[str]) -> Iterator[Excerpt]:
    shown_to = 0
    for count, found in enumerate(_apart(pattern, text), start=1):
        start, end = max(shown_to, found.start() - AROUND_CHARS), min(len(text), found.end() + AROUND_CHARS)
        before, after = text[start : found.start()], text[found.end() : end]
        yield Excerpt(where, f"{'…' if start else ''}{before}", found[0], f"{after}{'…' if end < len(text) else ''}")
        if count == PER_PART_MAX:
            return
        shown_to = end


def _apart(pattern: re.Pattern[str], text: str) -> Iterator[re.Match[str]]:
    """Yield matches so far from each other that their stretches do not overlap."""
    place = 0
    while found := pattern.search(text, place):
        yield found
        place = found.end() + AROUND_CHARS


def _pattern(terms: Sequence[Term]) -> re.Pattern[str] | None:
    wanted = [_of_term(term) for term in terms if not term.excluded]
    return re.compile("|".join(wanted), re.IGNORECASE) if wanted else None


def _of_term(term: Term) -> str:
    words = r"[\W_]+".join(map(re.escape, _WORD.findall(term.text)))
    return rf"(?<![^\W_]){words}" + (r"[^\W_]*" if term.begins else r"(?![^\W_])")
