"""The figures behind the pages, on both databases."""

import time

import pytest

from service.models import Batch, DatasetVersion, Job, JobKind, JobState, Prompt, Run, RunState, VersionState
from service.pages import attention
from service.store import facets, overview
from service.store.database import Database
from tests.service.pages.ids import ASKING, DONE
from tests.service.pages.library import fill


@pytest.fixture
def filled_database(database: Database, tmp_path) -> Database:
    fill(database, tmp_path)
    return database


def job(**values) -> Job:
    return Job(kind=JobKind.GENERATE, subject="batch_x", **values)


def test_categories_are_told_once_each_and_by_name(filled_database):
    with filled_database.read() as session:
        assert facets.categories(session) == ["<b>speed</b>", "area", "percent"]
        assert len(facets.categories(session, limit=2)) == 2


def test_without_prompts_there_is_no_category(database):
    with database.read() as session:
        assert facets.categories(session) == []


def test_prompts_without_a_category_add_none(database):
    with database.write() as session:
        session.add(Batch(id="batch_x"))
        session.flush()
        session.add_all([Prompt(batch_id="batch_x", key=str(line), line=line) for line in range(3)])
    with database.read() as session:
        assert facets.categories(session) == []


def test_the_newest_versions_come_first(filled_database):
    with filled_database.read() as session:
        names = [f"{version.dataset}@{version.number}" for version in facets.versions(session, limit=2)]
    assert names == ["arithmetic@2", "web@1"]


def test_waits_are_grouped_by_teacher_and_reason(filled_database):
    with filled_database.read() as session:
        waits, of_batch = overview.waits(session), overview.waits(session, subject=DONE)
    assert [(wait.teacher, wait.reason, wait.shards) for wait in waits] == [("gone", "teacher_down", 4)]
    assert 0 < waits[0].next_try_s <= 2500
    assert of_batch == []


def test_failures_are_counted_with_an_example_each(filled_database):
    with filled_database.read() as session:
        found = overview.failures(session, DONE)
    assert [(kind.reason, kind.count, kind.key) for kind in found] == [
        ("timeout", 2, "q39"),
        ("prompt_too_long", 1, "q40"),
    ]


def test_batches_that_have_not_ended(filled_database):
    with filled_database.read() as session:
        assert [batch.id for batch in overview.unfinished(session, limit=5)] == [ASKING]


OLD = {"created_at": 0.0}


@pytest.mark.parametrize(
    ("jobs", "unattended"),
    [
        ([], 0),
        ([job(**OLD)], 1),
        ([job(**OLD), job(**OLD)], 2),
        ([job(created_at=time.time() + 3600)], 0),
        ([job(run_after=time.time() + 3600, **OLD)], 0),
        ([job(state=JobState.DONE, **OLD)], 0),
        ([job(**OLD), job(state=JobState.RUNNING, lease_until=time.time() + 3600, **OLD)], 0),
        ([job(**OLD), job(state=JobState.RUNNING, lease_until=1.0, **OLD)], 1),
    ],
)
def test_work_that_nobody_takes_is_noticed(database, jobs, unattended):
    with database.write() as session:
        session.add_all([Job(**given.model_dump()) for given in jobs])
    with database.read() as session:
        assert overview.unattended(session, after_s=15) == unattended


def version(number: int, **values) -> DatasetVersion:
    return DatasetVersion(dataset="d", number=number, intended_use="research", **values)


EMPTIED = {
    "state": VersionState.SEALED,
    "input": 1200,
    "licence": {"decision": "unknown", "clauses": []},
    "funnel": [
        {"kind": "length", "rejected": 3, "reasons": {"too_long": 3}},
        {"kind": "verified", "rejected": 1197, "reasons": {"no_answer": 1000, "wrong_answer": 197}},
    ],
}


@pytest.mark.parametrize(
    ("versions", "titles"),
    [
        ([version(1, state=VersionState.FAILED, reason="filter_crash")], ["Curating d@1 failed: filter crash"]),
        ([version(1, state=VersionState.FAILED, created_at=0.0)], []),
        ([version(2, state=VersionState.SEALED), version(1, state=VersionState.FAILED)], []),
        (
            [version(1, state=VersionState.SEALED, licence={"decision": "forbidden"})],
            ["d@1 is blocked by its licences: forbidden for research use"],
        ),
        ([version(1, state=VersionState.SEALED, licence={"decision": "allowed"})], []),
        ([version(1, **EMPTIED)], ["d@1 kept none of its 1,200 traces"]),
    ],
)
def test_only_the_newest_version_of_a_dataset_asks_for_attention(versions, titles):
    assert [notice.title for notice in attention.notices([], 0, [], versions, [])] == titles


def test_a_version_that_kept_nothing_names_the_filter_that_took_most():
    (notice,) = attention.notices([], 0, [], [version(1, **EMPTIED)], [])
    assert notice.detail == "verified rejected 1,197: 1,000 no_answer, 197 wrong_answer"


def test_a_run_that_failed_long_ago_is_left_in_peace():
    runs = [
        Run(id="run_1", dataset="d", version=1, method="sft", student="s", state=RunState.FAILED, reason="diverged"),
        Run(id="run_2", dataset="d", version=1, method="sft", student="s", state=RunState.FAILED, created_at=0.0),
    ]
    assert [notice.href for notice in attention.notices([], 0, [], [], runs)] == ["/runs/run_1"]


def test_a_service_without_a_worker_says_so():
    found = attention.notices([], 3, [], [], [])
    assert [(notice.title, "retort worker" in notice.advice) for notice in found] == [
        ("No worker is at work: 3 jobs in the queue", True)
    ]
