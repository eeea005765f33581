"""How fast near-duplicates are found, and how many of those that were planted, beside two well-known libraries.

    python -m bench.near_duplicates                    # 50,000 documents, about two minutes
    python -m bench.near_duplicates --documents 10000

Documents are 500 to 3,000 characters; a fifth are edited copies of earlier ones, on both sides of the threshold. The
truth is the exact Jaccard similarity of their sets of five-word phrases.
"""

import argparse
import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import NamedTuple

from filters.near_duplicate import NearDuplicate
from filters.sample import Sample

THRESHOLD, WORDS, PERMUTATIONS = 0.8, 5, 128
PLANTED = 0.2
PLAIN_DOCUMENTS = 1_500
"""datasketch's plain loop would take minutes for more."""
VOCABULARY = [f"{random.Random(number).getrandbits(40):x}"[: 2 + number % 9] for number in range(20_000)]


class Corpus(NamedTuple):
    """Texts, and for each copy the place of its original and their exact similarity."""

    texts: list[str]
    copies: dict[int, tuple[int, float]]


class Found(NamedTuple):
    """What one way found: pairs (copy, original), and the CPU seconds."""

    pairs: set[tuple[int, int]]
    cpu_s: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=50_000)
    given = parser.parse_args()
    for name, way, documents in (
        ("datasketch, plain loop", _datasketch, PLAIN_DOCUMENTS),
        ("rensa", _rensa, given.documents),
        ("retort near_duplicate", _retort, given.documents),
    ):
        # A process each: none finds the machine as another left it.
        with ProcessPoolExecutor(1, get_context("spawn")) as apart:
            made, found = apart.submit(_timed, way, documents).result()
        _show(name, made, found)


def corpus(size: int) -> Corpus:
    """Return documents in which a fifth are copies with some words changed, as many on each side of the threshold."""
    chosen = random.Random(7)
    texts: list[list[str]] = []
    copies = {}
    while len(texts) < size:
        if len(texts) < 100 or chosen.random() >= PLANTED:
            texts.append(chosen.choices(VOCABULARY, k=chosen.randint(80, 450)))
            continue
        original = chosen.randrange(len(texts))
        if original in copies:
            continue
        copy = texts[original][:]
        for _ in range(1 + int(len(copy) * chosen.uniform(0, 0.04))):
            copy[chosen.randrange(len(copy))] = chosen.choice(VOCABULARY)
        copies[len(texts)] = original, _jaccard(copy, texts[original])
        texts.append(copy)
    return Corpus([" ".join(words) for words in texts], copies)


def _phrases(words: list[str]) -> set[str]:
    return {" ".join(words[at : at + WORDS]) for at in range(len(words) - WORDS + 1)}


def _jaccard(one: list[str], other: list[str]) -> float:
    mine, yours = _phrases(one), _phrases(other)
    return len(mine & yours) / len(mine | yours)


def _datasketch(texts: list[str]) -> Iterator[tuple[int, int]]:
    """As most code has it."""
    from datasketch import MinHash, MinHashLSH

    lsh = MinHashLSH(threshold=THRESHOLD, num_perm=PERMUTATIONS)
    for number, text in enumerate(texts):
        signature = MinHash(num_perm=PERMUTATIONS)
        for phrase in _phrases(text.split()):
            signature.update(phrase.encode())
        twins = lsh.query(signature)
        if twins:
            yield number, min(map(int, twins))  # pyright: ignore[reportArgumentType]
        else:
            lsh.insert(number, signature)


def _rensa(texts: list[str]) -> Iterator[tuple[int, int]]:
    """The fastest well-kept library, without a check of its candidates: it offers none."""
    from rensa import RMinHash, RMinHashLSH  # pyright: ignore[reportAttributeAccessIssue]

    lsh = RMinHashLSH(threshold=THRESHOLD, num_perm=PERMUTATIONS, num_bands=16)
    for number, text in enumerate(texts):
        signature = RMinHash(num_perm=PERMUTATIONS, seed=42)
        signature.update(list(_phrases(text.split())))
        twins = [twin for twin in lsh.query(signature) if twin != number]
        if twins:
            yield number, min(twins)
        else:
            lsh.insert(number, signature)


def _retort(texts: list[str]) -> Iterator[tuple[int, int]]:
    samples = (Sample(id=n, prompt_id=n, messages=[], response=text) for n, text in enumerate(texts))
    for number, verdict in enumerate(NearDuplicate(on="trace").judge(samples)):
        if verdict.evidence:
            yield number, verdict.evidence["twin"]


def _timed(way: Callable[[list[str]], Iterator[tuple[int, int]]], documents: int) -> tuple[Corpus, Found]:
    given = corpus(documents)
    set(way(given.texts[:100]))  # loaded from here on
    start = time.process_time()
    pairs = set(way(given.texts))
    return given, Found(pairs, time.process_time() - start)


def _show(name: str, given: Corpus, found: Found) -> None:
    size = len(given.texts)
    wanted = {copy for copy, (_, likeness) in given.copies.items() if likeness >= THRESHOLD and copy < size}
    named = {copy for copy, _ in found.pairs}
    right = len(named & wanted)
    print(
        f"{name:24}{size:8,} documents {size / found.cpu_s:9,.0f} a CPU second, precision "
        f"{right / max(1, len(named)):.3f}, recall {right / max(1, len(wanted)):.3f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
