"""The export folder in the hands of those it is made for; plain `trl sft` has it in `tests/chain/test_demo.py`."""

import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path

import jsonschema
import pyarrow.parquet as pq
import pytest
import yaml

from filters.manifest import Manifest
from filters.manifest_schema import document
from service.models import JobKind
from service.store.curation import Asked
from service.store.ledger import LedgerPage
from tests.conftest import leave_out
from tests.workers.help import ON_SQLITE
from tests.workers.made import add_batch, order, questions, version
from workers import export as exporting
from workers.export import Export, Exported
from workers.rows import KEPT
from workers.tally import Tally

SCHEMA = Path(__file__).parents[2] / "docs" / "manifest.schema.json"
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


@ON_SQLITE
def test_the_card_is_one_that_the_hub_takes_and_shows_charts_and_lineage(folder):
    from huggingface_hub import DatasetCard, DatasetCardData

    text = (folder / "README.md").read_text()
    data = DatasetCard(text).data
    assert isinstance(data, DatasetCardData)
    assert data.to_dict() == head(folder)
    for name in ("lengths", "pass_rates"):
        assert f"(charts/{name}.png)" in text
        assert (folder / "charts" / f"{name}.svg").read_text().startswith("<svg")
        assert (folder / "charts" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    manifest = json.loads((folder / "manifest.json").read_text())
    assert [batch["sampling"] for batch in manifest["lineage"]] == [{"temperature": 0.7}] * 2
    assert manifest["sources"] == [{"source": "test", "license": "mit", "prompts": 30}]
    assert all(batch["id"] in text for batch in manifest["lineage"])
    schema = SCHEMA.read_text()
    assert schema == document(), "run `make openapi` and commit it"
    jsonschema.validate(manifest, json.loads(schema))


def test_the_charts_count_lengths_by_power_of_two_and_prompts_by_pass_rate():
    tally = Tally({"filters": [{"kind": "length"}, {"kind": "verified"}, {"kind": "select"}]})
    # Right: kept, or rejected by a later filter. What an earlier one rejected was never judged.
    said = {0: ["verified", "verified"], 1: ["", "verified", "length"], 2: ["select", ""], 3: ["length"]}
    rows = [(2 * prompt, filter_) for prompt, found in said.items() for filter_ in found]
    for start in range(0, len(rows), 3):
        ids, filters = zip(*rows[start : start + 3], strict=True)
        outcomes = ["reject" if filter_ else "keep" for filter_ in filters]
        read = page(ids, "train").with_column("filter", filters).with_column("outcome", outcomes)
        tally.add(read.with_column("completion_tokens", [700] * len(ids)))
    charts = tally.charts()
    labels = re.findall(r">([^<>]+)</text>", charts["pass_rates"])
    assert {label: labels[labels.index(label) + 1] for label in ("0 %", "50-74 %", "100 %")} == {
        "0 %": "1",
        "50-74 %": "1",
        "100 %": "1",
    }
    assert "512-1,023" in charts["lengths"]


def page(numbers: Iterable[int], split: str, outcome: str = "keep", reasoning: str = "Let me see.") -> LedgerPage:
    """Answers to prompts, two to each."""
    same = {
        "teacher": "fake",
        "sample_index": 0,
        "finish_reason": "stop",
        "prompt_tokens": 5,
        "completion_tokens": None,
    }
    same |= {"response": "Ah.", "reasoning": reasoning, "outcome": outcome, "filter": "length", "reason": "too_short"}
    same |= {"detail": "3 < 16", "evidence": '{"tokens":3,"least":16}', "split": split}
    rows = [same | {"id": number, "prompt_id": number // 2} for number in numbers]
    asked = Asked([{"role": "user", "content": "Hm?"}], None, None, "", "", "own", {"level": 3})
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    return LedgerPage("batch_1", columns, dict.fromkeys(columns["prompt_id"], asked))


def export(folder: Path, *pages: LedgerPage) -> Exported:
    with Export(folder) as export:
        for each in pages:
            export.add(each)
        return export.close()


def test_a_split_goes_on_in_another_file_and_an_empty_one_has_none(tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, "GROUP_ROWS", 2)
    monkeypatch.setattr(exporting, "FILE_ROWS", 4)
    found = export(tmp_path / "export", page(range(9), "train"))
    assert [(part.path, part.rows) for part in found.splits["train"]] == [
        ("data/train-00000.parquet", 4),
        ("data/train-00001.parquet", 4),
        ("data/train-00002.parquet", 1),
    ]
    assert set(found.splits) == {"train"}
    assert (found.kept, found.prompts["train"], found.rejected.rows) == (9, 5, 0)
    assert not list((tmp_path / "export" / "data").glob("test*"))


def test_a_rejected_row_is_written_with_its_verdict_only(tmp_path):
    found = export(tmp_path / "export", page([1], "eval", "reject"))
    assert (found.kept, found.splits, found.rejected.rows) == (0, {}, 1)
    (row,) = pq.read_table(tmp_path / "export" / "rejected.parquet").to_pylist()
    assert (row["filter"], row["reason"], row["evidence"]) == ("length", "too_short", '{"least":16,"tokens":3}')


def test_the_bytes_do_not_depend_on_how_many_rows_are_read_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, "GROUP_ROWS", 5)
    monkeypatch.setattr(exporting, "GROUP_BYTES", 60)
    one = export(tmp_path / "one", page(range(23), "train"))
    many = export(tmp_path / "many", *(page(range(start, min(start + 3, 23)), "train") for start in range(0, 23, 3)))
    assert (one.sha256, one.splits, one.prompts) == (many.sha256, many.splits, many.prompts)
    groups = pq.ParquetFile(tmp_path / "one" / one.splits["train"][0].path).metadata
    assert [groups.row_group(place).num_rows for place in range(groups.num_row_groups)] == [5, 5, 5, 5, 3]


def test_very_long_reasoning_makes_smaller_row_groups(tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, "GROUP_BYTES", 1000)
    found = export(tmp_path / "export", page(range(5), "train", reasoning="x" * 400))
    groups = pq.ParquetFile(tmp_path / "export" / found.splits["train"][0].path).metadata
    assert [groups.row_group(place).num_rows for place in range(groups.num_row_groups)] == [3, 2]


def test_the_hash_is_of_the_kept_rows_as_a_reader_of_the_files_finds_them(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    rows = [row for path in sorted(folder.glob("data/*.parquet")) for row in pq.read_table(path).to_pylist()]
    rows.sort(key=lambda row: (row["prompt_id"], row["teacher"], row["sample_index"]))
    lines = (json.dumps(row, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n" for row in rows)
    assert hashlib.sha256("".join(lines).encode()).hexdigest() == manifest["sha256"]


def test_what_the_writing_thread_raises_reaches_the_export(tmp_path):
    with Export(tmp_path / "export") as broken:
        (tmp_path / "export" / "data").write_text("in the way")
        broken.add(page([1], "train"))
        with pytest.raises(FileExistsError):
            broken.close()
