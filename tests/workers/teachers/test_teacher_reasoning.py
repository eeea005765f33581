"""Taking replies apart, era by era and fault by fault."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.teachers.protocol import Sampling
from service.teachers.reasoning import PAIRS, Note, lost_reasoning, split

THOUGHT, ANSWER = "\n12+5=17. Next 12+17=29.\n", "\n\nThe answer is \\boxed{29}."
R, A = THOUGHT.strip("\n"), ANSWER.lstrip("\n")

ERAS = {
    "vLLM up to 0.11.0": {"content": ANSWER, "reasoning_content": THOUGHT},
    "vLLM 0.11.x, both names": {"content": ANSWER, "reasoning": THOUGHT, "reasoning_content": THOUGHT},
    "vLLM 0.16": {"content": ANSWER, "reasoning": THOUGHT},
    "vLLM 0.17, old name again": {
        "content": ANSWER,
        "reasoning": THOUGHT,
        "reasoning_content": THOUGHT,
        "refusal": None,
    },
    "vLLM 0.32, empty old name": {"content": ANSWER, "reasoning": THOUGHT, "reasoning_content": None},
    "no parser": {"content": f"<think>{THOUGHT}</think>{ANSWER}"},
    "no parser, newline first": {"content": f"\n<think>{THOUGHT}</think>{ANSWER}"},
    "no parser, prompt opened the block": {"content": f"{THOUGHT}</think>{ANSWER}"},
    "Magistral": {"content": f"[THINK]{R}[/THINK]{A}"},
    "Seed-OSS": {"content": f"<seed:think>{R}</seed:think>{A}"},
    "Mistral's API": {
        "content": [{"type": "thinking", "thinking": [{"type": "text", "text": R}]}, {"type": "text", "text": A}]
    },
    "parts of text": {"content": [{"type": "text", "text": A[:5]}, {"type": "text", "text": A[5:]}], "reasoning": R},
    "gateway that fills the field and leaves the text": {
        "content": f"<think>{THOUGHT}</think>{ANSWER}",
        "reasoning": R,
    },
}


@pytest.mark.parametrize("message", ERAS.values(), ids=ERAS.keys())
def test_every_era_gives_the_same_two_halves(message):
    assert split(message) == (R, A, Note.NONE)


ODD = {
    "cut off inside the reasoning, parsed": ({"content": None, "reasoning": THOUGHT}, (R, "", Note.REASONING_ONLY)),
    "cut off inside the reasoning, inline": ({"content": f"<think>{THOUGHT}"}, (R, "", Note.HALF_OPEN)),
    "only the opening tag": ({"content": "<think>"}, ("", "", Note.HALF_OPEN)),
    "half-open after some text": ({"content": f"Sure.\n<think>{R}"}, (R, "Sure.\n", Note.HALF_OPEN)),
    "special tokens stripped before the parser looked": (
        {"content": None, "reasoning": THOUGHT + ANSWER},
        ((THOUGHT + ANSWER).strip("\n"), "", Note.REASONING_ONLY),
    ),
    "two names, two texts": (
        {"content": A, "reasoning": "one", "reasoning_content": "two"},
        ("one\n\ntwo", A, Note.TWO_REASONINGS),
    ),
    "empty block, parsed": ({"content": ANSWER, "reasoning": "\n\n"}, ("", A, Note.NONE)),
    "empty block, inline": ({"content": f"<think>\n\n</think>{ANSWER}"}, ("", A, Note.NONE)),
    "no reasoning at all": ({"content": ANSWER}, ("", ANSWER, Note.NONE)),
    "nothing": ({"content": None}, ("", "", Note.NONE)),
    "nothing, no field": ({"role": "assistant"}, ("", "", Note.NONE)),
    "text before the block": ({"content": f"Let me see.\n<think>{R}</think>{A}"}, (R, f"Let me see.\n{A}", Note.NONE)),
    "second closing tag": ({"content": f"<think>{R}</think>a</think>b"}, (R, "a</think>b", Note.TAG_IN_RESPONSE)),
    "second block": (
        {"content": "<think>r</think>a\n<think>s</think>b"},
        ("r", "a\n<think>s</think>b", Note.TAG_IN_RESPONSE),
    ),
    "tag inside the reasoning": ({"content": f"<think>r<think>s</think>{A}"}, ("r<think>s", A, Note.NONE)),
    "an answer about tags": (
        {"content": "R1 writes `<think>` and `</think>` around it."},
        ("", "R1 writes `<think>` and `</think>` around it.", Note.TAG_IN_RESPONSE),
    ),
    "tags of a prompt's own format": (
        {"content": "<reasoning>r</reasoning><answer>a</answer>"},
        ("", "<reasoning>r</reasoning><answer>a</answer>", Note.NONE),
    ),
}


@pytest.mark.parametrize(("message", "expected"), ODD.values(), ids=ODD.keys())
def test_odd_replies_keep_their_text_and_are_noted(message, expected):
    assert split(message) == expected


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"content": None, "reasoning": ANSWER}, ("", A, Note.MOVED)),
        ({"content": "", "reasoning_content": ANSWER}, ("", A, Note.MOVED)),
        ({"content": ANSWER, "reasoning": THOUGHT}, (R, A, Note.NONE)),
        ({"content": ANSWER, "reasoning": None}, ("", ANSWER, Note.NONE)),
    ],
)
def test_with_thinking_off_what_was_filed_as_reasoning_is_the_response(message, expected):
    assert split(message, thinking=False) == expected


@pytest.mark.parametrize("message", [{"content": 3}, {"content": [3]}, {"content": "a", "reasoning": {"text": "b"}}])
def test_an_unreadable_field_is_an_error_and_not_an_empty_text(message):
    with pytest.raises(ValueError, match=r"expected text|a part of"):
        split(message)


plain = st.text().filter(lambda text: "think" not in text.lower())


# No deadlines: they measure the machine, not the code.
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(plain.filter(lambda text: text.strip("\n")), plain, st.sampled_from(sorted(PAIRS)))
def test_nothing_but_tags_and_the_newlines_by_them_is_taken_away(reasoning, response, opening):
    reasoning, response = reasoning.strip("\n"), response.lstrip("\n")
    inline = f"{opening}\n{reasoning}\n{PAIRS[opening]}\n\n{response}"
    assert split({"content": inline}) == (reasoning, response, Note.NONE)
    if response:
        assert split({"content": f"\n\n{response}", "reasoning": f"\n{reasoning}\n"}) == (
            reasoning,
            response,
            Note.NONE,
        )


@pytest.mark.parametrize(
    ("tokens", "reasoning", "n", "lost"),
    [(21, "", 1, True), (21, " \n", 1, True), (21, "12+5", 1, False), (0, "", 1, False), (None, "", 1, False),
     (2, "", 1, False), (3, "", 1, True), (8, "", 4, False), (9, "", 4, True)],
)  # fmt: skip
def test_reasoning_that_was_counted_and_did_not_arrive_is_lost(tokens, reasoning, n, lost):
    usage = {"completion_tokens": 30, "completion_tokens_details": {"reasoning_tokens": tokens}}
    assert lost_reasoning(usage, reasoning, n) is lost


@pytest.mark.parametrize("usage", [None, {}, {"completion_tokens_details": None}])
def test_a_server_that_counts_no_reasoning_raises_no_alarm(usage):
    assert not lost_reasoning(usage, "")


@pytest.mark.parametrize(
    ("params", "thinking"),
    [
        ({}, None),
        ({"chat_template_kwargs": {"enable_thinking": False}}, False),
        ({"chat_template_kwargs": {"enable_thinking": True}}, True),
        ({"chat_template_kwargs": {"thinking": False}}, False),
        ({"chat_template_kwargs": None}, None),
        ({"reasoning_effort": "none"}, False),
        ({"reasoning_effort": "high"}, None),
    ],
)
def test_a_request_says_whether_it_wants_thinking(params, thinking):
    assert Sampling(params).thinking is thinking
