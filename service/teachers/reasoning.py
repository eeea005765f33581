"""Taking a reply apart: reasoning here, response there, whatever the server's era or parser did to them."""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple


class Note(StrEnum):
    """What was odd about a reply. Stable codes, kept beside the trace."""

    NONE = ""
    HALF_OPEN = "half_open"
    """An opening tag without its closing one: cut off while reasoning, so all of it is reasoning."""
    REASONING_ONLY = "reasoning_only"
    """The server filed everything as reasoning. Cut off, or its parser never saw the closing tag (vLLM strips tokens
    marked `special` before it looks): where the response begins cannot be told, so nothing is moved."""
    MOVED = "moved"
    """Thinking was off, yet the parser filed the answer as reasoning (vLLM #19222, #30139): it is the response."""
    TWO_REASONINGS = "two_reasonings"
    """`reasoning` and `reasoning_content` differed; both are kept, a blank line between them."""
    TAG_IN_RESPONSE = "tag_in_response"
    """A thinking tag is left in the response: a second block, a stray closing tag, or an answer about tags."""
    LOST_REASONING = "lost_reasoning"
    """The server counted reasoning tokens and sent no reasoning. Set by the caller, who knows the usage."""


class Split(NamedTuple):
    """The two halves of a reply and what was odd about it."""

    reasoning: str
    response: str
    note: Note


PAIRS = {
    "<think>": "</think>",
    "[THINK]": "[/THINK]",
    "<seed:think>": "</seed:think>",
    "<mm:think>": "</mm:think>",
    "<|START_THINKING|>": "<|END_THINKING|>",
}
"""Tags that chat templates of released models write (Qwen, DeepSeek, GLM, …; Magistral; Seed-OSS; MiniMax; Cohere), so
that they can only mean reasoning. `<reasoning>`, `<thought>` and `<thinking>` are left alone: prompts ask for those as
an output format, hence they are part of the response."""

EMPTY_BLOCK_TOKENS = 2
r"""The newlines of an empty block, `<think>\n\n</think>`, count as reasoning in vLLM: one or two tokens, no loss."""

_OPENINGS = "|".join(map(re.escape, PAIRS))
# At the start of a line: an answer that explains `<think>` in the middle of a sentence is not torn apart.
_BLOCK = re.compile(rf"^[ \t]*({_OPENINGS})", re.MULTILINE)
_CLOSING = re.compile("|".join(map(re.escape, PAIRS.values())))
_ANY = re.compile(f"{_OPENINGS}|{_CLOSING.pattern}")


def split(message: Mapping[str, Any], *, thinking: bool | None = None) -> Split:
    """Return reasoning, response and note of a chat message as any OpenAI-compatible server sends it.

    `thinking` is what the request asked for (`Sampling.thinking`). Text is kept byte for byte but for two things: the
    tags themselves, and the newlines next to them, that is `\\n` at both ends of the reasoning and at the start of a
    response that follows reasoning; templates write those. Raises ValueError where a field has no readable shape.
    """
    content, thoughts = _text(message.get("content"))
    reasoning, note = _given_reasoning(message, thoughts)
    inline = _split_inline(content)
    if not reasoning.strip("\n"):
        # An empty block, `<think>\n\n</think>`, leaves newlines behind in both fields.
        return inline._replace(response=inline.response.lstrip("\n")) if reasoning else inline
    if not content and thinking is False:
        return Split("", reasoning.lstrip("\n"), Note.MOVED)
    if not content:
        return Split(reasoning.strip("\n"), "", note or Note.REASONING_ONLY)
    if inline.reasoning == reasoning.strip("\n"):
        # A gateway that fills the field and leaves the text as it was.
        content = inline.response
    return Split(reasoning.strip("\n"), content.lstrip("\n"), note or _left_over(content))


def lost_reasoning(usage: Mapping[str, Any] | None, reasoning: str, n: int = 1) -> bool:
    """Return whether a reply's `usage` counts reasoning tokens of which no text arrived.

    `usage` sums over the n choices of a request, so `reasoning` is the reasoning of all of them, joined.
    """
    return not reasoning.strip() and (reasoning_tokens(usage) or 0) > EMPTY_BLOCK_TOKENS * n


def reasoning_tokens(usage: Mapping[str, Any] | None) -> int | None:
    """Return the reasoning tokens that `usage` tells, None where it tells none."""
    details = (usage or {}).get("completion_tokens_details")
    count = details.get("reasoning_tokens") if isinstance(details, dict) else None
    return count if isinstance(count, int) else None


def _given_reasoning(message: Mapping[str, Any], thoughts: str) -> tuple[str, Note]:
    """Return what the server set apart: vLLM ≤ 0.11 in `reasoning_content`, since 0.16 `reasoning`, at times both."""
    fields = message.get("reasoning"), message.get("reasoning_content")
    found = [field if isinstance(field, str) else _text(field)[0] for field in fields if field]
    if not thoughts and len(found) <= 1:
        return found[0] if found else "", Note.NONE
    distinct = [text for text in dict.fromkeys((*found, thoughts)) if text]
    return "\n\n".join(distinct), Note.TWO_REASONINGS if len(distinct) > 1 else Note.NONE


def _split_inline(text: str) -> Split:
    """Split a text in which the reasoning still stands between tags; without tags all of it is the response."""
    if not _may_hold_tags(text):
        return Split("", text, Note.NONE)
    opening, closing = _BLOCK.search(text), _CLOSING.search(text)
    if closing and (not opening or closing.start() < opening.start()) and not _mentions(text, closing.start()):
        # The prompt opened the block, as in DeepSeek-R1's template: only the closing tag is part of the reply.
        return _parts("", text[: closing.start()], text[closing.end() :])
    if not opening:
        return Split("", text, _left_over(text))
    before = text[: opening.start()]
    rest = text[opening.end() :]
    reasoning, found, response = rest.partition(PAIRS[opening.group(1)])
    if not found:
        return Split(reasoning.strip("\n"), before if before.strip() else "", Note.HALF_OPEN)
    return _parts(before, reasoning, response)


def _parts(before: str, reasoning: str, after: str) -> Split:
    response = (before if before.strip() else "") + after.lstrip("\n")
    return Split(reasoning.strip("\n"), response, _left_over(response))


def _mentions(text: str, closing_at: int) -> bool:
    """Return whether an opening tag inside a line comes before the closing one: then the text speaks about tags."""
    return _ANY.search(text, 0, closing_at) is not None


def _left_over(response: str) -> Note:
    return Note.TAG_IN_RESPONSE if _may_hold_tags(response) and _ANY.search(response) else Note.NONE


def _may_hold_tags(text: str) -> bool:
    """Return False where no tag can be: a hundred times cheaper than the patterns, and true of nearly every reply."""
    return "think>" in text or "THINK" in text


def _text(value: Any) -> tuple[str, str]:
    """Return (text, thinking) of a field: a string, null, or a list of parts as in OpenAI's and Mistral's APIs."""
    if value is None or isinstance(value, str):
        return value or "", ""
    if not isinstance(value, list):
        raise ValueError(f"expected text, null or a list of parts, found {type(value).__name__}")
    text, thinking = [], []
    for part in value:
        if isinstance(part, str):
            text.append(part)
        elif isinstance(part, Mapping) and part.get("type") in {"thinking", "reasoning"}:
            thinking.append("".join(_text(part.get("thinking", part.get("text")))))
        elif isinstance(part, Mapping):
            text.append(_text(part.get("text"))[0])
        else:
            raise ValueError(f"a part of the content is {type(part).__name__}")
    return "".join(text), "".join(thinking)
