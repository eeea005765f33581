"""Groups of near-duplicates: what a chain of pairs connects stays together, however the texts come."""

import random
from contextlib import closing
from itertools import combinations

from filters.groups import THRESHOLD, Groups
from filters.shingles import jaccard, normal, shingles

WORDS = [f"word{number}" for number in range(300)]


def firsts(texts: list[str], chunk: int) -> list[int]:
    with closing(Groups()) as groups:
        for start in range(0, len(texts), chunk):
            groups.add(texts[start : start + chunk])
        return [groups.first(number) for number in range(len(texts))]


def changed(chosen: random.Random, text: str, words: int) -> str:
    said = text.split()
    for _ in range(words):
        said[-1 - chosen.randrange(4)] = chosen.choice(WORDS)
    return " ".join(said)


def families(seed: int) -> list[str]:
    """Texts of forty words, and chains of them that differ in a word or two at their end."""
    chosen = random.Random(seed)
    texts = []
    for _ in range(12):
        texts.append(" ".join(chosen.choices(WORDS, k=40)))
        for _ in range(chosen.randrange(6)):
            texts.append(changed(chosen, texts[-1], 2))
    chosen.shuffle(texts)
    return texts


def by_comparing_all(texts: list[str]) -> list[int]:
    sets = shingles([normal(text) for text in texts], 5)
    first = list(range(len(texts)))
    for one, other in combinations(range(len(texts)), 2):
        if jaccard(sets.of(one), sets.of(other)) >= THRESHOLD:
            low, high = sorted((first[one], first[other]))
            first = [low if each == high else each for each in first]
    return first


def test_groups_are_those_that_comparing_every_pair_gives() -> None:
    for seed in range(5):
        texts = families(seed)
        expected = by_comparing_all(texts)
        assert len(set(expected)) < len(texts) - 10, "there is something to find"
        assert firsts(texts, 256) == expected


def test_how_texts_are_cut_into_calls_changes_nothing() -> None:
    texts = families(9)
    assert firsts(texts, 1) == firsts(texts, 7) == firsts(texts, len(texts))


def test_a_text_in_the_middle_joins_two_groups() -> None:
    chosen = random.Random(1)
    left = " ".join(chosen.choices(WORDS, k=40))
    middle = left.rsplit(" ", 4)[0] + " a b c d"
    right = "x y z u " + middle.split(" ", 4)[4]
    assert firsts([left, right], 2) == [0, 1]
    assert firsts([left, right, middle], 1) == [0, 0, 0]


def test_short_texts_are_compared_by_their_letters() -> None:
    assert firsts(["What is two plus two?", "what is  TWO plus two?", "Name a colour."], 3) == [0, 0, 2]


def test_where_thousands_share_a_phrase_a_pair_is_found_all_the_same() -> None:
    chosen = random.Random(4)
    head = " ".join(chosen.choices(WORDS, k=30))
    texts = [f"{head} {' '.join(chosen.choices(WORDS, k=20))}" for _ in range(600)]
    found = firsts([*texts, *(f"{text} again" for text in texts)], 256)
    assert found == [*range(600), *range(600)]
