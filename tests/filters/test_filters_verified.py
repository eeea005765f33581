import pytest
from pydantic import ValidationError

from filters.verified import Verified
from filters.verifiers import VERIFIERS


@pytest.mark.parametrize(
    ("changes", "outcome", "reason"),
    [
        ({}, "keep", ""),
        ({"response": r"\boxed{41}"}, "reject", "wrong_answer"),
        ({"response": ""}, "reject", "no_answer"),
        ({"reference": None}, "abstain", "no_reference"),
        ({"reference": " "}, "abstain", "no_reference"),
        ({"reference": "Any proof that uses induction over the edges will do."}, "abstain", "reference_not_gradable"),
        ({"verifier": "maths"}, "abstain", "unknown_verifier"),
        ({"verifier": "choice", "reference": "B", "response": "Answer: B"}, "keep", ""),
        ({"verifier": "choice", "reference": "Paris"}, "abstain", "reference_not_gradable"),
        ({"verifier": "exact", "reference": "Paris", "response": "paris"}, "keep", ""),
    ],
)
def test_one_sample_is_judged_against_its_reference(sample, changes, outcome, reason):
    verdict = Verified().check(sample(**changes))
    assert (verdict.outcome, verdict.reason) == (outcome, reason)


def test_an_unknown_verifier_is_named_with_the_nearest(sample):
    verdict = Verified().check(sample(verifier="maths"))
    assert "'maths'" in verdict.detail
    assert "'math'" in verdict.detail


def test_many_samples_are_judged_in_order_by_whatever_each_needs(sample):
    samples = [
        sample(reference="x + 1", response=r"\boxed{1 + x}"),
        sample(reference=None),
        sample(response=r"\boxed{41}"),
        sample(reference="x + 1", response=r"\boxed{x + 2}"),
        sample(),
    ]
    assert [verdict.reason for verdict in Verified(timeout_s=60).judge(samples)] == [
        "",
        "no_reference",
        "wrong_answer",
        "wrong_answer",
        "",
    ]


def test_the_default_verifier_serves_prompts_that_name_none(sample):
    exact = Verified(default_verifier="exact")
    assert exact.check(sample(reference="0.5", response="1/2")).reason == "wrong_answer"
    assert exact.check(sample(reference="0.5", response="1/2", verifier="math")).outcome == "keep"


def test_a_default_verifier_that_does_not_exist_is_refused():
    with pytest.raises(ValidationError, match="did you mean 'math'"):
        Verified(default_verifier="mat")


def test_the_schema_offers_the_verifiers_there_are():
    assert Verified.model_json_schema()["properties"]["default_verifier"]["enum"] == sorted(VERIFIERS)


def test_the_number_of_processes_is_no_part_of_the_filter():
    assert set(Verified.model_fields) == {"kind", "default_verifier", "timeout_s"}
