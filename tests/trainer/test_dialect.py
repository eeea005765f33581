"""How a template writes reasoning is found by asking it, and replies are split the same way."""

from pathlib import Path
from typing import Any

import pytest

from tests.trainer.tiny import TEMPLATE
from trainer.base import load_tokenizer
from trainer.dialect import Dialect, find_dialect
from trainer.errors import TrainerError

QUESTION = {"role": "user", "content": "1 + 1?"}
THINKING_PROMPT = TEMPLATE.replace(
    "'<|im_start|>assistant\\n' }}{% endif %}", "'<|im_start|>assistant\\n<think>\\n' }}{% endif %}"
)
"""A generation prompt that opens the reasoning itself, as Qwen3.5's and R1's do."""
HARMONY = """\
{%- for message in messages %}
{%- if message.role == 'assistant' %}
{%- if message.thinking %}
{{- '<|start|>assistant<|channel|>analysis<|message|>' + message.thinking + '<|end|>' }}
{%- endif %}
{{- '<|start|>assistant<|channel|>final<|message|>' + message.content + '<|return|>' }}
{%- else %}{{- '<|start|>' + message.role + '<|message|>' + message.content + '<|end|>' }}{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|start|>assistant' }}{% endif %}"""
NO_THINKING = TEMPLATE.replace("message.KEY", "false").replace("+ false +", "+")
DROPS_INLINE = NO_THINKING.replace(
    "message.content + '<|im_end|>", "message.content.split('</think>')[-1] + '<|im_end|>"
)


def tokenizer_with(student: Path, template: str) -> Any:
    tokenizer = load_tokenizer(student)
    tokenizer.chat_template = template
    return tokenizer


@pytest.mark.parametrize(
    ("template", "key", "opener", "closer"),
    [
        (TEMPLATE.replace("KEY", "reasoning_content"), "reasoning_content", "<think>", "</think>"),
        (TEMPLATE.replace("KEY", "thinking"), "thinking", "<think>", "</think>"),
        (TEMPLATE.replace("KEY", "reasoning"), "reasoning", "<think>", "</think>"),
        (NO_THINKING, "content", "<think>", "</think>"),
        (THINKING_PROMPT.replace("KEY", "reasoning_content"), "reasoning_content", "", "</think>"),
        (HARMONY, "thinking", "<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
    ],
)
def test_the_key_that_survives_is_taken(student: Path, template: str, key: str, opener: str, closer: str) -> None:
    tokenizer = tokenizer_with(student, template)
    dialect = find_dialect(tokenizer, "cot")
    assert (dialect.key, dialect.opener.strip(), dialect.closer.strip()) == (key, opener, closer)
    prompt = dialect.render(tokenizer, [QUESTION], prompt=True)
    text = dialect.render(tokenizer, [QUESTION, dialect.message("One and one.", "Two.")])
    reply = text.removeprefix(prompt).removesuffix("<|im_end|>\n").removesuffix("<|return|>")
    assert dialect.split(reply) == ("One and one.", "Two.")


def test_a_template_that_drops_reasoning_is_refused(student: Path) -> None:
    with pytest.raises(TrainerError) as refused:
        find_dialect(tokenizer_with(student, DROPS_INLINE), "cot")
    assert refused.value.reason == "template_drops_reasoning"
    assert "answer_only" in str(refused.value)


def test_answer_only_writes_no_reasoning_and_turns_thinking_off(student: Path) -> None:
    dialect = find_dialect(tokenizer_with(student, DROPS_INLINE), "answer_only")
    assert dialect.message("First this.", "Two.") == {"role": "assistant", "content": "Two."}
    assert dialect.template_kwargs == {"enable_thinking": False}


OPENED_BY_REPLY = Dialect("reasoning_content", "<think>\n", "\n</think>\n\n", {})
OPENED_BY_PROMPT = Dialect("reasoning_content", "", "\n</think>\n\n", {})
SILENT = Dialect(None, "<think>\n", "\n</think>\n\n", {})


@pytest.mark.parametrize(
    ("dialect", "reply", "reasoning", "response"),
    [
        (OPENED_BY_REPLY, "<think>\nso\n</think>\n\n2", "so", "2"),
        (OPENED_BY_REPLY, "2", "", "2"),
        (OPENED_BY_REPLY, "<think>\nso and so on", "so and so on", ""),
        (OPENED_BY_REPLY, "so\n</think>\n\n2", "so", "2"),
        (OPENED_BY_REPLY, "<think>\nso\n</think>\n\n2 </think> 3", "so", "2 </think> 3"),
        (OPENED_BY_REPLY, "<think>\n\n</think>\n\n2", "", "2"),
        (OPENED_BY_REPLY, "", "", ""),
        (OPENED_BY_PROMPT, "so\n</think>\n\n2", "so", "2"),
        (OPENED_BY_PROMPT, "so and so on", "so and so on", ""),
        (SILENT, "2", "", "2"),
        (SILENT, "<think>\nso", "so", ""),
    ],
)
def test_a_reply_is_split_into_reasoning_and_response(
    dialect: Dialect, reply: str, reasoning: str, response: str
) -> None:
    assert dialect.split(reply) == (reasoning, response)
