"""What the filter `select` keeps: its samples as columns of numbers, ranked and counted."""

import hashlib
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from filters.sample import Sample
from filters.select import Select
from filters.verdict import KEEP, Verdict, reject

Numbers = NDArray[Any]
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


def judge(knobs: Select, samples: Iterable[Sample]) -> Iterator[Verdict]:
    """Read all samples, keeping numbers of each, then yield the verdicts in order."""
    seen = _read(knobs, samples)
    _, prompt, sizes = np.unique(seen.prompts, return_inverse=True, return_counts=True)
    came = sizes[prompt]
    known = seen.tries > 0
    rates = np.minimum(1.0, came / np.maximum(seen.tries, 1))
    found = np.full(len(prompt), KEPT, np.uint8)
    ranked = _ranked(knobs, seen, rates, known)
    if knobs.per_prompt is not None:
        found[ranked[_turns(prompt[ranked]) >= knobs.per_prompt]] = CAPPED
    found[known & (rates > knobs.pass_rate_max)] = TOO_EASY
    left = ranked[found[ranked] == KEPT]
    if knobs.by == "diversity":
        left = _in_turn(left, seen.likeness)
    if knobs.balance:
        left = _in_turn(left, seen.categories)
    if knobs.count is not None:
        found[left[knobs.count :]] = NOT_SELECTED
    verdicts = {
        KEPT: KEEP,
        NOT_SELECTED: reject("not_selected", f"not among the {knobs.count} drawn ({knobs.by})"),
        CAPPED: reject("per_prompt_cap", f"the prompt has {knobs.per_prompt} samples already"),
    }
    for place, kind in enumerate(found):
        if kind == TOO_EASY:
            detail = f"{came[place]} of {seen.tries[place]} answers to its prompt came this far"
            yield reject("too_easy", detail, pass_rate=round(float(rates[place]), 4))
        else:
            yield verdicts[int(kind)]


def _read(knobs: Select, samples: Iterable[Sample]) -> _Seen:
    drawn, prompts, chars, categories, tries, likeness = (array(code) for code in "QqqqqQ")
    numbers: dict[str, int] = {}
    for sample in samples:
        drawn.frombytes(hashlib.blake2b(f"{knobs.seed}:{sample.id}".encode(), digest_size=16).digest())
        prompts.append(sample.prompt_id)
        chars.append(len(sample.reasoning) + len(sample.response))
        categories.append(numbers.setdefault(sample.category, len(numbers)))
        tries.append(sample.tries or 0)
        likeness.append(_likeness(sample.prompt_text) if knobs.by == "diversity" else 0)
    columns = (np.asarray(column) for column in (prompts, chars, categories, tries, likeness))
    # As the bytes stand in the hash, whatever order this machine keeps them in.
    return _Seen(np.asarray(drawn).view(">u8").reshape(-1, 2), *columns)


def _ranked(knobs: Select, seen: _Seen, rates: Numbers, known: Numbers) -> Numbers:
    """Return the places of the samples, first choice first; equals fall to chance."""
    chance = [seen.drawn[:, 1], seen.drawn[:, 0]]  # what decides first stands last
    match knobs.by:
        case "order":
            return np.arange(len(known))
        case "shortest" | "longest":
            return np.lexsort([*chance, seen.chars if knobs.by == "shortest" else -seen.chars])
        case "hardest" | "easiest":
            wanted = np.where(known, rates if knobs.by == "hardest" else -rates, 0.0)
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
