"""Rewriting traces: how a teacher is asked for a shorter reasoning, and what of its reply may stand for the old one."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

INSTRUCTION = """\
Below are a question, the reasoning that led to its answer, and the answer. Write the reasoning anew, as short as it \
can be while it still leads to this answer.

- Keep every step that the answer rests on, in its order, with numbers, formulas, names and code exactly as they stand.
- Leave out what changes nothing: repetitions, detours, doubts, checks, remarks about the task or about yourself. Of a \
mistake that is corrected later keep only the correction.
- Add no step, fact or number that the reasoning does not have, and end with the result that the answer gives.
- Write in the language of the reasoning, as the one who thinks it.

Reply with the new reasoning and nothing else."""
"""What `compact` asks where nobody gave another instruction."""

ASK = """\
{instruction}

<question>
{question}
</question>

<reasoning>
{reasoning}
</reasoning>

<answer>
{response}
</answer>"""

SHARE_KNOWN_MIN = 0.5
"""Share of a rewrite's words that question, reasoning or answer must have: measured on nothing but common sense, it
keeps apologies and replies to something else out; a shorter text says what it says in the words of the longer one."""
LETTERS_MIN = 4
"""Shorter words are in every text."""
LETTERS_MAX = 24
"""No word is longer; runs of letters that are belong to a script without spaces."""
_WORD = re.compile(r"\d+|[^\W\d_]+")
_FIRST_IDEOGRAPH = "\u2e80"


class Kind(StrEnum):
    COMPACT = "compact"
    """A teacher writes the reasoning anew and shorter; the response stays."""
    ANSWER_ONLY = "answer_only"
    """The reasoning is left out: the control without it. Nobody is asked."""


@dataclass(frozen=True, slots=True)
class Unusable:
    """Why a reply cannot stand for the old reasoning: a stable word, and what was seen."""

    reason: str
    detail: str = ""


def ask(
    messages: Sequence[Mapping[str, Any]], reasoning: str, response: str, instruction: str | None
) -> list[dict[str, Any]]:
    """Return the chat messages that ask a teacher to write a reasoning anew."""
    parts = {"question": question(messages), "reasoning": reasoning.strip("\n"), "response": response.strip("\n")}
    text = ASK.format(instruction=(instruction or INSTRUCTION).strip(), **parts)
    return [{"role": "user", "content": text}]


def question(messages: Sequence[Mapping[str, Any]]) -> str:
    """Return the text of a prompt; of a conversation each message under its role."""
    texts = [(str(message.get("role", "")), _text(message.get("content"))) for message in messages]
    if len(texts) == 1:
        return texts[0][1]
    return "\n\n".join(f"{role}:\n{text}" for role, text in texts)


def read(
    reply: str, finish_reason: str, *, messages: Sequence[Mapping[str, Any]], old: str, response: str, share_max: float
) -> str | Unusable:
    """Return the reasoning that a teacher wrote anew, or why it cannot stand for the `old` one.

    Unusable is what is `empty`, `truncated`, `not_shorter` (more than `share_max` of the old one's characters) or
    `unrelated`. Whether its steps hold and lead to the response is for the recipe to judge.
    """
    new = _unwrapped(reply)
    if finish_reason == "length":
        return Unusable("truncated", "the teacher hit its token limit")
    if not new:
        return Unusable("empty", "the teacher wrote nothing")
    before, after = len(old.strip()), len(new)
    if after > share_max * before:
        return Unusable("not_shorter", f"{after:,} characters, {before:,} before: more than {share_max:.0%}")
    known = _words("\n".join((question(messages), old, response)))
    own = _words(new)
    if len(own & known) < SHARE_KNOWN_MIN * len(own):
        return Unusable("unrelated", f"{len(own - known)} of its {len(own)} words are not in the original: {new[:200]}")
    return new


def _unwrapped(reply: str) -> str:
    """Return a reply without the tags that it may have repeated from the question."""
    text = reply.strip()
    return text.removeprefix("<reasoning>").removesuffix("</reasoning>").strip()


def _words(text: str) -> set[str]:
    """Return the numbers and longer words of a text; where a script has no spaces, its letters."""
    found = set()
    for word in _WORD.findall(text.casefold()):
        if word[0] >= _FIRST_IDEOGRAPH or len(word) > LETTERS_MAX:
            found.update(word)
        elif word[0].isdigit() or len(word) >= LETTERS_MIN:
            found.add(word)
    return found


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "\n".join(str(part.get("text") or "") for part in content if isinstance(part, dict))
    return str(content or "")
