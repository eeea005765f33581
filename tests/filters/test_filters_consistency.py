"""Written arithmetic: what holds, what does not, and what is nobody's to judge."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.consistency import Consistency
from filters.equations import equations


def judged(sample, reasoning, response="Done.", **knobs):
    return Consistency(**knobs).check(sample(reasoning=reasoning, response=response))


def read(text):
    return [(one.text, one.holds(0.01)) for one in equations(text)]


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("So 12 * 3 = 36.", True),
        ("So 12 * 3 = 35.", False),
        (r"$\frac{1}{2} + \frac{1}{4} = \frac{3}{4}$", True),
        (r"\(\frac{1}{2} + 1/4 = 2/3\)", False),
        (r"12 \times 3 = 36", True),
        (r"12 \cdot 3 = 37", False),
        ("1,200 ÷ 4 = 300, then", True),
        ("1,200 ÷ 4 = 30, then", False),
        ("12 x 3 = 35", False),
        ("2^{10} = 1024", True),
        ("2**10 = 1000", False),
        ("(3 + 4) * 2 - 1 = 13", True),
        ("$5 + $3 = $9", False),
        ("3 + 4 = 7 apples and 7 - 2 = 5 left", True),
        ("1. 3 + 4 = 7", True),
        ("10 / 3 = 3.33", True),
        ("10 / 3 = 3.4", False),
        ("10 / 4 = 2", False),
        ("-2 + 5 = 3", True),
        ("6 * 7 = 43 and 8/8 = 1", False),
        ("15 * 4 = 10 * 6 = 60", True),
        (r"15 * 4 = 60\text{ cm}", True),
    ],
)
def test_a_written_step_is_worked_out(text, holds):
    found = read(text)
    assert found
    assert all(held for _, held in found) == holds


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("So:\n12 * 3 = 35\nDone", ["12 * 3 = 35"]),
        ("First 1 + 1 = 2. Then 2 + 2 = 4. So", ["1 + 1 = 2", "2 + 2 = 4"]),
        ("We add 5 +\n3 + 4 = 12", []),
        ("the sum of\n3 + 4 = 7", []),
        ("Suppose 2 + 2 = 5. Then", []),
    ],
)
def test_a_line_begins_anew_unless_the_last_one_goes_on(text, steps):
    assert [step for step, _ in read(text)] == steps


@pytest.mark.parametrize(
    "text",
    [
        "101 + 11 = 1000 in base 2",
        "x + 3 = 5",
        "2x = 7",
        "f(2) = 4",
        "x - 3 + 5 = 10",
        "the sum of 3 and 4 = 7",
        "the square of 3 + 4 = 7",
        r"\sqrt{16} + 2 = 5",
        r"2 * 3 = 6\pi",
        "2 * 4 = 6 x",
        "10 + 5 = 3 (mod 12)",
        "17 / 5 = 3 remainder 2",
        "17 / 5 = 3 R 2",
        "10 // 3 = 3",
        "1/4 = 25%",
        "101_2 + 1 = 110_2",
        "45 + 30 = 1:15",
        "10:45 + 30 = 11:15",
        "is 12 * 3 = 35?",
        "12 * 3 != 35",
        r"12 * 3 \neq 35",
        "a <= 3 + 4",
        "200 / 3 = 67 (rounded)",
        "5 * 4 = 2 million",
        "6 / 2(1 + 2) = 9",
        "2 1/2 + 1 = 3 1/2",
        "3! + 1 = 7",
        "5 / 2 = 2 and 1/2",
        "5 / 2 = 2 and a half",
        "2^999 = 3",
        "9^9^9 = 1",
        "the price = 5",
    ],
)
def test_what_has_letters_or_two_readings_is_passed_over(text):
    assert [step for step, held in read(text) if not held] == []


def test_the_evidence_names_the_step_and_what_it_comes_to(sample):
    verdict = judged(sample, "First 6 * 7 = 42. Then 42 + 9 = 50. Then 50 - 1 = 49.")
    assert verdict.reason == "wrong_step"
    assert verdict.evidence == {"steps": [{"step": "42 + 9 = 50", "is": "51"}], "wrong": 1, "read": 3}


@pytest.mark.parametrize(("most", "reason"), [(0, "wrong_step"), (1, "")])
def test_as_many_wrong_steps_are_borne_as_the_knob_says(sample, most, reason):
    assert judged(sample, "6 * 7 = 43", wrong_steps_max=most).reason == reason


def test_a_step_that_is_corrected_later_is_no_fault(sample):
    assert judged(sample, "6 * 7 = 43. Wait, no: 6 * 7 = 42.").outcome == "keep"
    assert judged(sample, "6 * 7 = 42. Wait, no: 6 * 7 = 43.").reason == "wrong_step"


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (r"\boxed{42}", ""),
        (r"\boxed{42.0}", ""),
        (r"\boxed{43}", "answer_differs"),
        (r"\boxed{42.02}", "answer_differs"),
        ("The answer is 43.", "answer_differs"),
        (r"\boxed{x}", ""),
        ("I do not know.", ""),
    ],
)
def test_the_response_answers_what_the_reasoning_came_to(sample, response, reason):
    assert judged(sample, "6 * 7 = 42 apples, for 6 days.", response).reason == reason
    assert judged(sample, "6 * 7 = 42 apples, for 6 days.", response, answer=False).outcome == "keep"


@pytest.mark.parametrize(
    ("reasoning", "response"),
    [
        (r"That is \frac{3}{4} of it", r"\boxed{0.75}"),
        ("It is 50% of them", r"\boxed{50\%}"),
        ("about 3.14159 of them", r"\boxed{3.14}"),
        ("It is 0.5 of them", r"\boxed{50\%}"),
        ("in all 1,234 of them", r"\boxed{1234}"),
        ("it falls to -3 degrees", r"\boxed{-3}"),
        ("forty-two of them", r"\boxed{42}"),
    ],
)
def test_the_same_number_may_be_written_in_another_way(sample, reasoning, response):
    assert judged(sample, reasoning, response).outcome == "keep"


@given(st.integers(0, 10**6), st.integers(1, 10**6), st.sampled_from("+-*"))
def test_every_right_step_holds_and_no_wrong_one(one, other, sign):
    result = {"+": one + other, "-": one - other, "*": one * other}[sign]
    assert read(f"We get {one} {sign} {other} = {result}.") == [(f"{one} {sign} {other} = {result}", True)]
    assert [held for _, held in read(f"We get {one:,} {sign} {other:,} = {result + 1:,}.")] == [False]


@given(st.text(alphabet="0123456789+-*/^()=. x\\,{}fracn", max_size=300))
def test_no_text_breaks_it(text):
    list(equations(text))


@pytest.mark.parametrize("unit", ["{", "7", "9^", "(", "1=", "1+1=", "\\frac{", ". ", "-", "  =", "1 x "])
def test_a_megabyte_of_anything_is_judged(sample, unit):
    text = unit * (1_000_000 // len(unit))
    assert judged(sample, text, text).outcome in ("keep", "reject")
