"""Searching the text of traces: the same words find the same traces on both databases."""

import importlib
import time
from typing import Any

import pytest
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text

from service.errors import Problem
from service.models import Batch, Prompt, Trace
from service.store import removal, search, traces
from service.store.database import BUSY_MS, Database
from service.store.search import QUERY_CHARS_MAX, TERMS_MAX
from service.store.traces import TraceFilter
from tests.workers.help import ON_SQLITE

ASKED = [
    [{"role": "user", "content": "A jacket costs 60 euros and is reduced by 12.5 %. What does it cost now?"}],
    [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Área of a field, 3/4 mile wide?"}],
    [{"role": "user", "content": [{"type": "text", "text": "What is shown?"}, {"type": "image_url"}]}],
    [{"role": "user", "content": "Why?\nSay it in one line."}],
]
ANSWERED = [
    ("First 60 * 0.125 = 7.5, so foo-bar. Then I subtract.", "The price is **52.5** euros."),
    ("Distance/speed; e.g. see http://example.org/a_b.", r"\boxed{\frac{3}{4}} square miles"),
    ("", "Nothing to see: the jacket is not here."),
    ("NOT sure, OR near it", "Because “of course”, naïve reader. <b>Bold</b> and &amp; more"),
]


@pytest.fixture
def texts(database: Database) -> Database:
    with database.write() as session:
        store(session)
    return database


def store(session) -> None:
    session.add_all([Batch(id="batch_one-1"), Batch(id="batch_two")])
    session.flush()
    for number, (messages, (reasoning, response)) in enumerate(zip(ASKED, ANSWERED, strict=True), 1):
        batch = "batch_one-1" if number < 4 else "batch_two"
        session.add(Prompt(id=number, batch_id=batch, key=str(number), line=number, messages=messages, category="c d"))
        session.flush()
        answer: dict[str, Any] = {"teacher": "big.one", "reasoning": reasoning, "response": response}
        session.add(Trace(id=number, batch_id=batch, prompt_id=number, **answer))
        session.flush()
    search.index(session, 100)


def find(database: Database, q: str, **more: str) -> list[int]:
    with database.read() as session:
        return [row[0].id for row in traces.page(session, TraceFilter(q=q, **more), after=0, limit=10)]


FOUND: dict[str, list[int]] = {
    "jacket": [1, 3],
    "JACKET": [1, 3],
    "jack": [],
    "jack*": [1, 3],
    "ja*": [],
    "jacket euros": [1],
    "euros jacket": [1],
    "jacket -euros": [3],
    "-jacket": [2, 4],
    "-jacket -naïve": [2],
    '"reduced by"': [1],
    '"by reduced"': [],
    'jacket -"reduced by"': [3],
    '"cost now first"': [],
    '"then i subtract the price"': [],
    "shown": [3],
    "user": [],
    "why say": [4],
    "nSay": [],
    "speed": [2],
    "distance/speed": [2],
    "speed/distance": [],
    "foo": [1],
    "foo-bar": [1],
    "52.5": [1],
    "0.125": [1],
    "3/4": [2],
    r"\frac{3}{4}": [2],
    "a_b": [2],
    "example.org": [2],
    "course": [4],
    "naïve": [4],
    "bold": [4],
    "amp": [4],
    "of course": [4],
    "not or near": [4],
    "c": [],
    "batch_two": [],
    "": [],
}
HOSTILE = [
    '"',
    '""',
    '"jacket',
    "*",
    "-",
    '-"',
    "--",
    "a OR",
    "AND",
    "NOT",
    "NEAR(jacket euros, 5)",
    "prompt : jacket",
    "{prompt} : jacket",
    "^jacket",
    "(jacket",
    "jacket)",
    "jacket + euros",
    "jacket & | ! <-> euros:*",
    "' OR 1=1 --",
    "'; drop table trace; --",
    "\0",
    "\ud800",
    "½",
    "???",
    "½* abc½*",
    "%",
]


def test_words_find_the_same_traces_on_both_databases(texts):
    assert {q: find(texts, q) for q in FOUND} == FOUND


def test_no_query_is_an_error_or_finds_everything(texts):
    assert [q for q in HOSTILE if not set(find(texts, q)) < {1, 2, 3, 4}] == []


def test_words_are_looked_for_among_what_else_is_asked(texts):
    for narrow in ({"batch": "batch_one-1"}, {"teacher": "big.one", "category": "c d"}):
        assert (find(texts, "jacket", **narrow), find(texts, "-euros -naïve", **narrow)) == ([1, 3], [2, 3])
    for narrow in ({"batch": "batch_two"}, {"teacher": "one.big"}, {"category": "d c"}, {"category": "???"}):
        assert (find(texts, "jacket", **narrow), find(texts, "-euros -naïve", **narrow)) == ([], [])


def test_a_query_has_a_longest_and_one_more_is_refused(texts):
    assert (find(texts, "a" * QUERY_CHARS_MAX), find(texts, "a " * TERMS_MAX)) == ([], [1, 2])
    for longer in ("a" * (QUERY_CHARS_MAX + 1), "a " * (TERMS_MAX + 1)):
        with pytest.raises(Problem, match="at most"):
            find(texts, longer)


def test_a_text_longer_than_what_an_index_holds_is_stored_and_its_beginning_found(texts):
    words = "".join(chr(0x4E00 + number) + " " for number in range(20_000)) * 20
    with texts.write() as session:
        answer: dict[str, Any] = {"teacher": "other", "reasoning": words, "response": "needle " + words}
        session.add(Trace(id=9, batch_id="batch_two", prompt_id=1, **answer))
    assert search.caught_up(texts) == 0
    assert find(texts, "needle") == [9]


def test_what_is_deleted_is_found_no_more(texts):
    with texts.write() as session:
        while removal.clear_batch(session, "batch_one-1"):
            pass
    assert (find(texts, "jacket"), find(texts, "naïve")) == ([], [4])
    if texts.embedded:
        with texts.read() as session:
            session.connection().execute(
                text("create virtual table temp.words using fts5vocab(main, trace_search, row)")
            )
            left = session.connection().execute(text("select term from temp.words")).scalars().all()
        assert ("naïve" in left, "jacket" in left) == (True, False)


def test_traces_that_were_there_before_the_index_are_found(texts):
    first, later = (
        importlib.import_module(f"service.migrations.versions.{name}") for name in ("0004_search", "0011_index_later")
    )
    writing = texts.engine.execution_options(write=True)
    with writing.begin() as connection, Operations.context(MigrationContext.configure(connection)):
        later.downgrade()
        first.downgrade()
        first.upgrade()
        later.upgrade()
    assert find(texts, "jacket") == [1, 3]


def answered(database: Database, number: int, response: str) -> None:
    with database.write() as session:
        answer = {"teacher": "other", "sample_index": number, "response": response}
        session.add(Trace(id=number, batch_id="batch_two", prompt_id=4, **answer))


def test_the_index_follows_the_traces_the_oldest_first(texts):
    for number in range(5, 12):
        answered(texts, number, "needle")
    with texts.write() as session:
        if texts.embedded:
            assert (search.behind(session), search.index(session, 3), search.behind(session)) == (7, 3, 4)
            assert search.index(session, 100) == 4
        assert (search.index(session, 100), search.behind(session)) == (0, 0)
    assert find(texts, "needle") == list(range(5, 12))


@ON_SQLITE
def test_a_search_does_not_wait_for_another_writer(texts):
    answered(texts, 5, "needle")
    with texts.write() as writing:
        writing.connection()
        began = time.monotonic()
        assert search.caught_up(texts) == 1
        assert time.monotonic() - began < BUSY_MS / 1000 / 2
    assert (find(texts, "needle"), search.caught_up(texts), find(texts, "needle")) == ([], 0, [5])


def test_a_trace_that_goes_before_its_words_were_taken_leaves_none(texts):
    answered(texts, 5, "needle one")
    answered(texts, 6, "needle two")
    with texts.write() as session:
        session.delete(session.get_one(Trace, 6))
    assert search.caught_up(texts) == 0
    with texts.write() as session:
        session.delete(session.get_one(Trace, 5))  # the newest one that is in it
    answered(texts, 7, "needle three")
    assert search.caught_up(texts) == 0
    assert (find(texts, "needle"), find(texts, "three"), find(texts, "jacket")) == ([7], [7], [1, 3])
    if texts.embedded:
        with texts.write() as session:  # raises where the index and the texts differ
            session.connection().execute(text("insert into trace_search(trace_search) values ('integrity-check')"))
