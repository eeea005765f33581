"""Documents and the passages they are cut into: the same text, words and seed give the same passages, always."""

import hashlib
import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from service.errors import Problem
from service.formats import jsonl, parquet
from service.formats.columns import Columns, ColumnsClash, parse
from service.formats.record import NUL, Record

TEXTS, ROWS = (".txt", ".md"), (".jsonl", ".ndjson", ".parquet")
"""One document a file, and one a row."""
DOCUMENT_BYTES_MAX = 64 * 2**20
"""A document is held in memory while it is cut; a longer one is a corpus, and belongs into rows."""
FIELDS, NEEDED = ("text", "id", "license", "source"), ("text",)
WORDS_MIN = 12
"""A shorter passage, a heading or a caption, answers no question."""
WORD_CHARACTERS = 12
"""Scripts without spaces count as a word for so many characters; words of those with spaces are shorter."""


class BadDocument(Exception):
    """A file that cannot be used; the message names it, and its line or row."""


@dataclass(frozen=True, slots=True)
class Document:
    """A text and where it is from."""

    id: str
    text: str
    source: str
    license: str
    markdown: bool = False


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a document: `text` is the document's from character `start` to before `end`."""

    document: Document
    start: int
    end: int
    text: str

    @property
    def sha256(self) -> str:
        """Of the text in UTF-8: what tells later that the document still says so."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def files(paths: Iterable[Path]) -> Iterator[tuple[Path, str]]:
    """Yield files, and the documents in folders in their order, each with its name.

    A name is the path as given, yet without the folders above where that is absolute: it goes into prompts and
    datasets, where nobody needs to know the machine. Raises BadDocument for what is no file or of another kind.
    """
    for path in paths:
        above = path.parent if path.is_absolute() else Path()
        if path.is_dir():
            found = sorted(file for file in path.rglob("*") if file.suffix.lower() in TEXTS + ROWS and file.is_file())
            yield from ((file, str(file.relative_to(above))) for file in found)
        elif path.is_file() and path.suffix.lower() in TEXTS + ROWS:
            yield path, str(path.relative_to(above))
        else:
            wrong = (
                f"expected one of {', '.join(TEXTS + ROWS)}" if path.is_file() else "there is no such file or folder"
            )
            raise BadDocument(f"{path}: {wrong}")


def read(path: Path, name: str, *, license: str = "", columns: Sequence[str] = ()) -> Iterator[Document]:
    """Yield the documents of a file; `license` is of those that name none, `columns` are `COLUMN:FIELD` entries.

    A row has `text` and may have `id`, `license` and `source`; other columns are passed over. Raises BadDocument.
    """
    if path.suffix.lower() in TEXTS:
        if path.stat().st_size > DOCUMENT_BYTES_MAX:
            raise BadDocument(f"{path}: a document has at most {DOCUMENT_BYTES_MAX:,} bytes")
        try:
            text = path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise BadDocument(f"{path}: not valid UTF-8 (byte {error.start + 1})") from error
        if "\0" in text:
            raise BadDocument(f"{path}: {NUL}")
        yield Document(name, text, name, license, path.suffix.lower() == ".md")
        return
    try:
        rest = () if any(entry.startswith("*:") for entry in columns) else ("*:",)
        yield from _rows(path, name, parse([*columns, *rest], FIELDS, NEEDED), license)
    except Problem as problem:
        raise BadDocument(f"{path}: {problem.detail}") from problem


def _rows(path: Path, name: str, columns: Columns, license: str) -> Iterator[Document]:
    if path.suffix.lower() == ".parquet":
        for record in parquet.records(path, columns, DOCUMENT_BYTES_MAX):
            yield _document(path, name, record, "row", columns, license)
        return
    with path.open("rb") as file:
        for record in jsonl.records(jsonl.lines_of(file, DOCUMENT_BYTES_MAX), DOCUMENT_BYTES_MAX):
            yield _document(path, name, record, "line", columns, license)


def _document(path: Path, file: str, record: Record, place: str, columns: Columns, license: str) -> Document:
    where = f"{path}, {place} {record.number}"
    if record.data is None:
        raise BadDocument(f"{where}: {record.faults[0]['message']}")
    try:
        row = columns.row(record.data)
    except ColumnsClash as error:
        raise BadDocument(f"{where}: {error}") from error
    if not isinstance(row.get("text"), str):
        raise BadDocument(f"{where}, text: expected a text, found {type(row.get('text')).__name__}")
    given = {name: str(row[name]) for name in ("id", "source", "license") if row.get(name) is not None}
    name = given.get("id") or f"{file}#{record.number}"
    return Document(name, row["text"], given.get("source") or name, given.get("license") or license)


def passages(document: Document, words_max: int) -> Iterator[Passage]:
    """Yield a document's passages: as many whole paragraphs as fit into `words_max` words.

    A paragraph that is longer by itself is cut at its sentences. What is shorter than WORDS_MIN is left out.
    """
    from semantic_text_splitter import MarkdownSplitter, TextSplitter

    splitter = (MarkdownSplitter if document.markdown else TextSplitter).from_callback(_words, words_max)
    for start, text in splitter.chunk_indices(document.text):
        if _words(text) >= WORDS_MIN:
            yield Passage(document, start, start + len(text), text)


def chosen(found: Iterable[Passage], limit: int | None, seed: int) -> Iterator[Passage]:
    """Yield passages, each text once; with a `limit` so many of them, drawn by `seed`, in their order."""
    single = _single(found)
    if limit is None:
        yield from single
        return
    drawn = heapq.nsmallest(limit, enumerate(single), key=lambda item: draw(seed, item[1].sha256))
    yield from (passage for _, passage in sorted(drawn, key=lambda item: item[0]))


def draw(seed: int, *what: object) -> int:
    """Return a number that looks random and is the same on every machine."""
    said = "/".join(map(str, (seed, *what)))
    return int.from_bytes(hashlib.sha256(said.encode()).digest()[:8], "big")


def _single(found: Iterable[Passage]) -> Iterator[Passage]:
    seen: set[bytes] = set()
    for passage in found:
        digest = hashlib.sha256(passage.text.encode()).digest()[:12]
        if digest not in seen:
            seen.add(digest)
            yield passage


def _words(text: str) -> int:
    return max(len(text.split()), len(text) // WORD_CHARACTERS)
