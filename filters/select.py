"""Filter `select`: keep K of N, by chance, order, length, difficulty or difference; balanced and capped."""

import hashlib
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import Field, PositiveInt

from filters.base import Filter
from filters.sample import Sample
from filters.verdict import KEEP, Verdict, reject

By = Literal["random", "order", "shortest", "longest", "hardest", "easiest", "diversity"]


class _Seen(NamedTuple):
    """What is remembered of a sample: a dataset's texts would not fit in memory."""

    id: int
    prompt_id: int
    chars: int
    category: str
    tries: int | None
    group: int


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
        """Read all samples, keeping some sixty bytes of each, then yield the verdicts in order."""
        seen = [self._seen(sample) for sample in samples]
        came = Counter(one.prompt_id for one in seen)
        verdicts: dict[int, Verdict] = {}
        ranks = [self._rank(one, place, came) for place, one in enumerate(seen)]
        of_prompt: Counter[int] = Counter()
        left = []
        for place in sorted(range(len(seen)), key=ranks.__getitem__):
            one = seen[place]
            rate = _rate(one, came)
            of_prompt[one.prompt_id] += 1
            if rate is not None and rate > self.pass_rate_max:
                detail = f"{came[one.prompt_id]} of {one.tries} answers to its prompt came this far"
                verdicts[place] = reject("too_easy", detail, pass_rate=round(rate, 4))
            elif self.per_prompt is not None and of_prompt[one.prompt_id] > self.per_prompt:
                verdicts[place] = reject("per_prompt_cap", f"the prompt has {self.per_prompt} samples already")
            else:
                left.append(place)
        if self.by == "diversity":
            left = _in_turn(left, [one.group for one in seen])
        if self.balance:
            left = _in_turn(left, [one.category for one in seen])
        for place in left[self.count :] if self.count is not None else ():
            verdicts[place] = reject("not_selected", f"not among the {self.count} drawn ({self.by})")
        for place in range(len(seen)):
            yield verdicts.get(place, KEEP)

    def _seen(self, sample: Sample) -> _Seen:
        chars = len(sample.reasoning) + len(sample.response)
        group = _likeness(sample.prompt_text) if self.by == "diversity" else 0
        return _Seen(sample.id, sample.prompt_id, chars, sample.category, sample.tries, group)

    def _rank(self, one: _Seen, place: int, came: Counter[int]) -> tuple[Any, ...]:
        """Return what samples are sorted by; equals fall to chance, which the seed and the id decide."""
        if self.by == "order":
            return (place,)
        drawn = hashlib.blake2b(f"{self.seed}:{one.id}".encode(), digest_size=16).digest()
        if self.by in ("shortest", "longest"):
            return (one.chars if self.by == "shortest" else -one.chars, drawn, place)
        if self.by in ("hardest", "easiest"):
            rate = _rate(one, came)
            known = 0.0 if rate is None else rate
            return (rate is None, known if self.by == "hardest" else -known, drawn, place)
        return (drawn, place)


def _rate(one: _Seen, came: Counter[int]) -> float | None:
    """Return the share of a prompt's answers that came this far, None where nobody knows how many there were."""
    return min(1.0, came[one.prompt_id] / one.tries) if one.tries else None


def _in_turn(places: list[int], groups: Sequence[Hashable]) -> list[int]:
    """Sort so that the first of every group come before all second ones, and else as they were."""
    taken: Counter[Hashable] = Counter()
    turns = {}
    for place in places:
        turns[place] = taken[groups[place]]
        taken[groups[place]] += 1
    return sorted(places, key=turns.__getitem__)


def _likeness(text: str) -> int:
    """Return a number that two texts share with the probability of their Jaccard similarity in three-word phrases.

    It is the least hash of a set (Broder 1997): texts of one template mostly share it, others hardly ever.
    """
    import xxhash

    words = text.casefold().split()
    phrases = {" ".join(words[start : start + 3]) for start in range(max(1, len(words) - 2))}
    return min(xxhash.xxh3_64_intdigest(phrase.encode(errors="surrogatepass")) for phrase in phrases)
