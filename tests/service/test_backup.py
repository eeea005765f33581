"""Backups for real, on both databases: taken while others write, put back, and refused when damaged."""

import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

from service.archive import BackupFailed
from service.backup import make, restore
from service.models import Batch, BatchState, File, Job, JobKind, JobState, Prompt, Purpose, Run, RunState, Trace
from service.settings import Settings
from service.store import queue, snapshot
from service.store.database import Database
from tests.conftest import new_postgres_database

BOTH_FORMS = pytest.mark.parametrize("name", ["backup", "backup.tar.zst"])
ON_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.fixture
def settings(database: Database, tmp_path: Path) -> Settings:
    """A Retort with a file, a run that ended and one that is under way."""
    values: dict[str, Any] = {} if database.embedded else {"RETORT_DATABASE_URL": url_of(database)}
    made = Settings(data_dir=tmp_path / "live", **values)
    for path in ("files/file-1.jsonl", "runs/run_done/report.json", "runs/run_busy/checkpoint", "uploads/x.part"):
        (made.data_dir / path).parent.mkdir(parents=True, exist_ok=True)
        (made.data_dir / path).write_text(path)
    with database.write() as session:
        session.add(Batch(id="batch_1", teachers=["t"], state=BatchState.IN_PROGRESS))
        session.add(File(id="file-1", purpose=Purpose.BATCH, filename="a", size_bytes=1, sha256=""))
        for run_id, state in (("run_done", RunState.SUCCEEDED), ("run_busy", RunState.RUNNING)):
            path = f"runs/{run_id}" if state == RunState.SUCCEEDED else ""
            session.add(Run(id=run_id, dataset="d", version=1, method="sft", student="s", state=state, path=path))
    return made


def url_of(database: Database) -> str:
    return database.engine.url.render_as_string(hide_password=False)


@pytest.fixture
def elsewhere(database: Database, tmp_path: Path, request: pytest.FixtureRequest) -> Settings:
    """An empty place to restore into."""
    values: dict[str, Any] = {"RETORT_DATABASE_URL": ""}
    if not database.embedded:
        values = {"RETORT_DATABASE_URL": new_postgres_database(request.getfixturevalue("postgres_url"))}
    return Settings(data_dir=tmp_path / "elsewhere", **values)


def backup(database: Database, settings: Settings, target: Path) -> Any:
    return make(database, settings, target, lambda _: None)


def answer(database: Database, key: int) -> None:
    """Accept a prompt and store its answer, in one transaction each, as service and worker do."""
    with database.write() as session:
        prompt = Prompt(batch_id="batch_1", key=str(key), line=key, messages=[{"role": "user", "content": str(key)}])
        session.add(prompt)
    with database.write() as session:
        row = {"batch_id": "batch_1", "prompt_id": prompt.id, "teacher": "t", "sample_index": 0}
        session.add(Trace(**row, reasoning="", response=str(key), finish_reason="stop", raw=b"{}"))


def responses(settings: Settings) -> list[int]:
    database = Database(settings.url())
    with database.read() as session:
        found = sorted(map(int, session.exec(select(Trace.response))))
    database.close()
    return found


@BOTH_FORMS
def test_a_backup_during_writes_holds_every_answer_of_before_once(database, settings, elsewhere, tmp_path, name):
    for key in range(50):
        answer(database, key)
    stop, written = threading.Event(), list(range(50))

    def write() -> None:
        while not stop.is_set():
            answer(database, len(written))
            written.append(len(written))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        while len(written) < 60:
            assert writer.is_alive()
        before = len(written)
        manifest = backup(database, settings, tmp_path / name)
        during = len(written) - before
    finally:
        stop.set()
        writer.join()
    assert during > 0, "the writer went on"
    restore(elsewhere, tmp_path / name, lambda _: None)
    held = responses(elsewhere)
    assert held == list(range(len(held))), "none is missing between others, none is there twice"
    assert before <= len(held) == manifest.counts["traces"] <= len(written)


@ON_SQLITE
@BOTH_FORMS
def test_files_come_back_as_they_were_and_what_is_under_way_stays_behind(database, settings, elsewhere, tmp_path, name):
    manifest = backup(database, settings, tmp_path / name)
    assert (manifest.missing, manifest.left_out) == ([], ["runs/run_busy"])
    restore(elsewhere, tmp_path / name, lambda _: None)
    found = {str(path.relative_to(elsewhere.data_dir)) for path in elsewhere.data_dir.rglob("*") if path.is_file()}
    assert found == {"retort.db", "files/file-1.jsonl", "runs/run_done/report.json"}
    assert (elsewhere.data_dir / "files/file-1.jsonl").read_text() == "files/file-1.jsonl"
    assert not list(tmp_path.glob("*.partial*"))


@ON_SQLITE
def test_what_the_database_speaks_of_and_nobody_has_is_named(database, settings, tmp_path):
    shutil.rmtree(settings.data_dir / "runs/run_done")
    assert backup(database, settings, tmp_path / "backup").missing == ["runs/run_done"]


def test_a_place_that_is_not_empty_is_refused_and_left_alone(database, settings, elsewhere, tmp_path):
    backup(database, settings, tmp_path / "backup")
    restore(elsewhere, tmp_path / "backup", lambda _: None)
    answer(database, 1)
    with pytest.raises(BackupFailed, match=r"is not empty .*another --data-dir"):
        restore(elsewhere, tmp_path / "backup", lambda _: None)
    if not database.embedded:
        other = elsewhere.model_copy(update={"data_dir": tmp_path / "third"})
        with pytest.raises(BackupFailed, match="an empty database only"):
            restore(other, tmp_path / "backup", lambda _: None)
        assert not list(other.data_dir.iterdir())
    assert responses(elsewhere) == []


def changed_byte(backup: Path) -> None:
    path = backup / "data/files/file-1.jsonl"
    path.write_bytes(b"X" + path.read_bytes()[1:])


def later(backup: Path) -> None:
    path = backup / "backup.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"revision": "9999", "retort": "7.0"}))


@ON_SQLITE
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (changed_byte, r"damaged: data/files/file-1.jsonl is not what was backed up"),
        (lambda backup: (backup / "database/sqlite").unlink(), "damaged: database/sqlite is missing"),
        (lambda backup: (backup / "backup.json").unlink(), "it is no backup"),
        (later, r"of Retort 7.0 with tables of revision 9999, which this one .* does not know"),
    ],
)
def test_a_damaged_folder_changes_nothing(database, settings, elsewhere, tmp_path, damage: Callable, message):
    backup(database, settings, tmp_path / "backup")
    damage(tmp_path / "backup")
    with pytest.raises(BackupFailed, match=message):
        restore(elsewhere, tmp_path / "backup", lambda _: None)
    assert not list(elsewhere.data_dir.iterdir())


@ON_SQLITE
@pytest.mark.parametrize("cut", [0.5, 0.999])
def test_a_cut_or_flipped_archive_changes_nothing(database, settings, elsewhere, tmp_path, cut):
    archive = tmp_path / "backup.tar.zst"
    backup(database, settings, archive)
    whole = archive.read_bytes()
    place = int(len(whole) * cut)
    for broken in (whole[:place], whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]):
        archive.write_bytes(broken)
        with pytest.raises(BackupFailed):
            restore(elsewhere, archive, lambda _: None)
        assert not list(elsewhere.data_dir.iterdir())


@ON_SQLITE
def test_no_backup_is_overwritten_or_put_into_itself(database, settings, tmp_path):
    backup(database, settings, tmp_path / "backup")
    with pytest.raises(BackupFailed, match="there already"):
        backup(database, settings, tmp_path / "backup")
    with pytest.raises(BackupFailed, match="in the data folder"):
        backup(database, settings, settings.data_dir / "backup")


@pytest.mark.parametrize("database", [pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True)
def test_without_the_programs_of_postgres_it_says_what_to_install(database, settings, tmp_path, monkeypatch):
    monkeypatch.setattr(snapshot, "BINARIES", tmp_path)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(BackupFailed, match=r"pg_dump, which is not here: install .*postgresql-client"):
        backup(database, settings, tmp_path / "backup")
    assert not (tmp_path / "backup").exists()


@ON_SQLITE
def test_a_backup_of_one_kind_of_database_does_not_go_into_another(database, settings, tmp_path):
    backup(database, settings, tmp_path / "backup")
    other = Settings(data_dir=tmp_path / "elsewhere", RETORT_DATABASE_URL="postgresql://nobody@127.0.0.1:9/none")  # pyright: ignore[reportCallIssue]
    with pytest.raises(BackupFailed, match="RETORT_DATABASE_URL names another: unset it"):
        restore(other, tmp_path / "backup", lambda _: None)


@ON_SQLITE
def test_leases_of_a_restored_backup_are_taken_over(database, settings, elsewhere, tmp_path):
    with database.write() as session:
        session.add(
            Job(subject="batch_1", kind=JobKind.GENERATE, state=JobState.RUNNING, lease_until=1.0, worker="gone")
        )
    backup(database, settings, tmp_path / "backup")
    restore(elsewhere, tmp_path / "backup", lambda _: None)
    restored = Database(elsewhere.url())
    restored.create()
    with restored.write() as session:
        assert [job.attempts for job in queue.claim(session, [JobKind.GENERATE], worker="new", lease_s=60)] == [1]
    restored.close()
