"""Filter `contamination`: does a trace hold what a benchmark asks, so that a student would have seen the test?"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

from pydantic import Field, PositiveInt, PrivateAttr

from filters import benchmarks
from filters.base import Filter
from filters.sample import Sample
from filters.verdict import KEEP, Verdict, note, reject

Action = Literal["exclude", "note", "off"]
"""Reject what the method finds; keep it with a note in the ledger; do not look."""
_SHOWN_CHARS = 500


class Contamination(Filter):
    """Reject or note traces that share text with benchmark files; the evidence shows both texts, for every method.

    A phrase method finds lines of at least as many words as its phrase; a shorter line only where a whole message,
    reasoning or response equals it, word for word. Case and punctuation never count.
    """

    kind: Literal["contamination"] = "contamination"
    benchmarks: Annotated[
        tuple[Annotated[str, Field(pattern=benchmarks.PINNED)], ...], Field(min_length=1, max_length=100)
    ]
    """Names given when the files were added. Ordering a version writes their SHA-256 behind them, NAME@SHA256."""
    on: Literal["prompt", "trace", "both"] = "both"
    """Where to look: in the prompt's messages, in reasoning and response, or in all of them."""
    ngram13: Action = "exclude"
    """13 words in a row, as for GPT-3 (Brown et al. 2020, appendix C): few chance hits, misses short questions."""
    ngram8: Action = "note"
    """Eight words in a row, as for PaLM (Chowdhery et al. 2022): finds more, also turns of phrase that exams share."""
    ngram32_digits: Action = "exclude"
    """32 words in a row with every number taken as equal: the same problem with other figures."""
    fuzzy: Action = "note"
    """A stretch of text that is nearly the line, letter by letter: words changed, left out or added."""
    fuzzy_threshold: Annotated[float, Field(ge=0.5, le=1)] = 0.8
    """Similarity from which `fuzzy` counts, 1 being equal: twice the letters in common by the letters of both."""
    fuzzy_words_min: Annotated[int, Field(ge=4, le=1000)] = 10
    """Shorter lines are too like other short texts."""
    lines_max: PositiveInt = 10
    """A phrase in more lines than this is the benchmark's own template and proves nothing; GPT-3 drew it at ten too."""

    methods: ClassVar[tuple[str, ...]] = ("ngram13", "ngram8", "ngram32_digits", "fuzzy")
    _folder: Path | None = PrivateAttr(default=None)

    def with_files(self, folder: Path) -> Self:
        """Return the same filter, reading its benchmarks from this folder."""
        found = self.model_copy()
        found._folder = folder
        return found

    def check(self, sample: Sample) -> Verdict:
        """Judge one sample. The benchmarks are read for it: judge many samples by `judge`."""
        return next(self.judge([sample]))

    def judge(self, samples: Iterable[Sample]) -> Iterator[Verdict]:
        """Judge in order. Raises ValueError for a benchmark file that is not there or was changed."""
        if self._folder is None:
            raise ValueError("contamination needs the folder with the benchmark files: Recipe.with_files(folder)")
        index = Index(self, [(name, benchmarks.read(self._folder, name)) for name in self.benchmarks])
        prompt: tuple[Any, list[dict[str, Any]]] = (None, [])
        for sample in samples:
            if self.on != "trace" and prompt[0] != sample.messages:  # the n answers of a prompt come together
                texts = [("prompt", str(message.get("content") or "")) for message in sample.messages]
                prompt = sample.messages, index.hits(texts)
            hits = list(prompt[1])
            if self.on != "prompt":
                hits += index.hits([("reasoning", sample.reasoning), ("response", sample.response)])
            yield self._verdict(hits)

    def _verdict(self, hits: list[dict[str, Any]]) -> Verdict:
        for action in ("exclude", "note"):
            for method in self.methods:
                deciding = next((hit for hit in hits if hit["method"] == method), None)
                if deciding is None or getattr(self, method) != action:
                    continue
                detail = f"line {deciding['line']} of {deciding['benchmark']}: {deciding['matched'][:100]!r}"
                if action == "exclude":
                    return reject(f"contaminated_{method}", detail, hits=hits)
                return note(f"noted_{method}", detail, hits=hits)
        return KEEP


class Owner(NamedTuple):
    """Where a line of the index comes from."""

    benchmark: str
    line: benchmarks.Line


class Index:
    """The lines of all benchmarks of a filter, ready for each of its methods."""

    def __init__(self, filter_: Contamination, files: list[tuple[str, list[benchmarks.Line]]]):
        from filters.grams import Fuzzy, Grams, words

        self._owners = [Owner(name.partition("@")[0], line) for name, lines in files for line in lines]
        plain = [words(owner.line.text) for owner in self._owners]
        bare = [words(owner.line.text, digits=False) for owner in self._owners]
        made: dict[str, Grams | Fuzzy] = {}
        if filter_.ngram13 != "off":
            made["ngram13"] = Grams(plain, 13, filter_.lines_max)
        if filter_.ngram8 != "off":
            made["ngram8"] = Grams(plain, 8, filter_.lines_max)
        if filter_.ngram32_digits != "off":
            made["ngram32_digits"] = Grams(bare, 32, filter_.lines_max)
        if filter_.fuzzy != "off":
            made["fuzzy"] = Fuzzy(plain, filter_.fuzzy_threshold, filter_.fuzzy_words_min)
        self._methods = made

    def hits(self, texts: list[tuple[str, str]]) -> list[dict[str, Any]]:
        """Return each method's first hit in each of the texts, which are named by their place."""
        from filters.grams import words

        found = []
        for place, text in texts:
            plain = words(text)
            bare = words(text, digits=False) if "ngram32_digits" in self._methods else plain
            for method, index in self._methods.items():
                match = index.find(bare if method == "ngram32_digits" else plain)
                if match is None:
                    continue
                owner = self._owners[match.line]
                found.append(
                    {
                        "method": method,
                        "in": place,
                        "matched": match.text[:_SHOWN_CHARS],
                        "similarity": round(match.similarity, 3),
                        "benchmark": owner.benchmark,
                        "line": owner.line.number,
                        "line_text": owner.line.text[:_SHOWN_CHARS],
                    }
                )
        return found
