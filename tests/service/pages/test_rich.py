"""Text of models as HTML: what is drawn, and that nothing in it can load, run or take long."""

import re
import time

import pytest

from service.pages.formulas import FORMULA_CHARS_MAX, mathml
from service.pages.rich import TEXT_CHARS_MAX, rich

ALLOWED = re.compile(
    r"</?(?:p|h[1-6]|ul|ol|li|strong|em|s|code|pre|blockquote|hr|br|table|thead|tbody|tr|th|td|div|span|a|math|m[a-z]+)"
    r"(?: (?:class|display|title|start|rel|target|mathvariant|stretchy|fence|notation|accent|columnalign|form|separator"
    r"|linethickness|mathcolor|movablelimits|displaystyle|scriptlevel|largeop|symmetric)=\"[^\"<>]*\""
    r"| href=\"https?://[^\"<>]*\"| style=\"text-align:(?:left|right|center)\")* ?/?>"
)


@pytest.mark.parametrize(
    ("text", "drawn"),
    [
        ("**bold**", "<strong>bold</strong>"),
        ("# Title", "<h1>Title</h1>"),
        ("one\ntwo", "one<br />"),
        ("| a | b |\n|---|---|\n| 1 | 2 |", "<td>1</td>"),
        ("costs $5 and $6", "costs $5 and $6"),
        (r"so $\frac{1}{2}$", "<mfrac><mrow><mn>1</mn></mrow><mrow><mn>2</mn></mrow></mfrac>"),
        (r"so \(a_1*b*c\)", "<msub><mi>a</mi><mn>1</mn></msub>"),
        (r"so \[x^2\] it is", '<math display="block">'),
        ("\\[\nx\n- 3 = 5\n\\]", "<mo>\N{MINUS SIGN}</mo><mn>3</mn>"),
        ("$$\nx\n$$", '<math display="block">'),
        (r"\boxed{\frac{3}{4}}", '<menclose notation="box"><mrow><mfrac>'),
        (r"\boxed{never closed", r"\boxed{never closed"),
        (r"\(never closed", "(never closed"),
        (r"$\text{a < b}$", "<mtext>a\N{NO-BREAK SPACE}&lt;\N{NO-BREAK SPACE}b</mtext>"),
        ("```python\nreturn 1\n```", '<span class="hl-k">return</span>'),
        ("```nolanguage\n<b>\n```", "<code>&lt;b&gt;"),
        ("![cat](https://example.org/c.png)", "[image: cat]"),
        ("[here](https://example.org/a)", '<a href="https://example.org/a" rel="noreferrer noopener nofollow"'),
    ],
)
def test_what_is_written_is_drawn(text, drawn):
    assert drawn in rich(text)


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[a](javascript:alert(1))",
        "[a](JaVaScRiPt:alert(1))",
        "[a](data:text/html,<script>alert(1)</script>)",
        "[a](//evil.example)",
        "[a](/traces)",
        "<javascript:alert(1)>",
        '[a](https://x "\\" onmouseover=alert(1)")',
        '[a](https://x/"onmouseover=alert(1))',
        "![a](https://evil.example/beacon.png)",
        "![a](x){onerror=alert(1)}",
        "[r]: javascript:alert(1)\n\n[r]",
        r"$\text{<script>alert(1)</script>}$",
        r"$\text{<img src=x onerror=alert(1)>}$",
        r"$\href{javascript:alert(1)}{x}$",
        r"$\style{position:fixed;inset:0}{x}$",
        r"$\class{skip}{x}$",
        r'$\color{red" onclick="alert(1)}{x}$',
        r"$\operatorname{<script>alert(1)</script>}$",
        r"$\begin{array}{c}<script>\end{array}$",
        '```python" onmouseover="alert(1)\nx\n```',
        "```html\n<script>alert(1)</script>\n```",
        "| a |\n|:-:|\n| <script>alert(1)</script> |",
        "&lt;script&gt;alert(1)&lt;/script&gt;",
        "\0<script>\0",
    ],
)
def test_nothing_gets_through_that_loads_or_runs(text):
    left = ALLOWED.sub("", rich(text))
    assert not re.search(r"<|javascript:alert\(1\)\"", left), left


@pytest.mark.parametrize(
    "latex",
    [
        "{" * 400 + "}" * 400,
        r"\frac{" * 100 + "x" + "}{y}" * 100,
        "x" * (FORMULA_CHARS_MAX + 1),
        r"\newcommand{\a}{\b\b}\a",
        r"\def\a{\a\a}\a",
        r"\left(",
        "}{",
        r"a^b^c",
        r"\sqrt",
    ],
)
def test_a_formula_that_cannot_be_drawn_is_shown_as_it_was_written(latex):
    assert mathml(latex) is None
    assert f"<code>\n{latex}\n</code>" in rich(f"$$\n{latex}\n$$")


def test_a_text_has_a_longest_that_is_drawn():
    assert rich("**a** ".ljust(TEXT_CHARS_MAX, "a")).startswith("<p><strong>")
    assert rich("**a** ".ljust(TEXT_CHARS_MAX + 1, "a")).startswith('<div class="text">**a** a')


HUGE = [
    "[" * 30_000,
    "*a_ " * 7_500,
    r"\boxed{" * 4_000,
    "$x+1$ " * 5_000,
    "```python\n" + "(" * 9_900,
    "<" * 1_000_000,
]


def test_no_text_takes_long():
    """Shapes that make readers of Markdown slow: a bound that only a quadratic one could reach."""
    start = time.process_time()
    for text in HUGE:
        rich(text)
    assert time.process_time() - start < 60
