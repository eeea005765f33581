"""Curating again after a change: only what the change can alter is judged anew, and nothing else comes out."""

import pytest
from sqlmodel import col, select, update

from filters.recipe import Recipe
from filters.verifiers.staff import Staff
from service.curation import preview
from service.models import Batch, DatasetVersion, JobKind, Prompt, Trace, VerdictRow, VersionState
from service.store import batches
from service.store.database import insert_new
from tests.workers.made import add_batch, ledger, order, questions, review, trace, trace_ids, version
from workers import attempt
from workers import curate as curating

PLANTED = "planted to see whose verdict this is"
LENGTH, NEAR = {"kind": "length"}, {"kind": "near_duplicate"}


@pytest.fixture
def curate(database, work):
    def run(name, batches, filters, on_abstain="keep", **changes) -> DatasetVersion:
        recipe = {"recipe": {"filters": filters, "on_abstain": on_abstain}}
        version_id = order(database, name, batches, filters, **recipe | changes)
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


def anew(database):
    """Forget what earlier versions judged."""
    with database.write() as session:
        session.connection().execute(update(DatasetVersion).values(inputs_sha256=""))


def verdicts(database, found):
    rows = ledger(database, found.id).values()
    return {row.trace_id: row.model_dump(exclude={"id", "version_id"}) for row in rows}


def data(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.parquet")}


TWENTY, FIFTEEN = ({"kind": "select", "count": count} for count in (20, 15))
LONGEST, REPETITION = {"kind": "select", "by": "longest", "count": 9}, {"kind": "repetition"}


@pytest.mark.parametrize(
    ("before", "after", "on_abstain", "reviewed"),
    [
        ([LENGTH, NEAR, TWENTY], [LENGTH, NEAR, FIFTEEN], "keep", False),
        ([LENGTH, NEAR, TWENTY], [LENGTH, NEAR, FIFTEEN], "reject", True),
        ([LENGTH, NEAR, TWENTY], [LENGTH, NEAR, TWENTY], "reject", False),
        ([LENGTH, REPETITION], [LENGTH, REPETITION, LONGEST], "keep", True),
        ([REPETITION, LENGTH, NEAR], [LENGTH, NEAR], "keep", False),
    ],
)
def test_what_an_earlier_version_spares_changes_no_verdict_and_no_byte(
    database, curate, settings, monkeypatch, before, after, on_abstain, reviewed
):
    monkeypatch.setattr(attempt, "PAGE_ROWS", 7)
    monkeypatch.setattr(curating, "COPY_ROWS", 11)
    batches = [
        add_batch(database, questions(14)),
        add_batch(database, questions(9), completion_tokens=None),
        add_batch(database, questions(4, category="short"), completion_tokens=3),
    ]
    if reviewed:
        shorts = trace_ids(database, batches[2])
        review(database, shorts[0], "keep", response="Edited.")
        review(database, shorts[1], "reject")
    first = curate("first", batches, before, on_abstain)
    again = curate("again", batches, after, on_abstain)
    anew(database)
    other = curate("anew", batches, after, on_abstain)
    assert first.input == again.input == 54
    assert (again.sha256, again.funnel, again.splits) == (other.sha256, other.funnel, other.splits)
    assert verdicts(database, again) == verdicts(database, other)
    assert data(settings.data_dir / again.path) == data(settings.data_dir / other.path)


def test_a_batch_is_read_to_its_end_past_pages_that_are_another_ones_or_rejected(database, curate, monkeypatch):
    monkeypatch.setattr(attempt, "PAGE_ROWS", 5)
    around = add_batch(database, questions(3))
    between = add_batch(database, questions(20), completion_tokens=3)
    with database.write() as session:
        later = questions(6)[3:]
        batches.add_prompts(session, session.get_one(Batch, around), later)
        ids = session.exec(select(Prompt.id).where(Prompt.batch_id == around, col(Prompt.line) >= 3)).all()
        insert_new(session, Trace, [trace(around, each, index, "fake") for each in ids for index in range(2)])
    for count in (10, 8):
        found = curate("long", [around, between], [LENGTH, {"kind": "select", "count": count}])
        assert (found.input, found.kept) == (52, count)
        assert sorted(ledger(database, found.id)) == sorted(trace_ids(database, around) + trace_ids(database, between))


def test_with_other_splits_every_row_gets_its_own(database, curate, batch):
    curate("first", [batch], [LENGTH, TWENTY])
    changed = curate("changed", [batch], [LENGTH, FIFTEEN], split={"eval": 0.5, "test": 0.5})
    assert {row["split"] for row in verdicts(database, changed).values()} == {"eval", "test"}


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
    found = preview(database, settings, Staff(), [batch], recipe, 60)
    assert {example.detail for example in found.examples} == {PLANTED}
