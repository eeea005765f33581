"""Curating again after a change: only what the change can alter is judged anew, and nothing else comes out."""

import pytest
from sqlmodel import col, update

from filters.recipe import Recipe
from service.curation import preview
from service.models import DatasetVersion, JobKind, VerdictRow, VersionState
from tests.workers.made import add_batch, ledger, order, questions, review, trace_ids, version

PLANTED = "planted to see whose verdict this is"
LENGTH, NEAR = {"kind": "length"}, {"kind": "near_duplicate"}


@pytest.fixture
def curate(database, work):
    def run(*args, **changes) -> DatasetVersion:
        version_id = order(database, *args, **changes)
        work(lambda: version(database, version_id).state != VersionState.CURATING, kinds={JobKind.CURATE})
        return version(database, version_id)

    return run


@pytest.fixture
def batch(database):
    return add_batch(database, questions(30))


def details(database, found):
    return {(row.reason, row.detail) for row in ledger(database, found.id).values() if row.reason == "too_short"}


def plant(database, found):
    with database.write() as session:
        mine = (col(VerdictRow.version_id) == found.id) & (col(VerdictRow.reason) == "too_short")
        session.connection().execute(update(VerdictRow).where(mine).values(detail=PLANTED))


def strict(tokens_min):
    return {"kind": "length", "tokens_min": tokens_min}


def test_a_late_knob_leaves_earlier_verdicts_and_gives_the_same_bytes(database, curate, batch):
    first = curate("first", [batch], [LENGTH, NEAR, {"kind": "select", "count": 20}])
    again = curate("again", [batch], [LENGTH, NEAR, {"kind": "select", "count": 15}])
    with database.write() as session:
        session.connection().execute(update(DatasetVersion).values(inputs_sha256=""))
    anew = curate("anew", [batch], [LENGTH, NEAR, {"kind": "select", "count": 15}])
    assert (first.kept, again.kept) == (20, 15)
    assert again.sha256 == anew.sha256
    assert again.funnel == anew.funnel

    def verdicts(found):
        rows = ledger(database, found.id).values()
        return {row.trace_id: row.model_dump(exclude={"id", "version_id"}) for row in rows}

    assert verdicts(again) == verdicts(anew)


def test_what_an_earlier_version_says_is_taken_from_its_ledger_until_something_new_is_there(database, curate, batch):
    first = curate("first", [batch], [strict(41)])
    plant(database, first)
    assert details(database, curate("same", [batch], [strict(41), NEAR])) == {("too_short", PLANTED)}
    assert PLANTED not in str(details(database, curate("other", [batch], [strict(42), NEAR])))
    review(database, trace_ids(database, batch)[0], "reject")
    assert PLANTED not in str(details(database, curate("reviewed", [batch], [strict(41), {"kind": "repetition"}])))


def test_a_preview_asks_no_filter_that_an_earlier_version_asked(database, curate, settings, batch):
    plant(database, curate("first", [batch], [strict(41), {"kind": "select", "count": 20}]))
    recipe = Recipe.parse({"filters": [{"kind": "repetition"}, strict(41)]})
    found = preview(database, settings, [batch], recipe, 60)
    assert {example.detail for example in found.examples} == {PLANTED}
