"""The tutorial on the tiny teacher, typed as it stands, with fewer prompts and steps."""

import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.conftest import leave_out
from tests.docs.blocks import ROOT, blocks, play
from tests.processes import free_ports

PAGE = "docs/tutorials/tiny-teacher.md"
pytestmark = [pytest.mark.vllm, pytest.mark.train, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that looks like the repository's to what the tutorial types."""
    if not shutil.which("jq"):
        leave_out("the tutorial: jq is not installed")
    if not shutil.which("nvidia-smi") and sys.platform != "linux":
        leave_out("the tutorial: vLLM has no build for this machine")
    made = tmp_path_factory.mktemp("tutorial")
    (made / "examples").symlink_to(ROOT / "examples")
    return made


@pytest.fixture(scope="module")
def printed(folder: Path) -> str:
    port = free_ports(2)
    script = "\n".join(blocks(PAGE, "bash"))
    changes = {
        "--port 8080": f"--port {port}",
        "--port 8000": f"--port {port + 1}",
        "127.0.0.1:8000": f"127.0.0.1:{port + 1}",
        "--train 1000 --heldout 360": "--train 60 --heldout 12",
        "--config examples/arithmetic/student.json": "--config examples/arithmetic/student.json --set-knob max_steps=4",
    }
    for written, instead in changes.items():
        assert written in script, f"the tutorial no longer types {written}"
        script = script.replace(written, instead)
    environment = {"RETORT_URL": f"http://127.0.0.1:{port}", "HF_HUB_OFFLINE": "1", "RETORT_DRAIN_S": "5"}
    return play(script, folder, environment)


def test_the_tutorial_ends_with_a_measured_student(printed):
    for step in (
        "120 stored, 0 failed",
        "would keep",
        "sums@1 sealed",
        "rejected by verified: wrong_answer",
        "every row can be trained on",
        "succeeded",
    ):
        assert step in printed
    assert re.search(r"^all +12 ", printed, re.MULTILINE)


def test_the_tutorial_leaves_a_dataset_folder(folder, printed):
    assert {"README.md", "manifest.json", "rejected.parquet"} <= {
        path.name for path in (folder / "tutorial/sums-v1").iterdir()
    }
