import time

import pytest

from filters.verifiers import judge, regex
from filters.verifiers.pool import Pool


@pytest.mark.parametrize(
    ("response", "reference", "reason"),
    [
        ("It is 42.", r"\b42\b", ""),
        ("It is 142.", r"\b42\b", "no_match"),
        ("Paris", "(?i)^paris$", ""),
        ("Paris, France", "(?i)^paris$", "no_match"),
        (r"42 looked right, yet \boxed{43}", "42", "no_match"),
        ("", "a*", "no_answer"),
        ("x", "(?=x)x", "reference_not_gradable"),
        ("xx", r"(x)\1", "reference_not_gradable"),
        ("x", "(", "reference_not_gradable"),
        ("x", " ", "reference_not_gradable"),
        ("\ud800 x", "x$", ""),
    ],
)
def test_a_pattern_is_searched_for_in_the_answer(response, reference, reason):
    assert judge(regex, response, reference).reason == reason


@pytest.mark.parametrize("pattern", ["(a{1000}){1000}", "((a{100}){100}){100}", "(" * 1500, "x" * 2001, "\ud800"])
def test_a_pattern_too_large_to_compile_is_not_gradable(pattern):
    assert not regex.gradable(pattern)


def test_patterns_that_backtrack_for_ever_elsewhere_are_searched_in_linear_time():
    started = time.process_time()
    for pattern in ("(a+)+$", "(a|a)*b", "(x+x+)+y", "(.*)*="):
        regex.verify("a" * 50_000 + "!", pattern)
    assert time.process_time() - started < 5


def test_a_long_search_of_a_large_pattern_is_left_to_the_pool_which_ends_it():
    pattern, text = "(x|y|z|w){1,300}q", "x" * 2_000_000
    assert regex.quick(text, pattern) == text
    with Pool(timeout_s=1, processes=1) as pool:
        assert pool.verify("regex", text, pattern).reason in {"verifier_timeout", "no_match"}
