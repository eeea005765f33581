"""Filter `repetition`: loops, as decoding at low temperature leaves them."""

from collections import Counter
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from filters.base import Filter
from filters.sample import Sample
from filters.verdict import KEEP, Verdict, reject

Share = Annotated[float, Field(gt=0, le=1)]

_PIECE_CHARS_MAX = 200
_PROBE_CHARS = 24
_TAIL_CHARS = 20_000


class Repetition(Filter):
    """Reject reasoning or responses that repeat themselves: one piece to the end, whole lines, or long phrases.

    Follows the repetition rules of Gopher (Rae et al. 2021, table A1), with wider bounds: they were drawn for web
    pages, and a chain of thought rightly restates its givens and its equations.
    """

    kind: Literal["repetition"] = "repetition"
    tail_repeats_max: PositiveInt = 4
    """One piece repeated more often than this up to the very end is a loop that only the token limit stopped."""
    line_share_max: Share = 0.3
    """Share of characters in lines that occurred before. Gopher: 0.20 of characters, 0.30 of lines."""
    ngram_words: Annotated[int, Field(ge=2, le=50)] = 10
    """Length of a phrase, in words. Gopher looks at 5 to 10; the longest finds loops and spares turns of phrase."""
    ngram_share_max: Share = 0.3
    """Share of words in phrases that occurred before. Gopher: 0.10 of characters for ten words."""
    chars_min: PositiveInt = 200
    """Fewer repeated characters than this are an answer said twice, a table's rule or closing brackets: no loop."""

    def check(self, sample: Sample) -> Verdict:
        """Judge reasoning and response apart; the evidence names the piece, its count and where it stands."""
        for place, text in (("reasoning", sample.reasoning), ("response", sample.response)):
            for reason, piece, count, share in self._loops(text) if len(text) >= self.chars_min else ():
                shown = {"piece": piece[:_PIECE_CHARS_MAX], "count": count, "share": round(share, 3), "in": place}
                return reject(reason, f"{count} times {piece[:60]!r}, {share:.0%} of the {place}", **shown)
        return KEEP

    def _loops(self, text: str) -> Iterator[tuple[str, str, int, float]]:
        piece, count = _repeated_tail(text)
        if count > self.tail_repeats_max and count * len(piece) >= self.chars_min:
            yield "repeated_tail", piece, count, count * len(piece) / len(text)
        units, chars, piece, count = _repeated_lines(text)
        if chars >= self.chars_min and units > self.line_share_max:
            yield "repeated_lines", piece, count, units
        words = text.split()
        if _repeated_at_most(words, self.ngram_words) <= self.ngram_share_max:
            return
        units, chars, piece, count = _repeated_ngrams(words, self.ngram_words)
        if chars >= self.chars_min and units > self.ngram_share_max:
            yield "repeated_ngrams", piece, count, units


def _repeated_tail(text: str) -> tuple[str, int]:
    """Return the piece that the text ends with over and over, and how often. The last one may be cut anywhere."""
    tail = text.rstrip()[-_TAIL_CHARS:]
    probe = tail[-_PROBE_CHARS:]
    before = tail.rfind(probe, 0, len(tail) - 1) if probe else -1
    if before < 0:
        return "", 0
    period = len(tail) - len(probe) - before
    piece, count = tail[-period:], 1
    while (count + 1) * period <= len(tail) and tail.endswith(piece, 0, len(tail) - count * period):
        count += 1
    return piece, count


def _repeated_lines(text: str) -> tuple[float, int, str, int]:
    """Return the share and number of characters in lines seen before, the line that takes most of them, its count."""
    counts = Counter(line for raw in text.splitlines() if (line := raw.strip()))
    total = sum(len(line) * count for line, count in counts.items())
    repeated = {line: len(line) * (count - 1) for line, count in counts.items() if count > 1}
    if not repeated:
        return 0.0, 0, "", 0
    worst = max(repeated, key=repeated.__getitem__)
    chars = sum(repeated.values())
    return chars / total, chars, worst, counts[worst]


def _repeated_at_most(words: list[str], length: int) -> float:
    """Return a bound on the share of words in phrases of this length seen before, at a tenth of the cost.

    A repeated stretch of m words, m being at least the length, has m - 2 repeated runs of three.
    """
    if length <= 3:
        return 1.0
    threes = list(zip(words, words[1:], words[2:], strict=False))
    repeated = len(threes) - len(set(threes))
    return repeated * length / (length - 2) / max(1, len(words))


def _repeated_ngrams(words: list[str], length: int) -> tuple[float, int, str, int]:
    """Return the share of words and number of characters in phrases seen before, the commonest of them, its count.

    A word in several repeated phrases counts once.
    """
    counts: Counter[tuple[str, ...]] = Counter()
    covered_to = covered = chars = 0
    for start in range(len(words) - length + 1):
        phrase = tuple(words[start : start + length])
        counts[phrase] += 1
        if counts[phrase] > 1:
            fresh = words[max(start, covered_to) : start + length]
            covered += len(fresh)
            chars += sum(map(len, fresh)) + len(fresh)
            covered_to = start + length
    if not covered:
        return 0.0, 0, "", 0
    phrase, count = counts.most_common(1)[0]
    return covered / len(words), chars, " ".join(phrase), count
