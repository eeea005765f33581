from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.funnel import Funnel
from filters.recipe import Recipe
from filters.reuse import Reuse
from filters.stages import run
from tests.filters.conftest import make_sample

WORDS = [f"word{number}" for number in range(16)]
SAMPLES = [
    make_sample(
        id=number,
        prompt_id=number // 3,
        completion_tokens=10 + number % 13,
        reference="42" if number % 4 else None,
        reasoning="",
        response=" ".join(
            [WORDS[(number % 17 * 5 + at) % 16] for at in range(12)] + [f"#### {42 + (number % 6 == 0)}"]
        ),
    )
    for number in range(60)
]
FILTERS = st.one_of(
    st.builds(lambda least: {"kind": "length", "tokens_min": least}, st.integers(8, 20)),
    st.builds(lambda name: {"kind": "verified", "default_verifier": name}, st.sampled_from(["exact", "choice"])),
    st.builds(lambda threshold: {"kind": "near_duplicate", "threshold": threshold}, st.sampled_from([0.6, 0.9])),
    st.builds(lambda count: {"kind": "select", "count": count}, st.integers(5, 50)),
)


def recipes(on_abstain):
    parsed = st.lists(FILTERS, max_size=4).map(lambda found: Recipe.parse({"filters": found, "on_abstain": on_abstain}))
    return st.tuples(parsed, parsed)


def judged(recipe, rows, reuse=None):
    funnel = Funnel(recipe)
    return [replace(row, earlier=None) for row in funnel.watch(run(recipe, rows, reuse))], funnel.counts()


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["keep", "reject"]).flatmap(recipes))
def test_what_is_reused_is_what_judging_anew_would_say(pair):
    before, after = pair
    earlier, funnel = judged(before, SAMPLES)
    reuse = Reuse(after, funnel, same_stream=True)
    assert judged(after, earlier, reuse) == judged(after, SAMPLES)


def reused(before, after, *, same_stream=True):
    first, second = (Recipe.parse({"filters": filters}) for filters in (before, after))
    reuse = Reuse(second, judged(first, SAMPLES)[1], same_stream=same_stream)
    return [index in reuse for index in range(len(after))]


LENGTH, NEAR, VERIFIED = {"kind": "length", "tokens_min": 12}, {"kind": "near_duplicate"}, {"kind": "verified"}
OTHER_LENGTH = {"kind": "length", "tokens_min": 14}
TEN, TWENTY = ({"kind": "select", "count": count} for count in (10, 20))


@pytest.mark.parametrize(
    ("before", "after", "stands"),
    [
        ([LENGTH, VERIFIED, NEAR, TEN], [LENGTH, VERIFIED, NEAR, TWENTY], [True, True, True, False]),
        ([LENGTH, VERIFIED, NEAR], [OTHER_LENGTH, VERIFIED, NEAR], [False, True, False]),
        ([LENGTH, VERIFIED, NEAR], [VERIFIED, NEAR], [True, False]),
        ([LENGTH, NEAR], [LENGTH, NEAR, VERIFIED], [True, True, False]),
    ],
)
def test_a_filter_that_looks_at_samples_together_stands_only_behind_the_same_filters(before, after, stands):
    assert reused(before, after) == stands


def test_where_a_person_overruled_a_filter_only_those_that_look_at_samples_alone_stand():
    assert reused([LENGTH, NEAR], [LENGTH, NEAR], same_stream=False) == [True, False]
