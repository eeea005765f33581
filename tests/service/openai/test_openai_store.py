"""The door's queries, on both databases."""

import time
from collections import Counter
from typing import Any

import pytest
from sqlmodel import select

from service.errors import NotFound
from service.models import Batch, Failure, Review, Teacher
from service.models.files import File
from service.store import batches, completions, files, generation, queue
from tests.conftest import database  # noqa: F401  both databases, not the one behind a server


@pytest.fixture
def mixed(database) -> Batch:  # noqa: F811
    """Five prompts for two teachers, the last one of each asked twice, in shards of two."""
    with database.write() as session:
        for name in ("a", "b"):
            session.add(Teacher(name=name, base_url="http://127.0.0.1:9/v1", model="m"))
    batch = Batch(teachers=["a", "b"], input_file_id="file-1", completion_window="24h", expires_at=time.time() + 60)
    asked = [("a", 1), ("b", 1), ("a", 1), ("a", 2), ("b", 2)]
    with database.write() as session:
        session.add(batch)
    with database.write() as session:
        rows = [row(str(number), teacher, n) for number, (teacher, n) in enumerate(asked)]
        batch.prompts = batches.add_prompts(session, batch, rows)
    with database.write() as session:
        return batches.open_for_work(session, session.merge(batch), shard_prompts=2)


def row(key: str, teacher: str, n: int) -> dict[str, Any]:
    """A prompt of a batch file."""
    about = {"reference": None, "verifier": None, "category": "", "source": "", "license": ""}
    return {
        "key": key,
        "line": 1,
        "messages": [],
        "teacher": teacher,
        "n": n,
        "body": {"seed": 1},
        "meta": None,
    } | about


def trace(prompt_id: int, teacher: str, sample_index: int, batch_id: str = "") -> dict[str, Any]:
    """An answer."""
    said = {"reasoning": "", "response": "4", "finish_reason": "stop", "raw": b"", "created_at": time.time()}
    return said | {"batch_id": batch_id, "prompt_id": prompt_id, "teacher": teacher, "sample_index": sample_index}


def test_a_shard_asks_only_what_names_its_teacher(database, mixed):  # noqa: F811
    with database.write() as session:
        jobs = queue.claim(session, ["generate"], worker="w", lease_s=60, limit=10)
        asks = {job.id: generation.missing(session, job, mixed) for job in jobs}
    assert [(job.teacher, job.total) for job in jobs] == [("a", 2), ("b", 3), ("a", 2)]
    asked = Counter(ask.prompt_id for found in asks.values() for ask in found)
    assert sorted(asked.values()) == [1] * 5
    for job in jobs:
        assert sum(len(ask.sample_indexes) for ask in asks[job.id]) == job.total
        assert all(ask.body == {"seed": 1} for ask in asks[job.id])


def test_lines_are_counted_by_their_last_answer(database, mixed):  # noqa: F811
    with database.read() as session:
        ids = [line.prompt_id for line in files.lines(session, mixed, after=0)]
    with database.write() as session:
        job = queue.claim(session, ["generate"], worker="w", lease_s=60)[0]
        answers = [trace(ids[0], "a", 0, mixed.id), trace(ids[3], "a", 0, mixed.id)]
        generation.store(session, job, lease_s=60, traces=answers, failures=[])
    with database.read() as session:
        assert files.line_counts(session, mixed, batches.counts(session, mixed)) == (1, 0)
        found = files.lines(session, mixed, after=0)
    assert [(line.custom_id, line.teacher, len(line.traces), line.n) for line in found] == [
        *(("0", "a", 1, 1), ("1", "b", 0, 1), ("2", "a", 0, 1)),
        *(("3", "a", 1, 2), ("4", "b", 0, 2)),
    ]


def test_lines_are_read_a_few_answers_at_a_time(database, mixed, monkeypatch):  # noqa: F811
    monkeypatch.setattr(files, "ANSWERS_AT_ONCE", 3)
    seen, after = [], 0
    with database.read() as session:
        while found := files.lines(session, mixed, after=after):
            seen.append([line.custom_id for line in found])
            after = found[-1].prompt_id
    assert seen == [["0", "1", "2"], ["3"], ["4"]]


def test_expiry_ends_every_pending_answer_once(database, mixed):  # noqa: F811
    with database.write() as session:
        job = queue.claim(session, ["generate"], worker="w", lease_s=60)[0]
        first = generation.missing(session, job, mixed)[0]
        generation.store(session, job, lease_s=60, traces=[trace(first.prompt_id, "a", 0, mixed.id)], failures=[])
    assert completions.expire_due(database) == 0
    with database.write() as session:
        session.get(Batch, mixed.id).expires_at = time.time() - 1
    assert completions.expire_due(database) == 1
    assert completions.expire_due(database) == 0
    with database.read() as session:
        batch = batches.get(session, mixed.id)
        counts = batches.counts(session, batch)
        assert (batch.state, counts["stored"], counts["failed"], counts["pending"]) == ("expired", 1, 6, 0)
        assert batches.reasons(session, mixed.id) == {"batch_expired": 6}
        assert len(session.exec(select(Failure)).all()) == 6
        assert queue.unfinished(session, mixed.id) == 0


@pytest.fixture
def kept(database) -> list[str]:  # noqa: F811
    """Three stored completions, the last one of another teacher."""
    said = [("a", {"team": "x"}), ("a", {"team": "y"}), ("b", None)]
    with database.write() as session:
        for number, (teacher, meta) in enumerate(said):
            prompt = {"key": f"chatcmpl-{number}", "messages": [], "meta": meta}
            answers = [{k: v for k, v in trace(0, "", 0).items() if k not in {"prompt_id", "teacher", "batch_id"}}] * 2
            completions.keep(session, teacher, prompt, answers, completion_tokens=3)
    return [f"chatcmpl-{number}" for number in range(3)]


def ids(database, **wanted: Any) -> list[str]:  # noqa: F811
    everything = {"model": None, "metadata": {}, "after": None, "limit": 10, "descending": False}
    with database.read() as session:
        return [stored.prompt.key for stored in completions.page(session, **everything | wanted)]


def test_stored_completions_are_found(database, kept):  # noqa: F811
    assert ids(database) == kept
    assert ids(database, descending=True, limit=2) == kept[:0:-1]
    assert ids(database, after=kept[0]) == kept[1:]
    assert ids(database, model="b") == kept[2:]
    assert ids(database, metadata={"team": "y"}) == kept[1:2]
    assert ids(database, metadata={"team": "x' OR '1'='1"}) == []
    with database.read() as session:
        assert len(completions.get(session, kept[1]).traces) == 2
        counts = batches.counts(session, batches.get(session, "batch_stored-a"))
    assert (counts["stored"], counts["total"], counts["completion_tokens"]) == (4, 4, 6)


def test_a_deleted_completion_is_hidden_until_somebody_keeps_it(database, kept):  # noqa: F811
    with database.write() as session:
        completions.delete(session, kept[0])
    assert ids(database) == kept[1:]
    with database.write() as session, pytest.raises(NotFound):
        completions.get(session, kept[0])
    with database.write() as session:
        for review in session.exec(select(Review)).all():
            session.add(Review(trace_id=review.trace_id, outcome="keep", author="ann"))
    assert ids(database) == kept


def test_files_are_listed_and_deleted(database):  # noqa: F811
    made = [File(purpose="batch", filename=str(number), size_bytes=1, sha256="") for number in range(3)]
    with database.write() as session:
        session.add_all(made)
    page = {"purpose": None, "after": None, "limit": 10, "descending": True}
    with database.write() as session:
        assert [file.id for file in files.page(session, **page)] == [file.id for file in made[::-1]]
        assert files.page(session, **page | {"purpose": "fine-tune"}) == []
        files.delete(session, made[1])
    with database.read() as session:
        assert len(files.page(session, **page)) == 2
        with pytest.raises(NotFound, match="it was deleted"):
            files.get(session, made[1].id)
