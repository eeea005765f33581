"""A page as a browser would take it apart: elements, attributes, links and the text a person reads."""

import re
from html import unescape
from html.parser import HTMLParser

VOID = {"meta", "link", "img", "input", "br", "line", "polyline"}


class Page(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.links: list[str] = []
        self.scripts = ""
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        self.close()

    @property
    def unclosed(self) -> list[str]:
        """Elements that were opened and never closed, or closed in another order."""
        return self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.tags.append((tag, given))
        if tag == "a":
            self.links.append(given["href"])
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if self._open and self._open[-1] == tag:
            self._open.pop()
        else:
            self._open.append(f"/{tag}")

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] in {"script", "style"}:
            self.scripts += data.strip()
        self.text += data


def traces(html: str) -> list[str]:
    """Return the addresses of the traces that a page links to."""
    return re.findall(r'href="(/traces/\d+)["?]', html)


def fields(html: str, form_id: str) -> list[tuple[str, str]]:
    """Return what a browser would send of a page's form."""
    start = html.index(f'<form id="{form_id}"')
    form = html[start : html.index("</form>", start)]
    found = []
    for element in re.finditer(r'<(input|select|textarea)([^>]*?)name="([^"]+)"([^>]*)>', form):
        tag, before, name, after = element.groups()
        attributes = before + after
        value = re.search(r'value="([^"]*)"', attributes)
        if tag == "select":
            inside = form[element.end() : form.index("</select>", element.end())]
            value = re.search(r'value="([^"]*)" selected', inside) or re.search(r'value="([^"]*)"', inside)
        elif tag == "textarea":
            value = re.match(r"([^<]*)", form[element.end() :])
        if re.search('type="(checkbox|radio)"', attributes) and " checked" not in attributes:
            continue
        found.append((name, unescape(value[1]) if value else ""))
    return found
