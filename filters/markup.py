"""Parts of a Markdown text: fenced code, formulas and prose. Linear time, for text from a model."""

import re
from typing import NamedTuple

_FENCE = re.compile(r"[ \t]{0,12}(?:>[ ]?){0,3}(`{3,}|~{3,})(.*)")
_MATHS = re.compile(r"(?<!\\)(\$\$|\$|\\\(|\\\)|\\\[|\\\])")
_CLOSES = {"$$": "$$", "$": "$", r"\(": r"\)", r"\[": r"\]"}
_FORMULA_CHARS_MAX = 5000
"""A dollar sign with none so far after it is money."""


class Code(NamedTuple):
    """A fenced block: what its fence says of it, and its lines."""

    info: str
    text: str


class Parts(NamedTuple):
    """A text taken apart."""

    prose: str
    """All outside fences, formulas and inline code among it."""
    blocks: list[Code]
    open: bool
    """The last fence was never closed; its block goes to the end of the text."""


def parts(text: str) -> Parts:
    """Take a text apart at its fences, as CommonMark closes them: by as many of the same sign, alone on a line."""
    prose: list[str] = []
    blocks: list[Code] = []
    inside: list[str] = []
    fence, info = "", ""
    for line in text.splitlines():
        found = _FENCE.match(line)
        if fence:
            if found and found[1].startswith(fence) and not found[2].strip():
                blocks.append(Code(info, "\n".join(inside)))
                fence, inside = "", []
            else:
                inside.append(line)
        elif found and not (found[1][0] == "`" and "`" in found[2]):
            fence, info = found[1], found[2].strip()
        else:
            prose.append(line)
    if fence:
        blocks.append(Code(info, "\n".join(inside)))
    return Parts("\n".join(prose), blocks, bool(fence))


def without_formulas(prose: str) -> str:
    """Return prose without formulas, inline code, commands and addresses: what is left is written in a language."""
    kept: list[str] = []
    place, opened = 0, None
    for found in _MATHS.finditer(prose):
        if opened is None:
            if found[1] in _CLOSES:
                opened = found
        elif found.start() - opened.start() > _FORMULA_CHARS_MAX:
            opened = found if found[1] in _CLOSES else None
        elif found[1] == _CLOSES[opened[1]]:
            kept.append(prose[place : opened.start()])
            place, opened = found.end(), None
    kept.append(prose[place:])
    return _NOT_PROSE.sub(" ", " ".join(kept))


_NOT_PROSE = re.compile(r"`[^`\n]{1,500}`|\\[A-Za-z]{1,40}|https?://\S{1,500}|</?[A-Za-z][^<>\n]{0,200}>")
