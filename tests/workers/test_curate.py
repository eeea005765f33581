"""Curation: nothing disappears without a verdict, and the same order gives the same bytes."""

import hashlib
import json
import shutil
import time
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from sqlmodel import col, update

from filters.length import Length
from filters.manifest import Manifest
from service.models import Job, JobKind, JobState, Trace, VersionState
from service.store import datasets, queue
from service.store import ledger as ledger_store
from tests.workers.help import ON_SQLITE
from tests.workers.made import (
    add_batch,
    job_of,
    ledger,
    order,
    questions,
    review,
    trace_ids,
    version,
)
from workers import attempt, sealing
from workers import curate as curating
from workers.attempt import Stopped
from workers.verdicts import NO_VERDICT

LENGTH = {"kind": "length"}


@pytest.fixture
def curate(database, work):
    """Order a version and let a worker curate it; return its id."""

    def run(*args, **changes) -> int:
        version_id = order(database, *args, **changes)
        return again(version_id)

    def again(version_id: int) -> int:
        work(lambda: version(database, version_id).state != VersionState.CURATING, kinds={JobKind.CURATE})
        return version_id

    run.again = again
    return run


def rows(folder: Path, name: str) -> list[dict]:
    return [row for path in sorted(folder.glob(name)) for row in pq.read_table(path).to_pylist()]


def test_every_trace_has_one_verdict_and_the_counts_agree(database, curate, settings):
    good = add_batch(database, questions(40))
    short = add_batch(database, questions(5, category="short"), completion_tokens=3)
    version_id = curate("sums", [good, short], [LENGTH, {"kind": "select", "count": 60}])
    found = version(database, version_id)
    assert (found.state, found.input, found.kept) == (VersionState.SEALED, 90, 60)
    assert found.input == found.kept + sum(line["rejected"] for line in found.funnel)
    verdicts = ledger(database, version_id)
    assert sorted(verdicts) == sorted(trace_ids(database, good) + trace_ids(database, short))
    assert Counter(row.reason for row in verdicts.values()) == {"": 60, "too_short": 10, "not_selected": 20}
    assert {row.filter_index for row in verdicts.values() if row.reason == "not_selected"} == {1}
    folder = settings.data_dir / found.path
    kept, rejected = rows(folder, "data/*.parquet"), rows(folder, "rejected.parquet")
    assert {row["id"] for row in kept} == {key for key, row in verdicts.items() if row.outcome == "keep"}
    assert {row["id"]: row["reason"] for row in rejected} == {
        key: row.reason for key, row in verdicts.items() if row.outcome == "reject"
    }
    assert job_of(database, version_id).state == JobState.DONE


def test_the_same_order_gives_the_same_bytes(database, curate, settings):
    batch = add_batch(database, questions(30))
    first = version(database, curate("once", [batch], [LENGTH, {"kind": "repetition"}]))
    second = version(database, curate("twice", [batch], [LENGTH, {"kind": "repetition"}]))
    assert first.sha256 == second.sha256
    one, two = settings.data_dir / first.path, settings.data_dir / second.path
    parquet = sorted(path.relative_to(one) for path in one.rglob("*.parquet"))
    assert len(parquet) == 4
    assert all((one / path).read_bytes() == (two / path).read_bytes() for path in parquet)
    texts = [(folder / name).read_text() for folder in (one, two) for name in ("manifest.json", "README.md")]
    assert [text.replace("twice", "once") for text in texts[2:]] == texts[:2]


@ON_SQLITE
def test_the_manifest_describes_the_folder(database, curate, settings):
    batch = add_batch(database, questions(30))
    found = version(database, curate("sums", [batch], [LENGTH]))
    folder = settings.data_dir / found.path
    manifest = Manifest.model_validate_json((folder / "manifest.json").read_bytes())
    for part in [part for parts in manifest.splits.values() for part in parts] + [manifest.rejected]:
        data = (folder / part.path).read_bytes()
        assert (part.sha256, part.bytes) == (hashlib.sha256(data).hexdigest(), len(data))
        assert part.rows == pq.ParquetFile(folder / part.path).metadata.num_rows
    lines = [
        json.dumps(row, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
        for row in sorted(rows(folder, "data/*.parquet"), key=lambda row: (row["prompt_id"], row["sample_index"]))
    ]
    assert manifest.sha256 == found.sha256 == hashlib.sha256(b"".join(lines)).hexdigest()
    assert manifest.teachers[0].model_dump() == {
        "name": "fake",
        "model": "maker/fake",
        "license": "apache-2.0",
        "revision": None,
        "sampling": [{"temperature": 0.7}],
    }


def test_equal_prompts_share_a_split_whatever_batch_they_are_in(database, curate, settings):
    one = add_batch(database, questions(60), n=1)
    other = add_batch(database, [row | {"messages": shouted(row)} for row in questions(60)], n=1)
    version_id = curate("sums", [one, other], [])
    found = version(database, version_id)
    verdicts = ledger(database, version_id)
    pairs = zip(trace_ids(database, one), trace_ids(database, other), strict=True)
    assert all(verdicts[first].split == verdicts[second].split for first, second in pairs)
    assert {split: counts["rows"] for split, counts in found.splits.items()} == Counter(
        row.split for row in verdicts.values()
    )
    assert found.splits["test"]["prompts"] == found.splits["test"]["rows"] > 0


def shouted(row: dict) -> list[dict]:
    return [{"role": "user", "content": f"  {row['messages'][0]['content'].upper()}\n"}]


def test_a_persons_word_is_the_last(database, curate, settings):
    batch = add_batch(database, questions(4), n=1)
    first, second, third, fourth = trace_ids(database, batch)
    with database.write() as session:
        short = update(Trace).where(col(Trace.id).in_((second, third))).values(completion_tokens=1)
        session.connection().execute(short)
    review(database, first, "keep")
    review(database, first, "reject", reason="a lucky guess")
    review(database, second, "keep")
    review(database, fourth, "keep", response="A better answer.")
    version_id = curate("sums", [batch], [LENGTH], split={})
    found, verdicts = version(database, version_id), ledger(database, version_id)
    assert {key: (row.outcome, row.filter, row.reason) for key, row in verdicts.items()} == {
        first: ("reject", "person", "person"),
        second: ("keep", "person", ""),
        third: ("reject", "length", "too_short"),
        fourth: ("keep", "", ""),
    }
    assert verdicts[first].detail == "kim: a lucky guess"
    assert verdicts[second].evidence == {"overruled": "length", "reason": "too_short", "detail": "1 < 16 tokens"}
    assert found.input == found.kept + sum(line["rejected"] for line in found.funnel) == 4
    exported = {row["id"]: row for row in rows(settings.data_dir / found.path, "data/*.parquet")}
    assert exported[fourth]["response"] == exported[fourth]["completion"][0]["content"] == "A better answer."


@ON_SQLITE
def test_a_filter_that_breaks_fails_the_version_and_names_the_trace(database, curate, settings, monkeypatch):
    batch = add_batch(database, questions(20), n=1)
    hit = trace_ids(database, batch)[13]
    check = Length.check

    def break_at(self, sample):
        if sample.id == hit:
            raise ZeroDivisionError("no such length")
        return check(self, sample)

    monkeypatch.setattr(Length, "check", break_at)
    found = version(database, curate("sums", [batch], [LENGTH]))
    assert (found.state, found.reason) == (VersionState.FAILED, "filter_crashed")
    assert f"trace {hit}" in found.detail
    assert "no such length" in found.detail
    assert not (settings.data_dir / "datasets" / "sums" / "v1").exists()
    monkeypatch.undo()
    assert version(database, curate("sums", [batch], [LENGTH])).kept == 20


@ON_SQLITE
@pytest.mark.parametrize(
    ("licence", "use", "overrides", "decision"),
    [
        ("mit", "commercial", [], {"allowed", "allowed_with_duties"}),
        ("", "research", [], {"unknown"}),
        ("", "research", [{"licence": "", "reason": "ours", "author": "kim"}], {"allowed", "allowed_with_duties"}),
        ("mrl", "commercial", [], {"forbidden"}),
    ],
)
def test_the_licence_answer_is_sealed_with_the_version(database, curate, settings, licence, use, overrides, decision):
    batch = add_batch(database, questions(3), licence=licence)
    found = version(database, curate("sums", [batch], [], intended_use=use, overrides=overrides))
    assert found.state == VersionState.SEALED
    assert found.licence["decision"] in decision
    manifest = json.loads((settings.data_dir / found.path / "manifest.json").read_text())
    assert manifest["licence"] == found.licence
    card = (settings.data_dir / found.path / "README.md").read_text()
    assert all(override["reason"] in card for override in overrides)


def test_an_unfinished_curation_is_begun_anew(database, curate, settings, monkeypatch):
    monkeypatch.setattr(curating, "LEDGER_ROWS", 10)
    monkeypatch.setattr(attempt, "PAGE_ROWS", 7)
    monkeypatch.setattr(curating, "CLEAR_ROWS", 5)
    batch = add_batch(database, questions(40), n=1)
    whole = version(database, curate("whole", [batch], [LENGTH]))

    version_id = order(database, "broken", [batch], [LENGTH])
    with database.write() as session:
        dead = queue.claim(session, [JobKind.CURATE], worker="dead", lease_s=-1)[0]
    verdict = NO_VERDICT | {"version_id": version_id, "outcome": "reject", "split": "train"}
    left = [verdict | {"trace_id": key} for key in trace_ids(database, batch)[:23]]
    with database.write() as session:
        ledger_store.add(session, dead, left, lease_s=-1, done=23)
    partial = settings.data_dir / "datasets" / "broken" / "v1.1.partial"
    partial.mkdir(parents=True)
    found = version(database, curate.again(version_id))
    assert (found.sha256, found.kept) == (whole.sha256, 40)
    assert set(ledger(database, version_id)) == set(trace_ids(database, batch))
    assert job_of(database, version_id).stored == 40
    assert not partial.exists()


@ON_SQLITE
def test_a_version_without_any_trace_is_sealed_empty(database, curate, settings):
    batch = add_batch(database, questions(2), n=0)
    found = version(database, curate("none", [batch], [LENGTH]))
    assert (found.state, found.input, found.kept, found.splits) == (VersionState.SEALED, 0, 0, {})


@ON_SQLITE
def test_a_worker_that_stops_puts_the_curation_back(database, settings, work, monkeypatch):
    batch = add_batch(database, questions(200), n=1)
    monkeypatch.setattr(curating, "LEDGER_ROWS", 2)
    check = Length.check
    monkeypatch.setattr(Length, "check", lambda self, sample: time.sleep(0.02) or check(self, sample))
    version_id = order(database, "sums", [batch], [LENGTH])
    work(lambda: job_of(database, version_id).stored > 4, kinds={JobKind.CURATE})
    assert job_of(database, version_id).state == JobState.QUEUED
    assert version(database, version_id).state == VersionState.CURATING
    monkeypatch.undo()
    work(lambda: version(database, version_id).state == VersionState.SEALED, kinds={JobKind.CURATE})
    assert version(database, version_id).kept == 200
    shutil.rmtree(settings.data_dir)


@ON_SQLITE
def test_a_worker_that_ends_while_it_exports_has_judged_for_the_next_one(database, settings, work, monkeypatch):
    def stop(folder, *_):
        (folder / "data").mkdir(parents=True)
        raise Stopped

    batch = add_batch(database, questions(20), n=1)
    version_id = order(database, "sums", [batch], [LENGTH])
    with monkeypatch.context() as stopping:
        stopping.setattr(sealing, "write_folder", stop)
        work(lambda: bool(version(database, version_id).funnel), kinds={JobKind.CURATE})
    assert version(database, version_id).state == VersionState.CURATING
    assert not list(settings.data_dir.glob("datasets/sums/*.partial"))
    with monkeypatch.context() as judging:
        judging.setattr(Length, "check", lambda *_: pytest.fail("judged a second time"))
        work(lambda: version(database, version_id).state != VersionState.CURATING, kinds={JobKind.CURATE})
    found = version(database, version_id)
    assert (found.state, found.kept, found.input) == (VersionState.SEALED, 20, 20)


@ON_SQLITE
def test_what_came_after_a_worker_ended_is_judged_with_the_rest(database, work, monkeypatch):
    def stop(*_):
        raise Stopped

    batch = add_batch(database, questions(20), n=1)
    version_id = order(database, "sums", [batch], [LENGTH])
    with monkeypatch.context() as stopping:
        stopping.setattr(sealing, "write_folder", stop)
        work(lambda: bool(version(database, version_id).funnel), kinds={JobKind.CURATE})
    review(database, trace_ids(database, batch)[0], "reject")
    work(lambda: version(database, version_id).state != VersionState.CURATING, kinds={JobKind.CURATE})
    assert version(database, version_id).kept == 19


def test_a_lost_folder_is_rebuilt_from_the_ledger_byte_for_byte_and_other_rows_are_refused(
    database, curate, work, settings
):
    batch = add_batch(database, questions(30), completion_tokens=20)
    found = version(database, curate("sums", [batch], [LENGTH, {"kind": "select", "count": 40}]))
    folder = settings.data_dir / found.path

    def rebuild() -> str:
        with database.write() as session:
            job_id = datasets.rebuild(session, session.merge(found)).id
        work(lambda: state(job_id) not in ("queued", "running"), kinds={JobKind.CURATE})
        return state(job_id)

    def state(job_id: int) -> str:
        with database.read() as session:
            return session.get(Job, job_id).state

    def files() -> dict[str, bytes]:
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    before = files()
    shutil.rmtree(folder)
    assert (rebuild(), files()) == ("done", before)
    kept = next(row.trace_id for row in ledger(database, found.id).values() if row.outcome == "keep")
    review(database, kept, "keep", response="Edited.")
    assert (rebuild(), files()) == ("failed", before)
    assert version(database, found.id).state == VersionState.SEALED
