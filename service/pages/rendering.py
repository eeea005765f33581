"""Templates and headers: every page goes out through `page`."""

from pathlib import Path
from typing import Any

from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from service.pages import words
from service.pages.rich import rich

HERE = Path(__file__).parent
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; object-src 'none'; "
        "base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
"""Text that models wrote stands on these pages: even if it slipped through the escaping it could load and run nothing.
`no-store`, because a shared machine's cache is no place for traces."""

_templates = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
for _word in (
    words.number,
    words.compact,
    words.size,
    words.percent,
    words.points,
    words.duration,
    words.relative,
    words.exact,
    words.iso,
    words.spaced,
    words.short,
    words.clip,
    words.pretty,
    words.knobs,
    words.largest,
    words.message_text,
):
    _templates.filters[_word.__name__] = _word
_templates.filters["rich"] = rich
_templates.globals |= {"link": words.link, "share": words.share}


def compile_all() -> None:
    """Compile every template, half a second for all of them: nobody's first look at a page has to wait for its own."""
    for name in _templates.list_templates(extensions=["html"]):
        _templates.get_template(name)


def page(template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    """Render a template of `templates/` with `values`."""
    text = _templates.get_template(template).render(**values)
    # A lone surrogate cannot be sent as UTF-8; one odd character must not cost the whole page.
    return HTMLResponse(text.encode("utf-8", "replace"), status, HEADERS)
