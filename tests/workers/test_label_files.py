"""Soft labels in an export: beside the rows, under their ids, of the text that was labelled."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from filters.manifest import Manifest
from service.models import JobKind, Review, Trace
from service.store import soft_labels
from tests.conftest import leave_out
from tests.workers.help import ON_SQLITE, numbered, state, submit
from tests.workers.made import order, version
from trainer.dataset import open_folder


def sealed(database, work, settings, batch):
    version_id = order(database, "labelled", [batch], [])
    work(lambda: version(database, version_id).state == "sealed", kinds={JobKind.CURATE})
    return settings.data_dir / version(database, version_id).path


@pytest.fixture
def batch(database, work, fake) -> str:
    made = submit(database, fake.base_url, numbered(12), sampling={"top_logprobs": 4})
    work(lambda: state(database, made) == "completed")
    return made


def test_soft_labels_lie_beside_the_rows_that_were_kept_as_they_were_written(database, work, settings, batch):
    with database.write() as session:
        edited = session.get(Trace, 3)
        session.add(Review(trace_id=3, outcome="keep", author="ann", response=f"{edited.response}!"))
    folder = sealed(database, work, settings, batch)
    manifest = open_folder(folder).manifest
    assert manifest.soft_labels.k == 4
    rows = {
        row["id"]: row
        for parts in manifest.soft_labels.splits.values()
        for row in pq.read_table(folder / parts[0].path).to_pylist()
    }
    kept = {
        each
        for parts in manifest.splits.values()
        for part in parts
        for each in pq.read_table(folder / part.path, columns=["id"])["id"].to_pylist()
    }
    assert rows.keys() == kept - {3}
    with database.read() as session:
        stored = soft_labels.read(session, sorted(rows))
    for trace_id, (_, labels) in stored.items():
        assert rows[trace_id]["token_ids"] == labels.ids.astype(np.int32).ravel().tolist()
        assert rows[trace_id]["logprobs"] == labels.logprobs.ravel().tolist()
        assert rows[trace_id]["k"] == labels.k


@ON_SQLITE
def test_the_card_lets_datasets_load_them(database, work, settings, batch, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    try:
        from datasets import load_dataset
    except ImportError:
        leave_out("loading soft labels: the package 'datasets' is not installed (extra 'train')")
    folder = sealed(database, work, settings, batch)
    loaded = load_dataset(str(folder), "soft_labels", cache_dir=str(tmp_path / "cache"))
    assert sum(found.num_rows for found in loaded.values()) == 12
    assert "## Soft labels" in (folder / "README.md").read_text()


@ON_SQLITE
def test_a_version_without_soft_labels_says_nothing_of_them(database, work, settings, fake):
    plain = submit(database, fake.base_url, numbered(3))
    work(lambda: state(database, plain) == "completed")
    folder = sealed(database, work, settings, plain)
    assert Manifest.model_validate_json((folder / "manifest.json").read_bytes()).soft_labels is None
    assert not (folder / "soft_labels").exists()
    assert "oft labels" not in (folder / "README.md").read_text()
