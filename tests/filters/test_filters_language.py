import pytest
from pydantic import ValidationError

from filters.language import LanguageFilter

ENGLISH = "The train leaves the station at noon and arrives two hours later, so the journey takes two hours in all."
GERMAN = "Der Zug verlässt den Bahnhof am Mittag und kommt zwei Stunden später an, also dauert die Fahrt zwei Stunden."
CHINESE = (
    "火车中午离开车站两小时后到达所以整个旅程一共需要两个小时这就是问题的答案我们可以再检查一遍结果是正确的没有错误"
)
JAPANESE = "電車は正午に駅を出て二時間後に到着しますので、旅は全部で二時間かかります。これが問題の答えです。"


def judged(sample, response, prompt=ENGLISH, reasoning="", **knobs):
    messages = [{"role": "user", "content": prompt}]
    return LanguageFilter(**knobs).check(sample(messages=messages, response=response, reasoning=reasoning))


@pytest.mark.parametrize(
    ("prompt", "response", "knobs", "reason"),
    [
        (ENGLISH, ENGLISH, {}, ""),
        (ENGLISH, GERMAN, {}, "wrong_language"),
        (GERMAN, GERMAN, {}, ""),
        (ENGLISH, CHINESE, {}, "wrong_language"),
        (CHINESE, CHINESE, {}, ""),
        (JAPANESE, JAPANESE, {}, ""),
        (ENGLISH, GERMAN, {"languages": ["de"]}, ""),
        (ENGLISH, GERMAN, {"languages": ["en", "de"]}, ""),
        (ENGLISH, ENGLISH, {"languages": ["de"]}, "wrong_language"),
        ("42?", GERMAN, {}, ""),
        (ENGLISH, "Zweiundvierzig", {}, ""),
    ],
)
def test_the_answer_is_in_a_language_that_is_wanted(sample, prompt, response, knobs, reason):
    assert judged(sample, response, prompt, **knobs).reason == reason


def test_letters_of_another_script_are_found_with_what_stands_around_them(sample):
    verdict = judged(sample, f"{ENGLISH} 所以 the answer is two.")
    assert verdict.reason == "mixed_script"
    assert "所以 the answer" in verdict.evidence["around"]
    assert verdict.evidence["scripts"]["Han"] == 2


@pytest.mark.parametrize(("share", "reason"), [(0.02, "mixed_script"), (0.03, "")])
def test_a_share_of_another_script_may_be_borne(sample, share, reason):
    response = "word " * 24 + "да так"  # 96 + 5 letters, of which 3 are changed below
    assert judged(sample, response.replace("да", "no"), foreign_share_max=share).reason == reason


@pytest.mark.parametrize(
    "response",
    [
        f"{ENGLISH} The angle is π and the sum Σ.",
        f"{ENGLISH}\n```\n# 你好\n```",
        f"{ENGLISH} The variable `имя` is text.",
        rf"{ENGLISH} So \(x = \text{{число}}\).",
    ],
)
def test_greek_letters_code_and_formulas_are_no_other_script(sample, response):
    assert judged(sample, response).outcome == "keep"


def test_a_script_that_the_prompt_has_may_be_answered_with(sample):
    assert judged(sample, f"{ENGLISH} It means 火车.", f"{ENGLISH} What does 火车 mean?").outcome == "keep"


def test_a_translation_may_be_in_any_language(sample):
    assert judged(sample, GERMAN, f"Translate this into German: {ENGLISH}").outcome == "keep"


def test_the_short_way_for_english_does_not_take_half_of_a_text_for_all(sample):
    assert judged(sample, f"{GERMAN} {GERMAN} {ENGLISH}").reason == "wrong_language"
    assert judged(sample, f"{ENGLISH} {GERMAN} {GERMAN}").reason == "wrong_language"


def test_half_a_surrogate_pair_breaks_nothing(sample):
    assert judged(sample, f"{GERMAN} \ud800", f"{ENGLISH} \ud800").reason == "wrong_language"


def test_reasoning_is_judged_where_it_is_asked_for(sample):
    assert judged(sample, ENGLISH, reasoning=GERMAN).outcome == "keep"
    assert judged(sample, ENGLISH, reasoning=GERMAN, on="both").evidence["in"] == "reasoning"


def test_an_unknown_language_is_refused():
    with pytest.raises(ValidationError, match="ISO 639-1"):
        LanguageFilter(languages=("english",))


@pytest.mark.parametrize("unit", ["{", "7", "$a", "`", "<a", "\\(", "a", "字"])
def test_a_megabyte_of_anything_is_judged(sample, unit):
    text = unit * (1_000_000 // len(unit))
    assert judged(sample, text).outcome in ("keep", "reject")
