"""Opening a dataset folder: what is not as its manifest says is refused, by file and with what to do."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.trainer.tiny import write_part
from trainer.dataset import open_folder
from trainer.errors import TrainerError

Build = Callable[..., Path]


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    change(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_a_sound_folder_opens(dataset: Build) -> None:
    folder = open_folder(dataset())
    assert folder.name == "tiny-sums@3"
    assert [file.name for file in folder.files("train")] == ["train-00000.parquet"]
    assert folder.rejected.name == "rejected.parquet"


def test_a_split_the_version_has_not_is_empty(dataset: Build) -> None:
    assert open_folder(dataset(evaluate=[])).files("eval") == []


@pytest.mark.parametrize(
    ("change", "reason", "told"),
    [
        (lambda m: m.update(format=2), "unknown_format", "format 2"),
        (lambda m: m.pop("recipe"), "manifest_unreadable", "recipe"),
        (lambda m: m["splits"]["train"][0].update(sha256="0" * 64), "file_changed", "train-00000.parquet"),
        (lambda m: m["splits"]["train"][0].update(rows=65), "file_changed", "64 rows, the manifest says 65"),
        (lambda m: m["splits"]["eval"][0].update(path="data/gone.parquet"), "file_missing", "gone.parquet"),
        (lambda m: m["splits"]["eval"][0].update(path="../x.parquet"), "file_missing", "outside"),
        (lambda m: m["rejected"].update(sha256="0" * 64), "file_changed", "rejected.parquet"),
        (lambda m: m["splits"].pop("train"), "no_training_rows", "train split"),
        (lambda m: m["licence"].update(decision="forbidden", clauses=["No rivals."]), "licence_blocked", "No rivals."),
        (lambda m: m["licence"].update(decision="unknown"), "licence_blocked", "unknown"),
    ],
)
def test_what_is_wrong_is_refused_by_name(
    dataset: Build, change: Callable[[dict[str, Any]], object], reason: str, told: str
) -> None:
    folder = dataset()
    edit(folder, change)
    with pytest.raises(TrainerError) as refused:
        open_folder(folder)
    assert refused.value.reason == reason
    assert told in str(refused.value)


def test_one_changed_byte_is_noticed(dataset: Build) -> None:
    folder = dataset()
    file = folder / "data" / "train-00000.parquet"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(TrainerError, match="not the file that was exported"):
        open_folder(folder)


def test_a_blocked_licence_yields_to_an_override(dataset: Build) -> None:
    folder = dataset(decision="unknown")
    edit(folder, lambda m: m["licence"].update(overrides=[{"by": "ann", "reason": "our own teacher"}]))
    assert open_folder(folder).manifest.licence.overrides


@pytest.mark.parametrize(("decision", "opens"), [("unknown", True), ("forbidden", False)])
def test_only_what_nobody_knows_may_be_learnt_all_the_same(dataset: Build, decision: str, opens: bool) -> None:
    folder = dataset(decision=decision)
    if opens:
        assert open_folder(folder, license_unknown="train").manifest.licence.decision == decision
        return
    with pytest.raises(TrainerError, match="may not be trained on"):
        open_folder(folder, license_unknown="train")


@pytest.mark.parametrize(
    ("text", "reason"), [(None, "no_manifest"), ("{", "manifest_unreadable"), ("[]", "unknown_format")]
)
def test_a_folder_without_a_readable_manifest_is_refused(tmp_path: Path, text: str | None, reason: str) -> None:
    if text is not None:
        (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(TrainerError) as refused:
        open_folder(tmp_path)
    assert refused.value.reason == reason


def test_rows_without_what_training_needs_are_refused(dataset: Build) -> None:
    folder = dataset()
    part = write_part(folder, "data/train-00000.parquet", [{"id": 1}], pa.schema([("id", pa.int64())]))
    edit(folder, lambda m: m["splits"].update(train=[part]))
    with pytest.raises(TrainerError, match="lacks the columns prompt, completion"):
        open_folder(folder)
