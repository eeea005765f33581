import pytest
from pydantic import ValidationError

from filters.format import Format

CODE = "```python\nprint(1)\n```"


def judged(sample, response, **knobs):
    return Format(**knobs).check(sample(response=response)).reason


@pytest.mark.parametrize(
    ("knobs", "with_it", "without"),
    [
        ({"boxed": "required"}, "", "no_boxed"),
        ({"boxed": "forbidden"}, "has_boxed", ""),
        ({"code": "required"}, "", "no_code"),
        ({"code": "forbidden"}, "has_code", ""),
        ({"pattern": r"42\}"}, "", "no_pattern"),
        ({"pattern_forbidden": r"\bprint\b"}, "has_pattern", ""),
        ({}, "", ""),
    ],
)
def test_what_must_and_must_not_be_there(sample, knobs, with_it, without):
    assert judged(sample, CODE + "\nSo \\boxed{42}", **knobs) == with_it
    assert judged(sample, "So it is 42", **knobs) == without


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (CODE, ""),
        ("```python\nprint(1)", "open_code"),
        ("````\n```\n````", ""),
        ("````\n```", "open_code"),
        ("~~~\n```\n~~~", ""),
        ("It is ```inline``` code", ""),
        (r"\[ x = 1 \]", ""),
        (r"\[ x = 1", "open_formula"),
        (r"\begin{align} a &= b \\[2pt] c &= d \end{align}", ""),
        (r"\begin{align} a &= b", "open_formula"),
        ("$$ x $$", ""),
        ("$$ x", "open_formula"),
        (r"It costs \$5.", ""),
        (r"```latex" + "\n\\[ x\n```", ""),
        (r"So \boxed{\frac{1}{2", "open_box"),
        ("<think>hm</think> 42", "think_tag"),
        ("hm</think> 42", "think_tag"),
        ("```html\n<think>\n```", ""),
        ("It writes `<think>` first, and `\\\\[` there.", ""),
        ("<THINK>hm</THINK> 42", "think_tag"),
    ],
)
def test_what_is_opened_must_be_closed(sample, response, reason):
    assert judged(sample, response) == reason
    assert judged(sample, response, closed=False) == ""


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        ('{"a": [1, 2]}', ""),
        ('```json\n{"a": 1}\n```', ""),
        ('Here: {"a": 1}', "no_json"),
        ('{"a": 1', "no_json"),
        ('{"a": NaN}', "no_json"),
        ("[" * 100_000, "no_json"),
    ],
)
def test_a_response_may_have_to_be_json(sample, response, reason):
    assert judged(sample, response, json_only=True) == reason


def test_a_pattern_that_is_none_is_refused_and_one_without_end_abstains(sample):
    with pytest.raises(ValidationError, match="not a regular expression"):
        Format(pattern="(")
    verdict = Format(pattern=r"(a|aa)+$").check(sample(response="a" * 100_000 + "b"))
    assert (verdict.outcome, verdict.reason) == ("abstain", "pattern_timeout")


@pytest.mark.parametrize("unit", ["{", "```\n", "\\[", "$$", "\\begin{a}", "<think", "\\boxed{", "> "])
def test_a_megabyte_of_anything_is_judged(sample, unit):
    text = unit * (1_000_000 // len(unit))
    assert Format(boxed="required", json_only=True).check(sample(response=text)).outcome == "reject"
