"""How fast near-duplicates are found, and how many of those that were planted, beside two well-known libraries.

    python -m bench.near_duplicates                    # 50,000 documents, about two minutes
    python -m bench.near_duplicates --documents 10000
    python -m bench.near_duplicates --kept             # beside what an earlier run kept; half a minute
    python -m bench.near_duplicates --scale 1000000    # short documents: are time and memory of each the same?

Documents are 500 to 3,000 characters; a fifth are edited copies of earlier ones, on both sides of the threshold. The
truth is the exact Jaccard similarity of their sets of five-word phrases.
"""

import argparse
import random
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

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
    parser.add_argument(
        "--kept", action="store_true", help="a second run over a grown corpus, with what the first kept"
    )
    parser.add_argument("--scale", type=int, metavar="DOCUMENTS", help="short documents, time and memory at each tenth")
    given = parser.parse_args()
    if given.kept or given.scale:
        with tempfile.TemporaryDirectory(dir=".") as folder:
            if given.scale:
                _scale(Path(folder), given.scale)
            else:
                _kept(Path(folder), given.documents)
        return
    for name, way, documents in (
        ("datasketch, plain loop", _datasketch, PLAIN_DOCUMENTS),
        ("rensa", _rensa, given.documents),
        ("retort near_duplicate", _retort, given.documents),
    ):
        made, found = _apart(_timed, way, documents)
        _show(name, made, found)


def _apart(work: Callable[..., Any], *given: Any) -> Any:
    """Work in a process of its own: it does not find the machine as another left it."""
    with ProcessPoolExecutor(1, get_context("spawn")) as apart:
        return apart.submit(work, *given).result()


def _kept(folder: Path, documents: int) -> None:
    """Show what a run costs over a corpus that has grown by a twentieth."""
    grown = documents + documents // 20
    nothing, expected = _apart(_run, None, grown, 0)
    _apart(_run, folder, documents, 0)
    size = _bytes(folder)
    print(f"kept of {documents:,} documents: {size / documents:,.0f} bytes a document")
    print(f"from nothing               {grown / nothing:9,.0f} documents a CPU second")
    for name, first in (("a twentieth new", 0), ("all known", 0), ("the first one left out", 1)):
        took, found = _apart(_run, folder, grown, first)
        assert first or found == expected, "with what is kept and without, the verdicts are the same"
        print(f"{name:26} {grown / took:9,.0f} documents a CPU second, {nothing / took:.1f} times as many", flush=True)


def _run(folder: Path | None, documents: int, first: int) -> tuple[float, list[Any]]:
    texts = corpus(documents).texts
    near = NearDuplicate(on="trace")
    list(near.judge([_sample(0, "loaded from here on")]))
    if folder:
        near.keep_in(folder)
    start = time.process_time()
    found = [verdict.evidence for verdict in near.judge(_sample(n, texts[n]) for n in range(first, documents))]
    return time.process_time() - start, found


def _scale(folder: Path, documents: int) -> None:
    """Judge short documents, twice: with nothing kept, and with all of it."""
    for name in ("nothing known", "all known"):
        print(f"{name}: documents, CPU microseconds each since the last line, peak memory over the start, bytes each")
        _apart(_judge_short, folder, documents)
        print(f"kept: {_bytes(folder) / documents:,.0f} bytes a document", flush=True)


def _judge_short(folder: Path, documents: int) -> None:
    near = NearDuplicate(on="trace")
    list(near.judge([_sample(0, "loaded from here on")]))
    near.keep_in(folder)
    base = _peak_bytes()
    made_s, spent_s = 0.0, 0.0

    def samples() -> Iterator[Sample]:
        nonlocal made_s
        chosen = random.Random(5)
        for first in range(0, documents, 1000):
            start = time.process_time()
            some = [_sample(n, " ".join(chosen.choices(VOCABULARY, k=40))) for n in range(first, first + 1000)]
            made_s += time.process_time() - start
            yield from some

    for number, _ in enumerate(near.judge(samples()), 1):
        if number % (documents // 10) == 0:
            now_s = time.process_time() - made_s
            took = (now_s - spent_s) / (documents // 10) * 1e6 if spent_s else float("nan")
            grown, spent_s = _peak_bytes() - base, now_s
            print(f"{number:12,} {took:8.1f} {grown / 2**20:8,.0f} MiB {grown / number:6,.0f}", flush=True)


def _sample(number: int, text: str) -> Sample:
    return Sample(id=number, prompt_id=number, messages=[], response=text)


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


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
        copies[len(texts)] = original, jaccard(copy, texts[original])
        texts.append(copy)
    return Corpus([" ".join(words) for words in texts], copies)


def _phrases(words: list[str]) -> set[str]:
    return {" ".join(words[at : at + WORDS]) for at in range(len(words) - WORDS + 1)}


def jaccard(one: list[str], other: list[str]) -> float:
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
