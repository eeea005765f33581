import pytest

from filters.refusal import Refusal


def judged(sample, response, **knobs):
    return Refusal(**knobs).check(sample(response=response))


@pytest.mark.parametrize(
    "response",
    [
        "I'm sorry, but I can't help with that.",
        "I\u2019m sorry, but I can\u2019t assist with that request.",
        "Sorry, I cannot answer this question.",
        "As an AI language model, I do not have opinions.",
        "Unfortunately, I am unable to solve this.",
        "**I cannot** do this.",
        "Es tut mir leid, aber das kann ich nicht beantworten.",
        "Je suis désolé, mais je ne peux pas répondre.",
        "Lo siento, no puedo ayudar con eso.",
        "我无法回答这个问题。",
        "申し訳ありませんが、お答えできません。",
        "Извините, я не могу ответить.",
        "Het spijt me, dat kan ik niet.",
        "I'm afraid I can't do that.",
        "I must respectfully decline.",
        "Thank you for asking. However, I can't help with this.",
    ],
)
def test_a_refusal_is_rejected(sample, response):
    verdict = judged(sample, response)
    assert verdict.reason == "refusal"
    assert verdict.evidence["language"]


@pytest.mark.parametrize(
    "response",
    [
        r"I'm sorry for the long way, but the answer is \boxed{42}.",
        "I cannot stress enough that the answer is 42.",
        "I cannot find such a number, for there is none.",
        "\"I'm sorry, but I can't\" has five words.",
        "Désolé pour le retard : il est 14 h.",
        "Tom says: I can't help you. How many words are that? Five.",
        "The answer is 42.",
        "A can of paint costs 4 dollars.",
        "I will show it: 6 times 7 is 42.",
        "",
    ],
)
def test_an_answer_is_kept(sample, response):
    assert judged(sample, response).outcome == "keep"


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        ("Sure! Here is the solution:", "empty_promise"),
        ("Let me think about this and get back to you.", "empty_promise"),
        ("Certainly, I will solve this for you now.", "empty_promise"),
        ("Here is the solution: it is the red one.", ""),
        ("Let me see: 6 times 7 is 42.", ""),
    ],
)
def test_an_announcement_without_what_it_announces_is_rejected(sample, response, reason):
    assert judged(sample, response).reason == reason


@pytest.mark.parametrize(("chars", "reason"), [(100, "refusal"), (101, "")])
def test_what_goes_on_beyond_the_length_is_an_answer(sample, chars, reason):
    assert judged(sample, "I cannot say it in one word. ".ljust(chars, "a"), chars_max=100).reason == reason


@pytest.mark.parametrize("unit", ["sorry ", "{", "7", "as an ai", "here is "])
def test_a_megabyte_of_anything_is_judged(sample, unit):
    text = unit * (1_000_000 // len(unit))
    knobs = {"chars_max": 2_000_000, "promise_chars_max": 2_000_000}
    assert judged(sample, text, **knobs).outcome in ("keep", "reject")
