"""A page as a browser would take it apart: elements, attributes, links and the text a person reads."""

import re
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
