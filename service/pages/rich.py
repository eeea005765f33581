"""Text of models as a person reads it: Markdown, formulas and code, made into HTML on the server.

Nothing of it can load or run: HTML in the text is text, a link leads out only over http(s) and takes no referrer along,
an image is named and not fetched. What is very long is shown as it was written.
"""

import html
from collections.abc import MutableMapping, Sequence
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from markupsafe import Markup
from mdit_py_plugins.dollarmath import dollarmath_plugin
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name

from service.pages.formulas import FORMULA_CHARS_MAX, mathml

TEXT_CHARS_MAX = 30_000
"""A longer text is shown as it was written: to read it as Markdown would take longer than the page may."""
MATH_CHARS_MAX, CODE_CHARS_MAX = 10_000, 10_000
"""Of all formulas and all coloured code of one text; what comes after is shown as it was written."""
LANGUAGES = frozenset(
    "bash c c++ cpp cs csharp css diff go html javascript js json kotlin lua php py python python3 r ruby rust sh sql "  # noqa: SIM905
    "toml ts typescript xml yaml".split()
)
"""Whose code is coloured: what models write, by lexers that stay fast whatever they are given. Java's does not: it took
four seconds for 9 KB of `a a a`."""
_BRACKETS = {"\\(": "\\)", "\\[": "\\]"}
_LINK = {"rel": "noreferrer noopener nofollow", "target": "_blank"}


def rich(text: str) -> Markup:
    """Return the text as HTML; every caller gets markup that is safe to put into a page."""
    if len(text) > TEXT_CHARS_MAX:
        return Markup('<div class="text">{}</div>').format(text)
    env: dict[str, int] = {"math": MATH_CHARS_MAX, "code": CODE_CHARS_MAX}
    return Markup(_markdown.render(text, env))  # noqa: S704  the renderer escapes all that it did not write itself


def _math(self: Any, tokens: Sequence[Token], index: int, _options: Any, env: MutableMapping[str, Any]) -> str:
    token = tokens[index]
    block = token.type in ("math_block", "math_block_label", "math_inline_double")
    drawn = None
    if len(token.content) <= env["math"]:
        env["math"] -= len(token.content)
        drawn = mathml(token.content.strip(), block=block)
    if drawn is None:
        drawn = f"<code>{html.escape(token.content)}</code>"
    return f'<div class="formula">{drawn}</div>' if block else drawn


def _code(self: Any, tokens: Sequence[Token], index: int, _options: Any, env: MutableMapping[str, Any]) -> str:
    token = tokens[index]
    language = token.info.split()[0].lower() if token.info.strip() else ""
    if language not in LANGUAGES or len(token.content) > env["code"]:
        return f"<pre><code>{html.escape(token.content)}</code></pre>\n"
    env["code"] -= len(token.content)
    return f"<pre><code>{highlight(token.content, get_lexer_by_name(language), _formatter)}</code></pre>\n"


def _image(self: Any, tokens: Sequence[Token], index: int, _options: Any, _env: Any) -> str:
    token = tokens[index]
    return f'<span class="image">[image: {html.escape(token.content or str(token.attrs.get("src", "")))}]</span>'


def _link(self: Any, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    for name, value in _LINK.items():
        tokens[index].attrSet(name, value)
    return self.renderToken(tokens, index, options, env)


def _leads_out(url: str) -> bool:
    return url.lower().startswith(("https://", "http://"))


def _in_brackets(state: StateInline, silent: bool) -> bool:
    r"""Read `\(…\)`, `\[…\]` and a bare `\boxed{…}`; only so far as a formula may be long."""
    start, text = state.pos, state.src
    opened = text[start : start + 2]
    if opened in _BRACKETS:
        end = text.find(_BRACKETS[opened], start + 2, min(state.posMax, start + 4 + FORMULA_CHARS_MAX))
        content, after = text[start + 2 : end], end + 2
    elif text.startswith("\\boxed{", start):
        after = end = _closing(text, start + 6, min(state.posMax, start + FORMULA_CHARS_MAX))
        content = text[start:after]
    else:
        return False
    if end < 0:
        return False
    if not silent:
        token = state.push("math_inline_double" if opened == "\\[" else "math_inline", "math", 0)
        token.content = content
    state.pos = after
    return True


def _closing(text: str, opened: int, last: int) -> int:
    """Return the place after the brace that closes the one at `opened`, -1 without."""
    depth = 0
    for place in range(opened, last):
        depth += (text[place] == "{") - (text[place] == "}")
        if depth == 0:
            return place + 1
    return -1


def _block_in_brackets(state: StateBlock, first: int, last: int, silent: bool) -> bool:
    r"""Read a `\[` that begins a line, whatever its lines would mean as Markdown, up to the line that ends in `\]`."""
    start = state.bMarks[first] + state.tShift[first]
    if state.is_code_block(first) or not state.src.startswith("\\[", start):
        return False
    end = state.src.find("\\]", start, min(state.eMarks[last - 1], start + 4 + FORMULA_CHARS_MAX))
    line = next((line for line in range(first, last) if state.eMarks[line] >= end + 2), last) if end >= 0 else last
    if line == last or state.src[end + 2 : state.eMarks[line]].strip(" .,;"):
        return False
    if not silent:
        token = state.push("math_block", "math", 0)
        token.content, token.map, token.block = state.src[start + 2 : end], [first, line + 1], True
        state.line = line + 1
    return True


def _reader() -> MarkdownIt:
    reader = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable(["table", "strikethrough"])
    reader.use(dollarmath_plugin, allow_labels=False, allow_space=False, allow_digits=False, double_inline=True)
    reader.inline.ruler.before("escape", "math_in_brackets", _in_brackets)
    interrupts = ["paragraph", "reference", "blockquote", "list"]
    reader.block.ruler.before("fence", "math_block_in_brackets", _block_in_brackets, {"alt": interrupts})
    reader.validateLink = _leads_out
    for kind in ("math_inline", "math_inline_double", "math_block", "math_block_label"):
        reader.add_render_rule(kind, _math)
    for kind in ("fence", "code_block"):
        reader.add_render_rule(kind, _code)
    reader.add_render_rule("image", _image)
    reader.add_render_rule("link_open", _link)
    return reader


_formatter = HtmlFormatter(nowrap=True, classprefix="hl-")
_markdown = _reader()
