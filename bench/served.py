"""Tokens per second from a real vLLM server: Retort's worker beside `vllm bench serve`, same prompts and concurrency.

    python -m bench.served                   # the tiny teacher, 800 prompts, 64 at once, twice each

vLLM's own load generator stores nothing; the worker commits every answer.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sqlalchemy import text

from service.models import BatchState
from service.settings import Settings
from service.spooling import Spooled
from service.store import batches, teachers
from service.store.database import Database
from service.submission import Order, accept
from tests.workers.teachers.served import TEACHER, serve_teacher

MAX_TOKENS = 256
BENCH = (
    "import argparse; from vllm.benchmarks.serve import add_cli_args, main; parser = argparse.ArgumentParser(); "
    "add_cli_args(parser); main(parser.parse_args())"
)
"""`vllm bench serve` without the console script, which does not know the CPU build's name."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=800)
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=2)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        questions = _questions(folder, given.prompts)
        teacher = serve_teacher(TEACHER, "--name", "teacher")
        try:
            _plain(folder, teacher.base_url, questions[:200], given.in_flight)  # the engine is warm from here on
            for round in range(given.rounds):
                plain = _plain(folder, teacher.base_url, questions, given.in_flight)
                ours = _worker(folder / str(round), teacher.base_url, questions, given.in_flight)
                print(
                    f"{given.in_flight} in flight: vllm bench serve {plain:,.0f} tokens/s, "
                    f"retort worker {ours:,.0f} tokens/s, ratio {ours / plain:.3f}",
                    flush=True,
                )
        finally:
            teacher.process.send_signal(signal.SIGTERM)
            teacher.process.wait(60)


def _questions(folder: Path, count: int) -> list[str]:
    script = TEACHER.parent / "prompts.py"
    command = [sys.executable, str(script), "--seed", "7", "--train", str(count), "--heldout", "0", "--ood", "0"]
    subprocess.run([*command, "--out", str(folder)], check=True, stdout=subprocess.DEVNULL)
    return [json.loads(line)["prompt"] for line in (folder / "train.jsonl").read_text().splitlines()]


def _plain(folder: Path, base_url: str, questions: list[str], in_flight: int) -> float:
    """Return vLLM's own figure: output tokens per second."""
    prompts = folder / "custom.jsonl"
    prompts.write_text("".join(json.dumps({"prompt": each}) + "\n" for each in questions))
    options = {
        "backend": "openai-chat",
        "base-url": base_url.removesuffix("/v1"),
        "endpoint": "/v1/chat/completions",
        "model": "teacher",
        "tokenizer": str(TEACHER),
        "dataset-name": "custom",
        "dataset-path": str(prompts),
        "custom-output-len": str(MAX_TOKENS),
        "num-prompts": str(len(questions)),
        "max-concurrency": str(in_flight),
        "temperature": "1.0",
        "result-dir": str(folder),
        "result-filename": "plain.json",
    }
    flags = [word for name, value in options.items() for word in (f"--{name}", value)]
    command = [sys.executable, "-c", BENCH, *flags, "--save-result", "--disable-tqdm", "--disable-shuffle"]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"vllm bench serve: {done.stderr[-3000:]}")
    return float(json.loads((folder / "plain.json").read_text())["output_throughput"])


def _worker(folder: Path, base_url: str, questions: list[str], in_flight: int) -> float:
    """Return completion tokens over the time from the first shard's claim to the batch's end."""
    folder.mkdir()
    settings = Settings(data_dir=folder)
    database = Database(settings.url())
    database.create()
    with database.write() as session:
        values = {"base_url": base_url, "model": "teacher", "max_concurrency": in_flight}
        teachers.register(session, {"name": "teacher"} | values)
    prompts = folder / "prompts.jsonl"
    prompts.write_text("".join(json.dumps({"prompt": each}) + "\n" for each in questions))
    sampling = {"temperature": 1.0, "max_tokens": MAX_TOKENS}
    batch, _ = accept(database, settings, Order(["teacher"], 1, sampling, {}), Spooled(prompts, ""))
    command = [sys.executable, "-m", "workers", "--kinds", "generate", "--data-dir", str(folder)]
    with (folder / "log.txt").open("w") as log:
        process = subprocess.Popen(command, stderr=log)
        try:
            _finished(database, batch.id, process)
        finally:
            process.terminate()
            process.wait(40)
    with database.read() as session:
        query = "select sum(completion_tokens), max(finished_at) - min(started_at) from job"
        tokens, seconds = tuple(session.connection().execute(text(query)).one())
    database.close()
    return tokens / seconds


def _finished(database: Database, batch_id: str, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        with database.read() as session:
            if batches.get(session, batch_id).state == BatchState.COMPLETED:
                return
        time.sleep(0.1)
    raise SystemExit("the worker died")


if __name__ == "__main__":
    main()
