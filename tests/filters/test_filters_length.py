import pytest

from filters.length import Length


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, ""),
        ({"completion_tokens": 15}, "too_short"),
        ({"completion_tokens": 16}, ""),
        ({"completion_tokens": 8192}, ""),
        ({"completion_tokens": 8193}, "too_long"),
        ({"finish_reason": "length"}, "truncated"),
        ({"finish_reason": "length", "completion_tokens": None}, "truncated"),
        ({"completion_tokens": None}, "tokens_unknown"),
        ({"response": " \n "}, "response_too_short"),
        ({"response": "x"}, ""),
    ],
)
def test_length_gives_the_reason(sample, changes, reason):
    assert Length().check(sample(**changes)).reason == reason


def test_unknown_token_counts_abstain_and_never_reject(sample):
    assert Length().check(sample(completion_tokens=None)).outcome == "abstain"


@pytest.mark.parametrize(
    ("chars", "reason"), [(9, "response_too_short"), (10, ""), (20, ""), (21, "response_too_long")]
)
def test_the_response_has_bounds_of_its_own(sample, chars, reason):
    length = Length(response_chars_min=10, response_chars_max=20)
    assert length.check(sample(response="x" * chars)).reason == reason


def test_an_empty_response_is_rejected_even_when_the_reasoning_is_long(sample):
    assert Length().check(sample(response="", reasoning="word " * 500)).reason == "response_too_short"
