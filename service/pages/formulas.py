"""Formulas: LaTeX as MathML, which browsers draw without a script.

The library is asked for a tree, never for text: its text has what stood inside `\\text{…}` unescaped. What goes out is
written here, from tags and attributes that can neither load nor run nor cover anything.
"""

import html
import re
from xml.etree.ElementTree import Element

from latex2mathml.converter import Converter

FORMULA_CHARS_MAX = 1_000
"""Of one formula; a longer one is shown as it was written, and so is what the library cannot read."""
DEPTH_MAX = 40
ELEMENTS_MAX = 3_000
_MACROS = re.compile(r"\\(?:(?:re)?newcommand|providecommand|[gex]?def|let|newenvironment|DeclareMathOperator)\b")
"""A macro that doubles itself a few times fills the memory from one line."""
_TAGS = frozenset(
    "math mrow mi mn mo ms mtext mspace mfrac msqrt mroot mstyle menclose mpadded mphantom mfenced msub msup msubsup "  # noqa: SIM905  one a line says no more
    "munder mover munderover mmultiscripts mprescripts none mtable mtr mtd mlabeledtr merror".split()
)
_WORDS = {
    name: re.compile(r"[a-zA-Z0-9 .#-]{1,40}")
    for name in (
        [
            "display",
            "displaystyle",
            "scriptlevel",
            "mathvariant",
            "stretchy",
            "fence",
            "separator",
            "form",
            "accent",
            "accentunder",
            "movablelimits",
            "notation",
            "columnalign",
            "rowalign",
            "columnlines",
            "rowlines",
            "linethickness",
            "open",
            "close",
            "symmetric",
            "largeop",
        ]
    )
}
_ATTRIBUTES = _WORDS | {
    "width": re.compile(r"-?\d?(\.\d+)?em"),
    "mathcolor": re.compile(r"[a-zA-Z]{1,20}|#[0-9a-fA-F]{3,6}"),
}
"""Names and the values that are let through; `href`, `style`, `class` and sizes without bound are not among them."""


def mathml(latex: str, *, block: bool = False) -> str | None:
    """Return a formula as MathML; None where it is better shown as it was written."""
    if len(latex) > FORMULA_CHARS_MAX or _MACROS.search(latex) or _depth(latex) > DEPTH_MAX:
        return None
    try:
        tree = Converter(display="block" if block else "inline").convert_to_element(latex)
        if sum(1 for _ in tree.iter()) > ELEMENTS_MAX:
            return None
        return "".join(_written(tree))
    except Exception:  # noqa: BLE001  whatever a model wrote: the library raises IndexError, KeyError, RecursionError, …
        return None


def _depth(latex: str) -> int:
    deepest = depth = 0
    for sign in latex:
        depth += (sign in "{[^_") - (sign in "}]")
        deepest = max(deepest, depth)
    return deepest


def _written(element: Element) -> list[str]:
    if element.tag not in _TAGS:
        raise ValueError(f"the tag {element.tag} is not let through")
    given = [
        f' {name}="{value}"'
        for name, value in element.attrib.items()
        if name in _ATTRIBUTES and _ATTRIBUTES[name].fullmatch(value)
    ]
    parts = [f"<{element.tag}{''.join(given)}>", _text(element.text)]
    for child in element:
        parts += [*_written(child), _text(child.tail)]
    return [*parts, f"</{element.tag}>"]


def _text(text: str | None) -> str:
    # Its signs come as references such as `&#x0003C;`.
    return html.escape(html.unescape(text or ""))
