"""Students answered for by vLLM, in a process of its own: when it ends, all of the device's memory is free again."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from trainer import hardware
from trainer.errors import TrainerError
from trainer.generate import Asking

Engine = Literal["vllm", "transformers"]
TAIL_CHARACTERS = 1500
"""Of the process's last words, where it fails."""
STOP_GRACE_S = 10.0
ENVIRONMENT = {"VLLM_NO_USAGE_STATS": "1", "VLLM_LOGGING_LEVEL": "WARNING"}
ON_CPU = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
"""One GiB of keys and values is far more than a student needs that a CPU answers for."""


def pick_engine(asked: Literal["auto", "vllm", "transformers"]) -> Engine:
    """Return what generates. Raises TrainerError `no_vllm` where it is asked for and not there."""
    there = importlib.util.find_spec("vllm") is not None
    if asked == "vllm" and not there:
        raise TrainerError(
            "no_vllm", "`evaluation.engine` is vllm, which is not installed here: pip install vllm, or take `auto`"
        )
    if asked != "auto":
        return asked
    import torch

    return "vllm" if there and torch.cuda.is_available() else "transformers"


def generate_with_vllm(
    model: Path, parts: Sequence[tuple[list[list[int]], Asking]], on_progress: Callable[[int, int], None]
) -> list[list[list[int]]]:
    """Return for each part the generated tokens of every prompt, the stop token included.

    Each part is prompts as tokens and how replies are drawn. `on_progress` hears the part and how many of its prompts
    are answered. Raises TrainerError `vllm_failed` with the process's last words.
    """
    with tempfile.TemporaryDirectory(prefix="retort-vllm-") as name:
        folder = Path(name)
        job = {
            "model": str(model),
            "dtype": "bfloat16" if hardware.pick_precision("auto") == "bf16" else "float32",
            "on_cpu": not hardware.has_accelerator(),
            "parts": [
                {
                    "prompts": prompts,
                    "stop_tokens": asking.stop_tokens,
                    "tokens_max": asking.tokens_max,
                    "temperature": asking.temperature,
                    "seed": asking.seed,
                }
                for prompts, asking in parts
            ],
        }
        (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
        _run(folder, on_progress)
        return json.loads((folder / "replies.json").read_bytes())


def _run(folder: Path, on_progress: Callable[[int, int], None]) -> None:
    environment = ENVIRONMENT | ({} if hardware.has_accelerator() else _on_cpu()) | dict(os.environ)
    log = folder / "log.txt"
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "trainer.vllm_process", str(folder)],
            stdin=subprocess.PIPE,  # held open: its end tells the process that we are gone
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=environment,
            start_new_session=True,
            text=True,
        )
        try:
            assert process.stdout is not None  # noqa: S101 - for the type checker: it is a pipe
            for line in process.stdout:
                if line.startswith("{"):
                    told = json.loads(line)
                    on_progress(told["part"], told["done"])
            code = process.wait()
        finally:
            _end(process)
    if code or not (folder / "replies.json").exists():
        words = log.read_text(encoding="utf-8", errors="replace").strip()[-TAIL_CHARACTERS:]
        raise TrainerError(
            "vllm_failed",
            f"vLLM ended with status {code} while it answered for the student; `evaluation.engine: transformers` does "
            f"without it. Its last words: {words}",
        )


def _end(process: "subprocess.Popen[str]") -> None:
    """Leave no process of vLLM behind, however this one's work ends."""
    for number, grace_s in ((signal.SIGTERM, STOP_GRACE_S), (signal.SIGKILL, None)):
        if process.poll() is None or number == signal.SIGKILL:
            try:
                os.killpg(process.pid, number)
                process.wait(grace_s)
            except (ProcessLookupError, PermissionError, subprocess.TimeoutExpired):
                continue


def _on_cpu() -> dict[str, Any]:
    return ON_CPU | {"OMP_NUM_THREADS": str(hardware.cores())}
