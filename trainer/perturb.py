"""Prompts put a little differently, so that the same answer stays right: always the same change to the same prompt.

Numbers, code, formulas and words of up to three letters (units, names of choices) are never touched.
"""

import random
import re
from collections.abc import Callable
from typing import Any, Literal, get_args

Perturbation = Literal["whitespace", "case", "typos", "polite", "moved"]
PERTURBATIONS: tuple[Perturbation, ...] = get_args(Perturbation)

_KEPT = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`|\$\$.*?\$\$|\$[^$\n]*\$|\\\[.*?\\\]|\\\(.*?\\\)|\\\w+", re.DOTALL)
"""Code, formulas and LaTeX commands."""
_WORD = re.compile(r"(?<![\w.\\{'\u2019-])[^\W\d_]{4,}(?![\w'\u2019-])")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[^\W\d_])")
_TYPO_EVERY, _TYPO_LETTERS_MIN = 6, 5
POLITE = "Hello! Could you please help me with the following? "


def perturb(kind: Perturbation, messages: list[dict[str, Any]], seed: int) -> list[dict[str, Any]] | None:
    """Return the conversation with its last message of a user changed, None where the change has nothing to change."""
    place = max((place for place, message in enumerate(messages) if message.get("role") == "user"), default=None)
    if place is None or not isinstance(messages[place].get("content"), str):
        return None
    if kind == "moved" and (system := _system(messages)):
        merged = messages[place] | {"content": f"{messages[place]['content']}\n\n{system}"}
        return [merged if number == place else message for number, message in enumerate(messages)][1:]
    text = messages[place]["content"]
    changed = _CHANGES[kind](text, random.Random(f"{seed} {kind} {text}"))  # noqa: S311 - to be repeatable, not secret
    if changed is None or changed == text:
        return None
    return [*messages[:place], messages[place] | {"content": changed}, *messages[place + 1 :]]


def _system(messages: list[dict[str, Any]]) -> str:
    first = messages[0]
    return str(first.get("content") or "").strip() if first.get("role") == "system" else ""


def _whitespace(text: str, _: random.Random) -> str:
    """Two spaces where there was one, and blank lines around."""
    return "\n\n" + _outside(text, lambda part: re.sub(r"(?<=\S) (?=\S)", "  ", part)) + " \n"


def _case(text: str, _: random.Random) -> str:
    return _outside(text, lambda part: _WORD.sub(lambda found: found[0].lower(), part))


def _typos(text: str, dice: random.Random) -> str:
    """Swap two inner letters in about every sixth word, in one at least."""
    words = [
        found
        for part in _parts(text)
        for found in _WORD.finditer(text, *part)
        if len(found[0]) >= _TYPO_LETTERS_MIN and len(set(found[0][1:-1])) > 1
    ]
    chosen = dice.sample(words, min(len(words), max(1, len(words) // _TYPO_EVERY)))
    for found in sorted(chosen, key=lambda found: found.start(), reverse=True):
        word = found[0]
        at = dice.choice([at for at in range(1, len(word) - 2) if word[at] != word[at + 1]])
        text = f"{text[: found.start()]}{word[:at]}{word[at + 1]}{word[at]}{word[at + 2 :]}{text[found.end() :]}"
    return text


def _polite(text: str, _: random.Random) -> str:
    return POLITE + text


def _moved(text: str, _: random.Random) -> str | None:
    """Put the last sentence, mostly the question, before all others."""
    if "\n" in text.strip() or _KEPT.search(text):  # lists, code and formulas have an order that means something
        return None
    sentences = _SENTENCE_END.split(text.strip())
    return " ".join([sentences[-1], *sentences[:-1]]) if len(sentences) > 1 else None


_CHANGES: dict[Perturbation, Callable[[str, random.Random], str | None]] = {
    "whitespace": _whitespace,
    "case": _case,
    "typos": _typos,
    "polite": _polite,
    "moved": _moved,
}


def _parts(text: str) -> list[tuple[int, int]]:
    """Return where the plain text is, between what is never touched."""
    ends = [0, *(end for found in _KEPT.finditer(text) for end in found.span()), len(text)]
    return list(zip(ends[::2], ends[1::2], strict=True))


def _outside(text: str, change: Callable[[str], str]) -> str:
    parts, done = [], 0
    for start, end in _parts(text):
        parts += [text[done:start], change(text[start:end])]
        done = end
    return "".join(parts)
