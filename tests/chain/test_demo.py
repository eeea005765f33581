"""The whole way on real parts: the demo as a newcomer runs it, small, and what it leaves behind."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from filters.manifest import Manifest
from tests.conftest import leave_out
from tests.processes import free_ports

ROOT = Path(__file__).parents[2]
ARITHMETIC = ROOT / "examples" / "arithmetic"
pytestmark = [pytest.mark.vllm, pytest.mark.train, pytest.mark.timeout(900)]


class Demo:
    """One demo folder; `run` plays the demo in it, `retort` speaks to it afterwards."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.student = folder / "student.json"
        knobs = json.loads((ARITHMETIC / "student.json").read_text())
        self.student.write_text(json.dumps(knobs | {"max_steps": 30, "save_steps": 15}))
        small = {
            "DIR": folder,
            "PORT": free_ports(2),
            "PROMPTS": 150,
            "HELDOUT": 30,
            "OOD": 15,
            "STUDENT": self.student,
        }
        self.environment = os.environ | {f"RETORT_DEMO_{name}": str(value) for name, value in small.items()}

    def run(self) -> str:
        done = subprocess.run([ARITHMETIC / "demo.sh"], env=self.environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done.stdout


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    if not shutil.which("nvidia-smi") and sys.platform != "linux":
        leave_out("the demo: vLLM has no build for this machine")
    return Demo(tmp_path_factory.mktemp("demo"))


@pytest.fixture(scope="module")
def played(demo: Demo) -> str:
    return demo.run()


def test_the_demo_ends_with_funnel_gap_table_and_where_things_are(demo, played):
    assert re.search(r"verified\s+\d+\s+\d+\s+\d+", played), played[-3000:]
    for word in ("base", "student", "teacher", "held-out", "out-of-distribution", "retort up"):
        assert word in played


def test_the_export_keeps_its_promises(demo, played):
    folder = demo.folder / "verified-v1"
    manifest = Manifest.model_validate_json((folder / "manifest.json").read_bytes())
    rejected = pq.read_table(folder / "rejected.parquet")
    rows = sum(part.rows for parts in manifest.splits.values() for part in parts)
    assert manifest.input == 300 == manifest.kept + rejected.num_rows
    assert rows == manifest.kept > 0
    assert set(rejected["reason"].to_pylist()) - {""}


def test_the_export_loads_with_datasets(demo, played):
    folder = str(demo.folder / "verified-v1")
    code = f"import datasets; print(datasets.load_dataset({folder!r})['train'][0]['prompt'])"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=demo.environment | cache(demo), check=False
    )
    assert loaded.returncode == 0, loaded.stderr[-3000:]
    assert "'role': 'user'" in loaded.stdout


def test_the_export_trains_with_plain_trl(demo, played):
    trl = [Path(sys.executable).parent / "trl", "sft", "--model_name_or_path", ARITHMETIC / "student-base"]
    trl += ["--dataset_name", demo.folder / "verified-v1", "--output_dir", demo.folder / "trl", "--max_steps", "2"]
    trl += ["--use_cpu", "--report_to", "none", "--gradient_checkpointing", "False", "--bf16", "False"]
    done = subprocess.run(
        list(map(str, trl)), capture_output=True, text=True, env=demo.environment | cache(demo), check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert list((demo.folder / "trl").glob("*.safetensors"))


def test_a_run_leaves_a_student_with_card_report_and_chart(demo, played):
    (student, *_) = sorted((demo.folder / "data" / "runs").glob("*/student"))
    assert {"model.safetensors", "tokenizer.json", "README.md"} <= {path.name for path in student.iterdir()}
    report = json.loads((student.parent / "report.json").read_text())
    assert report
    assert (student.parent / "gap-held-out.svg").stat().st_size > 1000


def test_played_again_it_goes_on_where_it_stopped(demo, played):
    before = {path: path.stat().st_mtime_ns for path in (demo.folder / "data" / "runs").rglob("*.safetensors")}
    again = demo.run()
    assert "the teacher can rest" in again
    assert {path: path.stat().st_mtime_ns for path in (demo.folder / "data" / "runs").rglob("*.safetensors")} == before
    assert table(again) == table(played)


def table(printed: str) -> str:
    """Return what the demo printed from the funnel on."""
    return printed[printed.index("6  What became") :]


def cache(demo: Demo) -> dict[str, str]:
    """Return the environment that keeps Hugging Face's caches inside the demo's folder."""
    return {"HF_HOME": str(demo.folder / "hf"), "HF_HUB_OFFLINE": "1"}
