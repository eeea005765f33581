"""Pushing an export to a hub and to other stores; neither needs a running Retort."""

import hashlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from service.cli.terminal import FAILED
from tests.service.cli.hub import Hub


def export(folder: Path, text: bytes, decision: str = "allowed", version: int = 1) -> Path:
    """An export of one split whose files are as its manifest says."""

    def part(path: str, data: bytes) -> dict[str, Any]:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
        return {"path": path, "sha256": hashlib.sha256(data).hexdigest(), "rows": 1, "bytes": len(data)}

    manifest = {
        "dataset": "sums",
        "version": version,
        "sha256": hashlib.sha256(text).hexdigest(),
        "batches": ["batch_1"],
        "recipe": {"filters": []},
        "teachers": [],
        "input": 2,
        "kept": 1,
        "funnel": [],
        "splits": {"train": [part("data/train-00000.parquet", text)]},
        "rejected": part("rejected.parquet", b"rejected"),
        "licence": {"decision": decision, "intended_use": "research", "clauses": ["nobody said"]},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "README.md").write_text("---\nlicense: mit\n---\n\n# sums\n")
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def hub() -> Iterator[tuple[Hub, str]]:
    hub = Hub()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(hub.app, log_level="warning", ws="none"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        deadline = time.monotonic() + 30
        while not server.started:
            assert time.monotonic() < deadline, "the hub did not start"
            time.sleep(0.02)
        yield hub, f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join()


def test_a_push_to_a_hub_goes_on_where_it_broke_and_replaces_the_version_before(hub, retort, tmp_path):
    found, url = hub
    settings = {"HF_ENDPOINT": url, "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(tmp_path / "hf"), "MY_TOKEN": "hf_x"}

    def push(folder: Path):
        return retort("push", str(folder), "hf://datasets/ann/sums", "--token-env", "MY_TOKEN", "--json", **settings)

    first = export(tmp_path / "one", b"one")
    found.refuse_puts_after = 1
    broken = push(first)
    assert broken.returncode == FAILED, broken.stderr
    assert "goes on" in broken.stdout, broken.stdout
    assert (len(found.puts), found.commits) == (1, [])
    found.refuse_puts_after = None
    done = push(first)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["sent"] == 4
    assert (len(found.puts), found.files, found.tokens) == (2, files(first), {"Bearer hf_x"})
    found.files["data/train-00001.parquet"] = b"of an older version"
    second = export(tmp_path / "two", b"two", version=2)
    assert json.loads(push(second).stdout)["there"] == 2
    assert (found.files, len(found.commits)) == (files(second), 2)
    assert "hf_x" not in done.stdout + done.stderr


def test_a_push_to_a_folder_is_whole_once_its_manifest_is_there(call, tmp_path):
    folder, target = export(tmp_path / "one", b"one"), tmp_path / "shelf" / "sums"
    assert call("push", str(folder), f"file://{target}").exit_code == 0
    assert files(target) == files(folder)
    (target / "manifest.json").unlink()
    (target / "rejected.parquet").write_bytes(b"rejecte!")
    again = call("push", str(folder), f"file://{target}", "--json")
    assert (json.loads(again.stdout)["sent"], files(target)) == (2, files(folder))
    other = call("push", str(export(tmp_path / "two", b"two", version=2)), f"file://{target}")
    assert (other.exit_code, "holds sums@1" in other.stderr) == (2, True)


@pytest.mark.parametrize(
    ("decision", "target", "said"),
    [
        ("unknown", "memory://sums", "nobody said"),
        ("allowed", "hf://models/ann/sums", "no dataset on a hub"),
        ("allowed", "shelf", "names no place"),
        ("allowed", "nowhere://x", "cannot be reached"),
    ],
)
def test_what_may_not_or_cannot_be_pushed_is_refused(call, tmp_path, decision, target, said):
    refused = call("push", str(export(tmp_path / "one", b"one", decision)), target)
    assert (refused.exit_code, said in refused.stderr) == (2, True)
