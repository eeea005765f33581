"""How a student must be called: some licences say with which word the name of what is made from them begins."""

import re
from collections.abc import Iterable

from filters.licences.table import find


def beginnings(licences: Iterable[str]) -> list[str]:
    """Return the words that these licences ask for, the longest first: the name `Llama 3 …` meets `Llama` too."""
    rows = filter(None, map(find, licences))
    return sorted({row.name_begins for row in rows if row.name_begins}, key=len, reverse=True)


def begins(name: str, word: str) -> bool:
    """Tell whether a name begins so. Names on a hub have no spaces: `Llama-3-…` begins with `Llama 3`."""
    return _plain(name).startswith(_plain(word))


def begun(name: str, licences: Iterable[str]) -> str:
    """Return the name with the words before it that it lacks."""
    for word in beginnings(licences):
        if not begins(name, word):
            name = f"{word.replace(' ', '-')}-{name}"
    return name


def _plain(name: str) -> str:
    return re.sub(r"[-_ ]+", " ", name.casefold())
