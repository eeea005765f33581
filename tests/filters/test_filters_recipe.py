import json
import subprocess
import sys

import pytest

from filters.length import Length
from filters.recipe import FILTERS, Recipe, RecipeError

NEEDED = {
    "contamination": {"benchmarks": ["gsm8k-test"]},
    "judged": {"teacher": "judge", "rubric": "The response is polite."},
}
"""Knobs without which a filter makes no sense."""


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            {"filters": [{"kind": "length"}, {"kind": "repetition"}, {"kind": "lenght"}]},
            "recipe.filters[2]: unknown filter 'lenght'; did you mean 'length'?",
        ),
        (
            {"filters": [{"kind": "length", "token_min": 3}]},
            "recipe.filters[0] (length): unknown knob 'token_min'; did you mean 'tokens_min'?",
        ),
        (
            {"filters": [{"kind": "length", "tokens_min": 0}]},
            "recipe.filters[0] (length): knob 'tokens_min': Input should be greater than 0",
        ),
        (
            {"filters": [{"kind": "verified", "default_verifier": "maths"}]},
            "recipe.filters[0] (verified): knob 'default_verifier': no verifier 'maths'; did you mean 'math'?",
        ),
        (
            {"filters": [{"kind": "licence", "overrides": [{"licence": "mrl", "reason": "bought"}]}]},
            "recipe.filters[0] (licence): knob 'overrides.0.author' is missing",
        ),
        (
            {"filters": [{"tokens_min": 3}]},
            f"recipe.filters[0]: every filter needs a kind, one of {', '.join(sorted(FILTERS))}",
        ),
        ({"filters": [], "on_abstian": "keep"}, "recipe: unknown key 'on_abstian'; did you mean 'on_abstain'?"),
        ({"filters": [], "on_abstain": "drop"}, "recipe: key 'on_abstain': Input should be 'keep' or 'reject'"),
        ({}, "recipe: key 'filters' is missing"),
        ([], "recipe: Input should be a valid dictionary or instance of Recipe"),
    ],
)
def test_a_wrong_recipe_is_told_where_and_what_is_meant(data, message):
    with pytest.raises(RecipeError) as caught:
        Recipe.parse(data)
    assert str(caught.value) == message


def test_all_problems_are_told_at_once():
    with pytest.raises(RecipeError) as caught:
        Recipe.parse({"filters": [{"kind": "x"}, {"kind": "select", "count": -1, "by": "x"}], "y": 1})
    assert [problem.loc for problem in caught.value.problems] == [
        "recipe.filters[0]",
        "recipe.filters[1] (select)",
        "recipe.filters[1] (select)",
        "recipe",
    ]


def test_a_recipe_survives_json():
    recipe = Recipe.parse({"filters": [{"kind": kind} | NEEDED.get(kind, {}) for kind in FILTERS]})
    assert Recipe.parse(json.loads(recipe.model_dump_json())) == recipe


def test_every_filter_tells_the_reason_for_each_of_its_knobs():
    for kind, filter_ in FILTERS.items():
        properties = filter_.model_json_schema()["properties"]
        assert [name for name, knob in properties.items() if name != "kind" and "description" not in knob] in (
            [],
            ["seed"],
        ), kind


# ------------------------------------------------------------------ digest


def digest(*filters, **changes):
    return Recipe.parse({"filters": list(filters), **changes}).digest()


def test_the_digest_does_not_depend_on_which_knobs_are_spelt_out_or_their_order():
    assert digest({"kind": "length"}) == digest({"tokens_max": 8192, "tokens_min": 16, "kind": "length"})


def test_the_digest_changes_with_every_knob_the_order_and_the_fate_of_abstentions():
    length, repetition = {"kind": "length"}, {"kind": "repetition"}
    digests = [
        digest(length, repetition),
        digest(repetition, length),
        digest(length | {"tokens_min": 17}, repetition),
        digest(length),
        digest(length, repetition, on_abstain="reject"),
    ]
    assert len(set(digests)) == len(digests)


def test_the_digest_changes_with_a_filters_version(monkeypatch):
    before = digest({"kind": "length"})
    monkeypatch.setattr(Length, "version", 2)
    assert digest({"kind": "length"}) != before


# ------------------------------------------------------------------ the package


def test_importing_filters_loads_nothing_heavy():
    code = (
        "import sys, time; started = time.process_time(); import filters; took = time.process_time() - started\n"
        "heavy = {'pydantic', 'numpy', 'sympy', 'datasketch', 'math_verify', 'license_expression'} & set(sys.modules)\n"
        "import filters.recipe\n"
        "later = {'numpy', 'sympy', 'datasketch', 'math_verify', 'license_expression'} & set(sys.modules)\n"
        "print(took < 0.1, heavy, later)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split(maxsplit=1) == ["True", "set() set()\n"]


def test_every_public_name_can_be_imported_again_and_again():
    import filters

    for _ in range(2):
        for name in filters.__all__:
            assert getattr(filters, name) is not None
    assert callable(filters.run)
    with pytest.raises(AttributeError):
        filters.no_such_name  # noqa: B018 - the access is the test
