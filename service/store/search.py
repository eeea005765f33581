"""Searching text: what a person typed, asked of either database's own index of words.

Words are letters and digits, whatever their case; everything else only separates them. All words must be there, in
prompt, response or reasoning; `"a phrase"` stands in one of them just so; `-word` must not be there; `deriv*` is the
beginning of a word. Nothing else means anything: what a database's own query language would read as an operator is a
word, or separates words. On Postgres the index is kept by a trigger (migration 0004). SQLite's is brought up by `index`
behind whoever stores: it holds the traces up to its own newest one, whoever wrote them, and that is found in no time.

Where both differ: Postgres knows the place of a word up to the 16,383rd, so that a phrase beyond is not found there,
and the words of the first 40,000 characters of a prompt, 80,000 of a response and 120,000 of a reasoning.
"""

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import reduce
from typing import Any

from sqlalchemy import column, func, select, table, text
from sqlalchemy.exc import OperationalError
from sqlmodel import Session

from service.errors import Problem
from service.store.database import Database, on_sqlite, storable

QUERY_CHARS_MAX = 500
TERMS_MAX = 32
PREFIX_CHARS_MIN = 3
"""A shorter beginning fits so many words that looking them all up takes seconds among millions of texts."""
CATCH_UP_ROWS = 500
"""Taken into the index before a search: 0.15 s. Where no worker runs each search brings the next ones."""
RARE_TEXTS = 2000
"""What so few texts have is looked up by their ids; of what more have a page is found soon in the order of the ids."""
TEXTS = "{prompt response reasoning}"
INDEX = table("trace_search", column("rowid"), column("trace_search"), column("trace_id"), column("words"))
"""Postgres: `trace_id` and `words`. SQLite: a full text table, asked by the column that is called like itself."""
_TERM = re.compile(r'(-?)(?:"([^"]*)"|(\S+))')


@dataclass(frozen=True, slots=True)
class Term:
    """A word or phrase that must be there, or must not."""

    text: str
    excluded: bool = False
    begins: bool = False
    """Whether it is the beginning of a word."""


def read(query: str) -> list[Term]:
    """Return the terms of a query; those without a letter or digit are left out. Problem says what is too much."""
    if len(query) > QUERY_CHARS_MAX:
        raise Problem(f"q: at most {QUERY_CHARS_MAX} characters are searched for, this has {len(query):,}")
    terms = [_term(*found) for found in _TERM.findall(storable(query))]
    terms = [term for term in terms if any(map(str.isalnum, term.text))]
    if len(terms) > TERMS_MAX:
        raise Problem(f"q: at most {TERMS_MAX} words and phrases are searched for, this has {len(terms)}")
    return terms


def _term(minus: str, phrase: str, word: str) -> Term:
    beginning = word.removesuffix("*")
    begins = word.endswith("*") and len(beginning) >= PREFIX_CHARS_MIN and beginning.isalnum()
    return Term(beginning if begins else phrase or word, minus == "-", begins)


def index(session: Session, limit: int) -> int:
    """Take up to `limit` traces into SQLite's index that are not in it yet, oldest first; return how many it took.

    About 0.3 ms each. Ids are given and committed in the same order there, by one writer at a time.
    """
    if not on_sqlite(session):
        return 0
    given = {"after": session.scalar(_INDEXED) or 0, "limit": limit}
    found = session.connection().execute(_NEXT, given).one()
    if found.rows:
        session.connection().execute(_FILL, {"after": given["after"], "last": found.last})
    return found.rows


def caught_up(database: Database) -> int:
    """Bring the index up before somebody searches, as far as that takes a moment; return how many traces are left.

    Where another writer is at work, or the disk is full, the search goes on without them.
    """
    with database.read() as session:
        left = behind(session)
    if left:
        with suppress(OperationalError), database.write(hasty=True) as session:
            index(session, CATCH_UP_ROWS)
            left = behind(session)
    return left


def behind(session: Session) -> int:
    """Return about how many of the newest traces are not in SQLite's index yet."""
    if not on_sqlite(session):
        return 0
    newest = session.scalar(text("select max(id) from trace")) or 0
    return max(0, newest - (session.scalar(_INDEXED) or 0))


_INDEXED = text("select max(id) from trace_search_docsize")
_NEXT = text(
    "select count(*) as rows, max(id) as last from (select id from trace where id > :after order by id limit :limit)"
)
_FILL = text(
    "insert into trace_search(rowid, place, prompt, response, reasoning) "
    "select id, place, prompt, response, reasoning from trace_words where id > :after and id <= :last"
)


def narrowed(session: Session, query: Any, trace_id: Any, asked: str, place: Iterable[str]) -> tuple[Any, Any]:
    """Return a query for traces narrowed to those with the words `asked` for, and the column to order them by.

    `place` are texts of which the batch id, teacher or category consist: on SQLite they narrow the search inside the
    index. The caller compares the columns themselves all the same.
    """
    terms = read(asked)
    if not terms:
        # Only signs: no text has them as a word.
        return query.where(trace_id.is_(None)), trace_id
    if on_sqlite(session):
        found = INDEX.c.trace_search.op("MATCH")(_fts5(terms, place))
        # The index gives its rows in the order of their ids: whatever is asked, a page ends with its last row.
        return query.join(INDEX, INDEX.c.rowid == trace_id).where(found), INDEX.c.rowid
    match = INDEX.c.words.op("@@")(_tsquery(terms))
    # Postgres guesses ill how rare a word is, and would read all texts in the order of their ids to find it.
    rare = session.scalars(select(INDEX.c.trace_id).where(match).limit(RARE_TEXTS + 1)).all()
    if len(rare) <= RARE_TEXTS:
        return query.where(trace_id.in_(rare)), trace_id
    return query.join(INDEX, INDEX.c.trace_id == trace_id).where(match), INDEX.c.trace_id


def _fts5(terms: Sequence[Term], place: Iterable[str]) -> str:
    wanted, unwanted = ([term for term in terms if term.excluded == excluded] for excluded in (False, True))
    there = [_quoted(text) for text in place if any(map(str.isalnum, text))]
    parts = [f"place : ({' AND '.join(there or ['all'])})"] if there or not wanted else []
    if wanted:
        parts.append(f"{TEXTS} : ({' AND '.join(map(_fts5_term, wanted))})")
    found = " AND ".join(parts)
    # In one: a chain of NOT would grow as deep as it is long, and FTS5 refuses what is too deep.
    return f"({found}) NOT {TEXTS} : ({' OR '.join(map(_fts5_term, unwanted))})" if unwanted else found


def _fts5_term(term: Term) -> str:
    return _quoted(term.text) + ("*" if term.begins else "")


def _quoted(text: str) -> str:
    return '"' + text.replace('"', " ") + '"'


def _tsquery(terms: Sequence[Term]) -> Any:
    return reduce(lambda one, other: one.op("&&")(other), map(_tsquery_term, terms))


def _tsquery_term(term: Term) -> Any:
    if term.begins:
        found = func.to_tsquery("simple", f"'{term.text}':*")
    else:
        found = func.phraseto_tsquery("simple", func.retort_words(term.text))
    return func.tsquery_not(found) if term.excluded else found
