from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.select import Select


def judged(select, samples):
    """Return the reason for each sample by its id."""
    return {one.id: verdict.reason for one, verdict in zip(samples, select.judge(samples), strict=True)}


def kept(select, samples):
    return {sample_id for sample_id, reason in judged(select, samples).items() if not reason}


@pytest.fixture
def samples(sample):
    return [sample(id=number, prompt_id=number // 4) for number in range(40)]


@pytest.mark.parametrize(("count", "expected"), [(None, 40), (1, 1), (39, 39), (40, 40), (41, 40)])
def test_no_more_than_count_are_kept(samples, count, expected):
    assert len(kept(Select(count=count), samples)) == expected


@pytest.mark.parametrize(("cap", "expected"), [(1, 10), (3, 30), (4, 40), (5, 40)])
def test_no_prompt_keeps_more_than_its_cap(samples, cap, expected):
    chosen = kept(Select(per_prompt=cap), samples)
    assert len(chosen) == expected
    assert max(Counter(sample_id // 4 for sample_id in chosen).values()) == min(cap, 4)


def test_the_reasons_tell_the_cap_from_the_draw(samples):
    counts = Counter(judged(Select(count=5, per_prompt=1), samples).values())
    assert counts == {"": 5, "not_selected": 5, "per_prompt_cap": 30}


def test_by_order_keeps_the_first(samples):
    assert kept(Select(count=3, by="order"), samples) == {0, 1, 2}
    assert kept(Select(count=3, per_prompt=1, by="order"), samples) == {0, 4, 8}


def test_another_seed_draws_another_sample(samples):
    draws = [frozenset(kept(Select(count=20, seed=seed), samples)) for seed in range(5)]
    assert len(set(draws)) == 5


def test_a_draw_is_spread_over_all_samples(sample):
    many = [sample(id=number, prompt_id=number) for number in range(4000)]
    chosen = kept(Select(count=2000), many)
    assert 900 < sum(sample_id < 2000 for sample_id in chosen) < 1100


def test_a_larger_draw_contains_the_smaller_one(samples):
    assert kept(Select(count=5), samples) < kept(Select(count=15), samples)


@given(
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 5)), unique_by=lambda pair: pair[0], max_size=30),
    st.randoms(),
    st.integers(1, 30),
    st.integers(1, 4),
    st.integers(0, 100),
)
def test_the_choice_does_not_depend_on_the_order_read(sample, pairs, shuffler, count, cap, seed):
    select = Select(count=count, per_prompt=cap, seed=seed)
    samples = [sample(id=sample_id, prompt_id=prompt_id) for sample_id, prompt_id in pairs]
    before = judged(select, samples)
    shuffler.shuffle(samples)
    assert judged(select, samples) == before


# ------------------------------------------------------------------ by difficulty, length, difference; balanced


def test_the_shortest_and_the_longest_come_first(sample):
    samples = [sample(id=number, prompt_id=number, reasoning="", response="x" * number) for number in range(1, 9)]
    assert kept(Select(count=2, by="shortest"), samples) == {1, 2}
    assert kept(Select(count=2, by="longest"), samples) == {7, 8}


@pytest.fixture
def graded(sample):
    """Prompts 1 to 4, of whose four answers as many as the prompt's number came this far; 5 was never counted."""
    counted = [sample(id=10 * one + place, prompt_id=one, tries=4) for one in range(1, 5) for place in range(one)]
    return [*counted, sample(id=50, prompt_id=5)]


def test_the_hardest_prompts_are_those_whose_answers_were_rejected_most(graded):
    assert kept(Select(count=3, by="hardest"), graded) == {10, 20, 21}
    assert kept(Select(count=4, by="easiest"), graded) == {40, 41, 42, 43}
    assert 50 in kept(Select(by="hardest"), graded)


@pytest.mark.parametrize(("most", "expected"), [(1.0, {1, 2, 3, 4, 5}), (0.75, {1, 2, 3, 5}), (0.74, {1, 2, 5})])
def test_prompts_that_are_too_easy_are_left_out(graded, most, expected):
    assert {sample_id // 10 for sample_id in kept(Select(pass_rate_max=most), graded)} == expected


def test_balance_takes_from_each_category_in_turn(sample):
    samples = [sample(id=place, prompt_id=place, category="rare" if place < 3 else "usual") for place in range(100)]
    chosen = kept(Select(count=10, balance=True), samples)
    assert sum(place < 3 for place in chosen) == 3
    chosen = kept(Select(count=4, balance=True), samples)
    assert sum(place < 3 for place in chosen) == 2


def test_diversity_takes_one_of_each_kind_before_a_second_of_any(sample):
    kinds = ["how many apples are left in the basket now", "which colour has the sky at noon", "name three rivers"]
    places = [0] * 30 + [1] * 2 + [2]
    messages = [[{"role": "user", "content": kinds[kind]}] for kind in places]
    samples = [sample(id=place, prompt_id=place, messages=said) for place, said in enumerate(messages)]
    assert {places[place] for place in kept(Select(count=3, by="diversity"), samples)} == {0, 1, 2}
