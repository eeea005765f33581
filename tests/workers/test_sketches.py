"""What near_duplicate computes of each text is kept under the data folder, and no version depends on it."""

import shutil

import pytest
from sqlmodel import update

from filters import sketch_files
from service.models import DatasetVersion, JobKind, VersionState
from tests.workers.made import add_batch, ledger, order, questions, version


@pytest.fixture(autouse=True)
def room(monkeypatch):
    monkeypatch.setattr(sketch_files, "FREE_BYTES_MIN", 0)


def test_a_grown_dataset_is_the_same_with_what_its_last_version_left_and_without(database, work, settings):
    def curate(batches):
        version_id = order(database, "grown", batches, [{"kind": "near_duplicate", "on": "trace", "threshold": 0.5}])
        work(lambda: version(database, version_id).state != VersionState.CURATING, kinds={JobKind.CURATE})
        found = version(database, version_id)
        assert found.state == VersionState.SEALED
        return found, {each.trace_id: (each.reason, each.evidence) for each in ledger(database, found.id).values()}

    folder = settings.data_dir / "sketches"
    first = add_batch(database, questions(30))
    curate([first])
    kept = sum(path.stat().st_size for path in folder.iterdir())
    second = add_batch(database, questions(15), response="the same few words in answer to every prompt")
    with_it, verdicts = curate([first, second])
    assert sum(path.stat().st_size for path in folder.iterdir()) > kept > 0
    shutil.rmtree(folder)
    with database.write() as session:  # so that nothing is taken from its ledger
        session.connection().execute(update(DatasetVersion).values(inputs_sha256=""))
    without, same = curate([first, second])
    assert folder.exists()
    assert verdicts == same
    assert "near_duplicate" in {reason for reason, _ in same.values()}
    assert with_it.sha256 == without.sha256
