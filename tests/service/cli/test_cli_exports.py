"""Unpacking and checking an export."""

import hashlib
import json
import os
import stat
import zipfile
from pathlib import Path
from typing import Any

import pytest

from service.cli.exports import check_export, unpack
from service.cli.terminal import FAILED, Refused


def packed(path: Path, entries: dict[str, bytes], mode: int = 0o644) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in entries.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = mode << 16
            archive.writestr(entry, data)
    return path


def part(folder: Path, path: str, data: bytes, rows: int) -> dict[str, Any]:
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_bytes(data)
    return {"path": path, "sha256": hashlib.sha256(data).hexdigest(), "rows": rows, "bytes": len(data)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An export whose files are as its manifest says."""
    folder = tmp_path / "sums-v1"
    manifest = {
        "dataset": "sums",
        "version": 1,
        "sha256": "0" * 64,
        "batches": ["batch_1"],
        "recipe": {"filters": []},
        "teachers": [],
        "input": 3,
        "kept": 2,
        "funnel": [],
        "splits": {"train": [part(folder, "data/train-00000.parquet", b"train", 2)]},
        "rejected": part(folder, "rejected.parquet", b"rejected", 1),
        "licence": {"decision": "allowed", "intended_use": "research"},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def test_an_archive_is_unpacked_below_its_top_folder(tmp_path: Path) -> None:
    archive = packed(tmp_path / "a.zip", {"sums-v1/manifest.json": b"{}", "sums-v1/data/train-00000.parquet": b"x"})
    unpack(archive, tmp_path / "out")
    files = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert files == ["data/train-00000.parquet", "manifest.json"]


@pytest.mark.parametrize(
    "name", ["../evil", "sums-v1/../../evil", "/etc/evil", "sums-v1\\..\\evil", "C:/evil", "sums-v1/C:/evil", "evil"]
)
def test_an_entry_that_leads_elsewhere_is_refused_before_anything_is_written(tmp_path: Path, name: str) -> None:
    archive = packed(tmp_path / "a.zip", {"sums-v1/good": b"x", name: b"x"})
    with pytest.raises(Refused, match="unsafe path") as refusal:
        unpack(archive, tmp_path / "out")
    assert refusal.value.code == FAILED
    assert os.listdir(tmp_path) == ["a.zip"]


def test_a_link_is_refused(tmp_path: Path) -> None:
    archive = packed(tmp_path / "a.zip", {"sums-v1/link": b"/etc/passwd"}, mode=stat.S_IFLNK | 0o777)
    with pytest.raises(Refused, match="unsafe path"):
        unpack(archive, tmp_path / "out")


def test_a_download_that_broke_off_is_told(tmp_path: Path) -> None:
    archive = packed(tmp_path / "a.zip", {"sums-v1/good": b"x" * 1000})
    archive.write_bytes(archive.read_bytes()[:500])
    with pytest.raises(Refused, match="damaged"):
        unpack(archive, tmp_path / "out")


def test_a_whole_export_is_as_its_manifest_says(folder: Path) -> None:
    assert check_export(folder).dataset == "sums"


@pytest.mark.parametrize("path", ["data/train-00000.parquet", "rejected.parquet"])
def test_a_changed_file_is_named(folder: Path, path: str) -> None:
    (folder / path).write_bytes(b"changed")
    with pytest.raises(Refused, match=f"{path} is not what was sealed"):
        check_export(folder)


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / "rejected.parquet").unlink()
    with pytest.raises(Refused, match=r"lacks rejected\.parquet"):
        check_export(folder)


def test_a_missing_manifest_is_told(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"manifest\.json"):
        check_export(tmp_path)
