import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.verdict import Verdict
from filters.verifiers import judge, number
from filters.verifiers.quantity import quantity


@pytest.mark.parametrize(
    ("reference", "right", "wrong"),
    [
        ("42", ["42", "42.0", "The answer is 42.", r"\boxed{42}", "42 apples", "42%", "4.2e1"], ["43", "42.3", "4.2"]),
        ("3.5 km", ["3.5 km", "3500 m", "3.5", r"\boxed{3{,}500\ \text{m}}", "Total: 3500 m."], ["3500", "35 km"]),
        ("9.81 m/s^2 ± 1%", ["9.8", r"9.75\,\mathrm{m\,s^{-2}}", "981 cm/s^2"], ["9.6", "9.6 m/s^2"]),
        ("(9.81 ± 0.05) m/s^2", ["9.86 m/s²", "9.76"], ["9.87 m/s²", "9.75"]),
        ("10 +/- 1", ["9", "11", "10.5"], ["8.9", "11.1"]),
        ("3.14", ["3.14159", "3.14", "22/7"], ["3.1", "3.146", "3"]),
        ("2.5", ["2.5", "2.50", "5/2"], ["2.54", "2.46"]),
        ("1/3", ["1/3", r"\frac{1}{3}", "2/6"], ["0.33", "0.3333"]),
        ("1,234", ["1234", "1 234", "$1,234"], ["1.234", "234"]),
        ("6.02e23", [r"6.022 \times 10^{23}", "6.02 x 10^23"], ["6.02e22", "6.1e23"]),
        ("42%", ["42%", "0.42", "42", r"42\%"], ["4.2", "0.42%"]),
        ("0.25", ["25%", "1/4"], ["25", "0.25%"]),
        ("90 min", ["1 h 30 min", "1.5 hours", "It takes 1 h 30 min."], ["1 h", "90 h"]),
        ("25 °C", ["298.15 K", "77 °F", "25"], ["25 K", "25 °F"]),
        ("5 million", ["5,000,000", "5 million"], ["5", "5 billion"]),
        ("€42", ["42 euros", "42"], ["€43"]),
    ],
)
def test_a_number_is_right_in_any_spelling_and_compatible_unit(reference, right, wrong):
    assert number.gradable(reference)
    assert {answer: judge(number, answer, reference).outcome for answer in right} == dict.fromkeys(right, "keep")
    assert {answer: judge(number, answer, reference).outcome for answer in wrong} == dict.fromkeys(wrong, "reject")


@pytest.mark.parametrize(
    ("response", "reference", "reason"),
    [
        ("5 kg", "5 m", "wrong_unit"),
        ("5 apples", "5 m", "unknown_unit"),
        ("5 apples", "5 pears", "unknown_unit"),
        (r"\boxed{3 or 4}", "3", "no_answer"),
        (r"\boxed{", "3", "no_answer"),
        ("I do not know.", "3", "no_answer"),
        ("3", "x + 1", "reference_not_gradable"),
    ],
)
def test_what_is_no_comparison_says_why(response, reference, reason):
    assert judge(number, response, reference).reason == reason


@pytest.mark.parametrize("reference", ["", "±0.01", "x + 1", "9" * 1000, "3 or 4", "1 km ± 5 m", "1 ± -2", "about it"])
def test_only_one_number_can_be_a_reference(reference):
    assert not number.gradable(reference)


@pytest.mark.parametrize(
    "unit", ["m**9**9**9", "m^99", "(" * 30 + "m", "__import__", "lambda: 1", "m/" * 29 + "s", "1e999999999"]
)
def test_hostile_units_are_refused_or_judged_at_once(unit):
    assert judge(number, rf"\boxed{{5 {unit}}}", "5 m").outcome in {"reject", "abstain"}


@given(st.text(alphabet=r"0123456789.,/%-+± \{}()^emkgsµ°€x=", max_size=60), st.sampled_from(["42", "3.5 km ± 1%"]))
def test_any_text_can_be_read_as_a_number_or_not(text, reference):
    number.gradable(text)
    quantity(text)
    verdict = number.quick(text, reference)
    if isinstance(verdict, Verdict):
        json.dumps(verdict.evidence)


@given(
    st.from_regex(
        r"-?\d{1,3}(\.\d{1,3})?( ?(km|%|m/s|million|or|x|percent))?( ?± ?\d{1,2}(\.\d)? ?%?)?", fullmatch=True
    )
)
def test_what_is_taken_for_gradable_at_a_glance_is_so_when_it_is_read(reference):
    assert number.gradable(reference) is (number._wanted(reference) is not None)
