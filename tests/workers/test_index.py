"""The index of words, which a worker brings up behind the answers."""

from service.models import JobKind
from service.store import search, traces
from service.store.database import Database
from service.store.traces import TraceFilter
from tests.workers.help import ON_SQLITE, numbered, submit
from tests.workers.made import add_batch, questions


def left(database: Database) -> int:
    with database.read() as session:
        return search.behind(session)


@ON_SQLITE
def test_a_worker_takes_in_the_words_of_whatever_was_stored(database, work):
    add_batch(database, questions(130), n=1)
    assert left(database) == 130
    work(lambda: left(database) == 0, kinds={JobKind.GENERATE})
    with database.read() as session:
        assert len(traces.page(session, TraceFilter(q="-nothingofthekind"), limit=200)) == 130


@ON_SQLITE
def test_it_keeps_up_while_answers_are_waited_for(database, work, fake):
    fake.play(latency_ms=300)
    submit(database, fake.base_url, numbered(100), max_concurrency=2)
    add_batch(database, questions(230), n=1, teacher="other")
    before = len(fake.calls())
    work(lambda: left(database) < 50 and len(fake.calls()) > before)
    assert len(fake.calls()) < 100, "all had been asked before its turn came"
