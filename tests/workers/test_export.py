"""The export folder in the hands of those it is made for: `datasets` and plain `trl sft`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from filters.manifest import Manifest
from filters.sample import Sample
from service.models import JobKind
from service.store.curation import Entry
from tests.conftest import leave_out
from tests.workers.help import ON_SQLITE
from tests.workers.made import add_batch, order, questions, version
from workers import export as exporting
from workers.export import Export
from workers.rows import KEPT

OFFLINE = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}


@pytest.fixture
def folder(database, work, settings) -> Path:
    """A sealed version of 30 prompts, 12 of its answers rejected."""
    batch = add_batch(database, questions(30, reference="5"))
    short = add_batch(database, questions(6, category="short"), completion_tokens=3)
    version_id = order(database, "sums", [batch, short], [{"kind": "length"}])
    work(lambda: version(database, version_id).state == "sealed", kinds={JobKind.CURATE})
    return settings.data_dir / version(database, version_id).path


def head(folder: Path) -> dict:
    return yaml.safe_load((folder / "README.md").read_text().split("---\n")[1])


@ON_SQLITE
def test_datasets_loads_the_folder_as_the_card_says(folder, tmp_path, monkeypatch):
    for name, value in OFFLINE.items():
        monkeypatch.setenv(name, value)
    try:
        from datasets import load_dataset
    except ImportError:
        leave_out("loading an export: the package 'datasets' is not installed (extra 'train')")
    loaded = load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))
    manifest = Manifest.model_validate_json((folder / "manifest.json").read_bytes())
    assert {split: found.num_rows for split, found in loaded.items()} == {
        split: sum(part.rows for part in parts) for split, parts in manifest.splits.items()
    }
    assert loaded["train"].column_names == KEPT.names
    row = loaded["train"][0]
    assert row["prompt"] == [{"role": "user", "content": row["prompt"][0]["content"]}]
    assert row["completion"][0]["reasoning_content"] == row["reasoning"]


@ON_SQLITE
@pytest.mark.train
def test_plain_trl_trains_on_the_folder(folder, tmp_path):
    from tests.trainer.tiny import write_student

    student = write_student(tmp_path / "student")
    command = [str(Path(sys.executable).with_name("trl")), "sft", "--dataset_name", str(folder)]
    command += ["--model_name_or_path", str(student), "--output_dir", str(tmp_path / "out"), "--max_steps", "1"]
    command += ["--use_cpu", "true", "--bf16", "false", "--report_to", "none", "--max_length", "512"]
    env = os.environ | OFFLINE | {"HF_HOME": str(tmp_path / "cache")}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "out" / "model.safetensors").is_file()


@ON_SQLITE
def test_the_cards_head_says_what_the_hub_wants_to_know(folder):
    found = head(folder)
    assert (found["license"], found["license_name"]) == ("other", "several")
    assert {"synthetic", "retort"} <= set(found["tags"])
    assert found["annotations_creators"] == ["machine-generated"]
    assert found["size_categories"] == ["n<1K"]
    files = found["configs"][0]["data_files"]
    assert [file["split"] for file in files] == [info["name"] for info in found["dataset_info"]["splits"]]
    assert all(list(folder.glob(file["path"])) for file in files)
    assert [feature["name"] for feature in found["dataset_info"]["features"]] == KEPT.names


def entry(number: int, split: str, outcome: str = "keep") -> Entry:
    sample = Sample(id=number, prompt_id=number // 2, messages=[{"role": "user", "content": "Hm?"}], response="Ah.")
    return Entry(sample, "batch_1", outcome, "length", "too_short", "3 < 16", {"tokens": 3}, split)


def test_a_split_goes_on_in_another_file_and_an_empty_one_has_none(tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, "GROUP_ROWS", 2)
    monkeypatch.setattr(exporting, "FILE_ROWS", 4)
    export = Export(tmp_path / "export")
    for number in range(9):
        export.add(entry(number, "train"))
    found = export.close()
    assert [(part.path, part.rows) for part in found.splits["train"]] == [
        ("data/train-00000.parquet", 4),
        ("data/train-00001.parquet", 4),
        ("data/train-00002.parquet", 1),
    ]
    assert set(found.splits) == {"train"}
    assert (found.kept, found.prompts["train"], found.rejected.rows) == (9, 5, 0)
    assert not list((tmp_path / "export" / "data").glob("test*"))


def test_a_rejected_row_is_written_with_its_verdict_only(tmp_path):
    export = Export(tmp_path / "export")
    export.add(entry(1, "eval", "reject"))
    found = export.close()
    assert (found.kept, found.splits, found.rejected.rows) == (0, {}, 1)
