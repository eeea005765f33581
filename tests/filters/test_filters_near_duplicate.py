import itertools
import random
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.bands import RECALL_MIN, bands
from filters.near_duplicate import CHUNK, NearDuplicate
from filters.shingles import jaccard, normal, shingles
from filters.twins import TwinIndex

VOCABULARY = [f"{random.Random(number).getrandbits(40):x}" for number in range(3000)]


def document(seed: int, words: int = 120) -> list[str]:
    return random.Random(seed).choices(VOCABULARY, k=words)


def edited(words: list[str], edits: int, seed: int) -> list[str]:
    chosen = random.Random(seed)
    words = words[:]
    for _ in range(edits):
        words[chosen.randrange(len(words))] = chosen.choice(VOCABULARY)
    return words


def similarity(one: str, other: str, words: int = 5) -> float:
    sets = shingles([normal(one), normal(other)], words)
    return jaccard(sets.of(0), sets.of(1))


def plain_jaccard(one: str, other: str, words: int = 5) -> float:
    """Return the same by the definition, with Python's sets of strings."""
    sets = [
        {tuple(spelt[at : at + words]) for at in range(len(spelt) - words + 1)}
        for spelt in (one.casefold().split(), other.casefold().split())
    ]
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


def traces(sample, texts, **changes):
    return [
        sample(id=number, prompt_id=number, messages=[], reasoning="", response=text, **changes)
        for number, text in enumerate(texts)
    ]


def test_planted_pairs_are_found_and_nothing_else(sample):
    texts = [document(seed) for seed in range(700)]
    planted = {}
    for number in range(300):
        planted[len(texts)] = number
        texts.append(edited(texts[number], 1 + number % 4, seed=number))
    texts = [" ".join(words) for words in texts]
    pairs = {late for late, early in planted.items() if plain_jaccard(texts[late], texts[early]) >= 0.8}
    assert 150 < len(pairs) < 300, "some planted pairs must lie on each side of the threshold"

    verdicts = list(NearDuplicate(on="trace").judge(traces(sample, texts)))
    rejected = {number for number, verdict in enumerate(verdicts) if verdict.outcome == "reject"}
    assert rejected <= pairs
    assert len(rejected) >= 0.95 * len(pairs)
    for number in rejected:
        assert verdicts[number].evidence["twin"] == planted[number]
        exact = plain_jaccard(texts[number], texts[planted[number]])
        assert verdicts[number].evidence["similarity"] == pytest.approx(exact, abs=1e-4)


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0])
@pytest.mark.parametrize("permutations", [64, 128, 256])
def test_bands_keep_the_recall_at_the_threshold(threshold, permutations):
    count, rows = bands(threshold, permutations)
    assert count * rows <= permutations
    assert count >= 2
    assert 1 - (1 - threshold**rows) ** count >= RECALL_MIN


def test_the_first_stays_and_later_ones_name_it(sample):
    text = " ".join(document(1))
    verdicts = list(NearDuplicate(on="trace").judge(traces(sample, [text, text, " ".join(edited(document(1), 1, 1))])))
    assert [verdict.outcome.value for verdict in verdicts] == ["keep", "reject", "reject"]
    assert [verdict.evidence["twin"] for verdict in verdicts[1:]] == [0, 0]
    assert verdicts[1].evidence["similarity"] == 1


def test_a_text_is_compared_with_what_was_kept_not_with_what_was_rejected(sample):
    first = document(1, 200)
    second = edited(first, 3, seed=1)
    third = edited(second, 3, seed=2)
    texts = [" ".join(words) for words in (first, second, third)]
    assert similarity(texts[0], texts[1]) >= 0.8
    assert similarity(texts[1], texts[2]) >= 0.8
    assert similarity(texts[0], texts[2]) < 0.8
    verdicts = list(NearDuplicate(on="trace").judge(traces(sample, texts)))
    assert [verdict.outcome.value for verdict in verdicts] == ["keep", "reject", "keep"]


@pytest.mark.parametrize(("threshold", "outcome"), [(0.75, "reject"), (0.76, "keep")])
def test_the_threshold_itself_counts_as_duplicate(sample, threshold, outcome):
    texts = ["a b c d e f g", "a b c d e f g h"]
    assert similarity(*texts) == 0.75
    verdicts = list(NearDuplicate(on="trace", threshold=threshold).judge(traces(sample, texts)))
    assert verdicts[1].outcome == outcome


@pytest.mark.parametrize(
    ("one", "other", "duplicate"),
    [
        ("What is 3 + 4?", "What  is 3 + 4?", True),
        ("What is 3 + 4?", "what is 3 + 4?", True),
        ("What is 3 + 4?", "What is 3 - 4?", False),
        ("Hello there", "Hello there!", True),
        ("Hello there", "Goodbye then", False),
        ("Yes", "No", False),
        ("a", "b", False),
        ("", "", True),
        ("地球的半径大约是六千三百七十一公里。", "地球的半径大约是六千三百七十一公里!", True),
        ("地球的半径大约是六千三百七十一公里。", "月亮绕地球一周需要二十七天多一点。", False),
        ("\ud800 half a character", "\ud800 half a character", True),
    ],
)
def test_short_texts_and_texts_without_spaces_compare_sensibly(sample, one, other, duplicate):
    verdict = list(NearDuplicate(on="trace", threshold=0.7).judge(traces(sample, [one, other])))[1]
    assert (verdict.outcome == "reject") is duplicate


def test_answers_to_one_prompt_are_not_collapsed_by_default(sample):
    text = " ".join(document(1))
    same_prompt = [sample(id=number, prompt_id=7, response=text) for number in range(3)]
    other_prompt = sample(id=9, prompt_id=8, response=text)
    samples = [*same_prompt, other_prompt]
    assert reasons(NearDuplicate().judge(samples)) == ["", "", "", "near_duplicate"]
    assert reasons(NearDuplicate(across_prompts_only=False).judge(samples)) == ["", *["near_duplicate"] * 3]


def reasons(verdicts):
    return [verdict.reason for verdict in verdicts]


def test_answers_share_the_fate_of_a_duplicated_prompt(sample):
    question = " ".join(document(1))
    other = " ".join(document(2))

    def ask(number, prompt_id, text):
        return sample(
            id=number,
            prompt_id=prompt_id,
            messages=[{"role": "user", "content": text}],
            response=f"{number} of its own",
        )

    samples = [ask(1, 1, question), ask(2, 1, question), ask(3, 2, question), ask(4, 3, other), ask(5, 2, question)]
    verdicts = list(NearDuplicate(on="prompt").judge(samples))
    assert reasons(verdicts) == ["", "", "near_duplicate", "", "near_duplicate"]
    assert {verdict.evidence["twin"] for verdict in verdicts if verdict.evidence} == {1}


def test_a_prompt_that_comes_back_later_has_the_verdict_it_had(sample):
    order = random.Random(4).choices(range(300), k=4 * CHUNK)
    samples = [
        sample(id=n, prompt_id=prompt, messages=[{"role": "user", "content": " ".join(document(prompt % 200))}])
        for n, prompt in enumerate(order)
    ]
    told = {}
    for one, verdict in zip(samples, NearDuplicate(on="prompt").judge(samples), strict=True):
        assert told.setdefault(one.prompt_id, verdict) == verdict
    assert {verdict.outcome.value for verdict in told.values()} == {"keep", "reject"}


def test_equal_short_answers_to_different_prompts_are_no_duplicates_when_both_texts_count(sample):
    asked = [
        sample(
            id=n, prompt_id=n, messages=[{"role": "user", "content": " ".join(document(n))}], reasoning="", response="B"
        )
        for n in range(3)
    ]
    assert reasons(NearDuplicate().judge(asked)) == ["", "", ""]
    assert reasons(NearDuplicate(on="trace").judge(asked)) == ["", "near_duplicate", "near_duplicate"]


def test_no_more_than_a_chunk_is_read_ahead(sample):
    read = []

    def feed():
        for one in traces(sample, ["the same short text"] * 3 * CHUNK):
            read.append(one.id)
            yield one

    verdicts = NearDuplicate().judge(feed())
    next(verdicts)
    assert len(read) == CHUNK


@pytest.mark.parametrize("step", [1, 7, 50])
def test_how_texts_are_cut_into_calls_changes_nothing(step):
    texts = [(seed, " ".join(edited(document(seed % 30, 60), seed % 4, seed)), seed // 3) for seed in range(150)]
    with closing(TwinIndex(0.6, 3, 128)) as whole, closing(TwinIndex(0.6, 3, 128)) as cut:
        found = whole.add(texts)
        assert [twin for at in range(0, 150, step) for twin in cut.add(texts[at : at + step])] == found
    assert any(found)


@settings(max_examples=25)
@given(
    st.lists(st.lists(st.sampled_from("abcdef"), min_size=5, max_size=30), min_size=1, max_size=8), st.integers(1, 6)
)
def test_shingles_measure_what_the_definition_says(texts, words):
    for pair in itertools.pairwise(texts):
        one, other = (" ".join(text + ["pad"] * words) for text in pair)
        assert similarity(one, other, words) == pytest.approx(plain_jaccard(one, other, words))


def test_the_same_traces_give_the_same_verdicts(sample):
    texts = [" ".join(edited(document(seed % 20), seed % 5, seed)) for seed in range(80)]
    first, second = (list(NearDuplicate(on="trace").judge(traces(sample, texts))) for _ in range(2))
    assert first == second
