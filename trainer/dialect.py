"""How a student's chat template writes reasoning: found by asking the template, not by knowing its name."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from trainer.errors import TrainerError

Completion = Literal["cot", "answer_only"]

INLINE = "content"
KEYS = ("reasoning_content", "thinking", "reasoning", INLINE)
"""Under which key templates look for reasoning: Qwen3, GLM-4 and Nemotron; GPT-OSS and LFM2; DiffusionGemma; and those
that know no key but keep a `<think>` block within the content (DeepSeek-V3)."""

EXPORTED = KEYS[0]
"""The name under which a dataset version's folder holds reasoning."""

_REASONING, _RESPONSE = "First this.", "Then that."
"""A probe: whatever a template does with text, it keeps a plain sentence, or it keeps nothing."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """One student's way to write a reply with reasoning."""

    key: str | None
    """Of the message; `content` for a `<think>` block inside it, None where no reasoning is written."""
    opener: str
    """What stands before the reasoning in a reply; empty where the prompt itself ends with it."""
    closer: str
    """What stands between reasoning and response."""
    template_kwargs: dict[str, Any]

    def message(self, reasoning: str | None, response: str) -> dict[str, Any]:
        """Return the assistant's message as the template wants it."""
        message = {"role": "assistant", "content": response}
        if not reasoning or self.key is None:
            return message
        if self.key == INLINE:
            return message | {"content": f"<think>\n{reasoning}\n</think>\n\n{response}"}
        return message | {self.key: reasoning}

    def render(self, tokenizer: Any, messages: Sequence[dict[str, Any]], *, prompt: bool = False) -> str:
        """Return the text of a conversation, or of a prompt up to where the reply begins."""
        return tokenizer.apply_chat_template(
            list(messages), tokenize=False, add_generation_prompt=prompt, **self.template_kwargs
        )

    def split(self, reply: str) -> tuple[str, str]:
        """Return reasoning and response of a reply. What never ends its reasoning has no response."""
        opener, closer = self.opener.strip(), self.closer.strip()
        if closer and closer in reply:
            reasoning, response = reply.split(closer, 1)
        elif (self.key is not None and not opener) or (opener and opener in reply):
            reasoning, response = reply, ""
        else:
            reasoning, response = "", reply
        if opener:
            reasoning = reasoning.replace(opener, "", 1)
        return reasoning.strip(), response.strip()


def find_dialect(tokenizer: Any, completion: Completion) -> Dialect:
    """Try each key on the template and take the first whose reasoning survives.

    Raises TrainerError: `template_drops_reasoning`, if reasoning is to be taught and none survives.
    """
    if completion == "answer_only":
        # Templates that can think put an empty block into the prompt then, where it is no part of what is learnt.
        known = _probe(tokenizer, {"enable_thinking": True})
        opener, closer = (known.opener or "<think>", known.closer) if known else ("<think>", "</think>")
        return Dialect(None, opener, closer, {"enable_thinking": False})
    found = _probe(tokenizer, {"enable_thinking": True})
    if found is None:
        raise TrainerError(
            "template_drops_reasoning",
            "the student's chat template drops reasoning under every name tried "
            f"({', '.join(KEYS[:-1])}, <think> in the content). Give `chat_template` a Jinja file that keeps it, or "
            "train with completion = answer_only",
        )
    return found


def _probe(tokenizer: Any, template_kwargs: dict[str, Any]) -> Dialect | None:
    from jinja2 import TemplateError

    question = {"role": "user", "content": "Why?"}
    for key in KEYS:
        dialect = Dialect(key, "", "", template_kwargs)
        try:
            prompt = dialect.render(tokenizer, [question], prompt=True)
            text = dialect.render(tokenizer, [question, dialect.message(_REASONING, _RESPONSE)])
        except TemplateError:  # some refuse a message with what they do not know
            continue
        start, end = text.find(_REASONING), text.find(_RESPONSE)
        if 0 <= start < end:
            begin = len(prompt) if text.startswith(prompt) else start
            return Dialect(key, text[begin:start], text[start + len(_REASONING) : end], template_kwargs)
    return None
