"""What Retort's training costs over plain `trl sft`: the same rows, base, steps and rate, one after the other in turns.

    python -m bench.training                 # 40 steps of 32 rows, three turns

Each run is a process from its start to its end: imports, rows, steps, student on disk. Neither evaluates. Beside wall
time stands processor time, which others on the machine change less. On a CPU Retort takes the loss that is faster there
(`trainer/cpu.py`), so the time outside the steps is told apart: there its checks are, its rendering, its card.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.trainer.tiny import make_row, write_dataset

BASE = Path("examples/arithmetic/student-base")
BATCH, ACCUMULATION, RATE = 8, 4, 1e-3


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one process."""

    wall_s: float
    cpu_s: float
    steps_s: float
    """Wall time of the training loop alone."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--rows", type=int, default=512)
    parser.add_argument("--turns", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        dataset = write_dataset(folder / "dataset", [make_row(number) for number in range(given.rows)])
        costs: dict[str, list[Cost]] = {"trl sft": [], "retort": []}
        for turn in range(given.turns):
            pair = [("trl sft", _plain), ("retort", _ours)]
            for who, run in pair if turn % 2 == 0 else pair[::-1]:
                costs[who].append(cost := run(dataset, folder / f"{who.replace(' ', '-')}-{turn}", given.steps))
                outside = cost.wall_s - cost.steps_s
                print(
                    f"{who}: {cost.wall_s:.1f} s, processor {cost.cpu_s:.1f} s, outside the steps {outside:.1f} s",
                    flush=True,
                )
    for what, read in {
        "wall time": lambda cost: cost.wall_s,
        "processor time": lambda cost: cost.cpu_s,
        "wall time outside the steps": lambda cost: cost.wall_s - cost.steps_s,
    }.items():
        ours, plain = (statistics.median(map(read, costs[who])) for who in ("retort", "trl sft"))
        print(f"median {what}: retort {ours:.1f} s, trl sft {plain:.1f} s, ratio {ours / plain:.3f}")


def _ours(dataset: Path, out: Path, steps: int) -> Cost:
    knobs = {"max_steps": steps, "batch_size": BATCH, "gradient_accumulation": ACCUMULATION, "learning_rate": RATE}
    knobs |= {"save_steps": steps, "evaluation.base": "false"}
    settings = [part for knob, value in knobs.items() for part in ("--set", f"{knob}={value}")]
    wall_s, cpu_s, _ = _timed(
        [sys.executable, "-m", "trainer", "sft", dataset, "--student", BASE, "--out", out, *settings]
    )
    return Cost(wall_s, cpu_s, json.loads((out / "training.json").read_text())["train_s"])


def _plain(dataset: Path, out: Path, steps: int) -> Cost:
    options = {"model_name_or_path": BASE, "dataset_name": dataset / "data", "output_dir": out, "max_steps": steps}
    options |= {"per_device_train_batch_size": BATCH, "gradient_accumulation_steps": ACCUMULATION}
    options |= {"learning_rate": RATE, "lr_scheduler_type": "cosine", "warmup_steps": 0.03, "save_steps": steps}
    options |= {"attn_implementation": "eager", "dtype": "float32", "bf16": _bf16(), "gradient_checkpointing": False}
    options |= {"max_length": 512, "report_to": "none", "use_cpu": True, "logging_steps": 1}
    arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
    wall_s, cpu_s, log = _timed([Path(sys.executable).parent / "trl", "sft", *arguments])
    runtime = next(line for line in reversed(log.splitlines()) if "train_runtime" in line)
    return Cost(wall_s, cpu_s, float(runtime.split("train_runtime'")[1].split(",")[0].strip(" :'")))


def _bf16() -> bool:
    from trainer.hardware import pick_precision

    return pick_precision("auto") == "bf16"


def _timed(arguments: list[object]) -> tuple[float, float, str]:
    """Return wall and processor seconds of a process, and what it wrote."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    done = subprocess.run(
        [str(part) for part in arguments], env=environment, text=True, capture_output=True, check=False
    )
    wall_s, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{arguments} ended with {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall_s, cpu_s, done.stdout + done.stderr


if __name__ == "__main__":
    main()
