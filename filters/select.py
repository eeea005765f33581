"""Filter `select`: keep K of N, by chance, order, length, difficulty or difference; balanced and capped."""

import hashlib
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveInt

from filters.base import Filter
from filters.sample import Sample
from filters.verdict import KEEP, Verdict, reject

Numbers = NDArray[Any]
By = Literal["random", "order", "shortest", "longest", "hardest", "easiest", "diversity"]

KEPT, NOT_SELECTED, CAPPED, TOO_EASY = range(4)


@dataclass(frozen=True, slots=True)
class _Seen:
    """What is remembered of the samples, a number each: a dataset's texts would not fit in memory."""

    drawn: Numbers
    """Two numbers each, from the seed and the sample's id: chance."""
    prompts: Numbers
    chars: Numbers
    categories: Numbers
    tries: Numbers
    """Answers that there were to the sample's prompt; 0 where nobody knows."""
    likeness: Numbers


class Select(Filter):
    """Keep at most `count` samples and at most `per_prompt` of each prompt; the same ones whatever the order read.

    With `by: random` and nothing else this is the equal-size control against which any other filter can be measured.
    """

    version: ClassVar[int] = 2
    alone: ClassVar[bool] = False
    kind: Literal["select"] = "select"
    count: PositiveInt | None = None
    """How many samples to keep in all; none means no limit."""
    per_prompt: PositiveInt | None = None
    """A prompt with many right answers should not outweigh the others."""
    by: By = "random"
    """Which come first. `order` favours whatever was asked first; `hardest` the prompts whose answers the filters
    before this one rejected most; `diversity` one of each kind of prompt before a second of any."""
    balance: bool = False
    """Take from each category in turn, so that `count` is spread over all of them as evenly as they allow."""
    pass_rate_max: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Prompts of which a greater share of answers came this far teach little: every model knows them."""
    seed: int = 0
    """Another seed draws another sample; the draw depends on this and the trace's id alone."""

    @property
    def reads_texts(self) -> bool:
        """Only where their length decides."""
        return self.by in ("shortest", "longest")

    def judge(self, samples: Iterable[Sample]) -> Iterator[Verdict]:
        """Read all samples, 150 bytes of each at most (measured at 200,000), then yield the verdicts in order."""
        seen = self._read(samples)
        _, prompt, sizes = np.unique(seen.prompts, return_inverse=True, return_counts=True)
        came = sizes[prompt]
        known = seen.tries > 0
        rates = np.minimum(1.0, came / np.maximum(seen.tries, 1))
        found = np.full(len(prompt), KEPT, np.uint8)
        ranked = self._ranked(seen, rates, known)
        if self.per_prompt is not None:
            found[ranked[_turns(prompt[ranked]) >= self.per_prompt]] = CAPPED
        found[known & (rates > self.pass_rate_max)] = TOO_EASY
        left = ranked[found[ranked] == KEPT]
        if self.by == "diversity":
            left = _in_turn(left, seen.likeness)
        if self.balance:
            left = _in_turn(left, seen.categories)
        if self.count is not None:
            found[left[self.count :]] = NOT_SELECTED
        verdicts = {
            KEPT: KEEP,
            NOT_SELECTED: reject("not_selected", f"not among the {self.count} drawn ({self.by})"),
            CAPPED: reject("per_prompt_cap", f"the prompt has {self.per_prompt} samples already"),
        }
        for place, kind in enumerate(found):
            if kind == TOO_EASY:
                detail = f"{came[place]} of {seen.tries[place]} answers to its prompt came this far"
                yield reject("too_easy", detail, pass_rate=round(float(rates[place]), 4))
            else:
                yield verdicts[int(kind)]

    def _read(self, samples: Iterable[Sample]) -> _Seen:
        drawn, prompts, chars, categories, tries, likeness = (array(code) for code in "QqqqqQ")
        numbers: dict[str, int] = {}
        for sample in samples:
            drawn.frombytes(hashlib.blake2b(f"{self.seed}:{sample.id}".encode(), digest_size=16).digest())
            prompts.append(sample.prompt_id)
            chars.append(len(sample.reasoning) + len(sample.response))
            categories.append(numbers.setdefault(sample.category, len(numbers)))
            tries.append(sample.tries or 0)
            likeness.append(_likeness(sample.prompt_text) if self.by == "diversity" else 0)
        columns = (np.asarray(column) for column in (prompts, chars, categories, tries, likeness))
        # As the bytes stand in the hash, whatever order this machine keeps them in.
        return _Seen(np.asarray(drawn).view(">u8").reshape(-1, 2), *columns)

    def _ranked(self, seen: _Seen, rates: Numbers, known: Numbers) -> Numbers:
        """Return the places of the samples, first choice first; equals fall to chance."""
        chance = [seen.drawn[:, 1], seen.drawn[:, 0]]  # what decides first stands last
        match self.by:
            case "order":
                return np.arange(len(known))
            case "shortest" | "longest":
                return np.lexsort([*chance, seen.chars if self.by == "shortest" else -seen.chars])
            case "hardest" | "easiest":
                wanted = np.where(known, rates if self.by == "hardest" else -rates, 0.0)
                return np.lexsort([*chance, wanted, ~known])
            case _:
                return np.lexsort(chance)


def _in_turn(places: Numbers, groups: Numbers) -> Numbers:
    """Sort so that the first of every group come before all second ones, and else as they were."""
    return places[np.argsort(_turns(groups[places]), kind="stable")]


def _turns(groups: Numbers) -> Numbers:
    """Return how many of the same group stand before each."""
    together = np.argsort(groups, kind="stable")
    placed = groups[together]
    first = np.flatnonzero(np.append(True, placed[1:] != placed[:-1])[: len(placed)])
    turns = np.empty(len(groups), np.int64)
    turns[together] = np.arange(len(groups)) - np.repeat(first, np.diff(np.append(first, len(groups))))
    return turns


def _likeness(text: str) -> int:
    """Return a number that two texts share with the probability of their Jaccard similarity in three-word phrases.

    It is the least hash of a set (Broder 1997): texts of one template mostly share it, others hardly ever.
    """
    import xxhash

    words = text.casefold().split()
    phrases = {" ".join(words[start : start + 3]) for start in range(max(1, len(words) - 2))}
    return min(xxhash.xxh3_64_intdigest(phrase.encode(errors="surrogatepass")) for phrase in phrases)
