"""The data of all experiments, made once through the product: a real Retort, a real vLLM, the commands of a user.

Begun again, it goes on where it stopped: orders carry a key, and what is exported is not made twice.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from bench.crew import Member, until
from bench.experiments import compactor
from bench.experiments.place import ARITHMETIC, Place
from service.settings import Settings
from service.store.database import Database
from tests.processes import free_ports
from workers.evaluation import write_evaluation

RETORT = str(Path(sys.executable).with_name("retort"))
ANSWERS, TOP_LOGPROBS = 4, 8
"""To each prompt, at temperature 1; entries of the soft label of a token."""
SERVICE_READY_S, VLLM_READY_S = 120, 1800

SOUND = [
    {"kind": "licence", "use": "research"},
    {"kind": "length", "tokens_min": 8, "tokens_max": 256},
    {"kind": "repetition"},
]
RIGHT = [*SOUND, {"kind": "verified"}]
REWRITTEN = [SOUND[0], RIGHT[-1]]
"""An answer alone has but a few tokens, and its whole trace was found sound."""


@dataclass(frozen=True)
class Size:
    """How much of everything."""

    prompts: int
    heldout: int
    selected: int
    """Rows of the versions that keep K of all right answers."""


FULL = Size(prompts=500, heldout=360, selected=400)
QUICK = Size(prompts=60, heldout=24, selected=40)


def select(size: Size, by: str) -> list[dict[str, Any]]:
    """Return the recipe that keeps K of the right answers."""
    return [*RIGHT, {"kind": "select", "count": size.selected, "by": by}]


class Maker:
    """Makes what is missing."""

    def __init__(self, place: Place, size: Size) -> None:
        self.place, self.folder, self.size = place, place.folder, size
        port = free_ports(2)
        self.url, self.teacher_url = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{port + 1}"
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("RETORT_", "DATABASE_URL"))}
        self.env = clean | {"RETORT_URL": self.url, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
        up = [RETORT, "up", "--port", str(port), "--data-dir", str(self.folder / "data"), "--workers", "2"]
        self.service = Member("service", up, self.env, self.folder / "service.log")

    def make(self) -> None:
        """Ask the teacher, curate and export, as far as that is not done."""
        if self.place.evaluation.exists():  # the last to be written
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        self._write_prompts()
        self.service.start()
        try:
            until(lambda: _answers(f"{self.url}/readyz"), SERVICE_READY_S, f"Retort, see {self.service.log}")
            self._make()
        finally:
            self.service.stop()

    def _make(self) -> None:
        self._retort(
            "teacher", "add", "arithmetic", f"{self.teacher_url}/v1", "teacher",
            "--license", "apache-2.0", "--tokenizer", ARITHMETIC / "teacher",
        )  # fmt: skip
        train = self._ask("train", "-n", ANSWERS, "--temperature", 1, "--seed", 0)
        heldout = self._ask("heldout", "--temperature", 0, "--set", "held-out")
        if not self.place.version("verified").exists():
            with self._teacher():
                for batch in (train, heldout):
                    self._retort("status", batch, "--follow", shown=True)
                self._retort("soft-labels", train, "--top-logprobs", TOP_LOGPROBS, "--follow", shown=True)
        self._curate("verified", train, RIGHT)
        self._curate("unverified", train, SOUND)
        self._control("random", "verified", "verified")
        for by in ("random", "diversity", "hardest", "shortest"):
            self._curate(f"select-{by}", train, select(self.size, by))
        self._curate("answer-only", self._rewrite("--answer-only"), REWRITTEN)
        with compactor.serving() as url:
            self._retort("teacher", "add", "compactor", url, "rule", "--license", "apache-2.0")
            # Steps that are one equation already stay as they are.
            rewritten = self._rewrite("--compact", "--teacher", "compactor", "--share-max", "1")
        self._curate("compact", rewritten, REWRITTEN)
        self._write_evaluation(heldout)

    def _write_prompts(self) -> None:
        counts = {"train": self.size.prompts, "heldout": self.size.heldout, "ood": 0}
        command = [sys.executable, str(ARITHMETIC / "prompts.py"), "--out", str(self.folder / "prompts")]
        subprocess.run([*command, *(word for key in counts for word in (f"--{key}", str(counts[key])))], check=True)

    def _ask(self, name: str, *sampling: object) -> str:
        """Submit a file of prompts, once, and return the batch."""
        order = ["submit", self.folder / "prompts" / f"{name}.jsonl", "--teacher", "arithmetic", "--max-tokens", 256]
        return self._retort(*order, *sampling, "--key", f"experiments-{name}-{self.size.prompts}", "--json")["id"]

    def _rewrite(self, *how: str) -> str:
        return self._retort("rewrite", "verified@1", *how, "--follow", "--json")["id"]

    def _curate(self, name: str, batch: str, filters: list[dict[str, Any]]) -> None:
        if self.place.version(name).exists():
            return
        recipe = self.folder / f"{name}.json"
        recipe.write_text(json.dumps({"filters": filters, "on_abstain": "reject"}))
        made = self._retort(
            "curate", name, "--batch", batch, "--recipe", recipe, "--use", "research",
            "--eval", 0, "--test", 0, "--follow", "--json",
        )  # fmt: skip
        self._export(name, made)

    def _control(self, name: str, of: str, kind: str) -> None:
        if not self.place.version(name).exists():
            self._export(name, self._retort("control", f"{of}@1", "--filter", kind, "--follow", "--json"))

    def _export(self, name: str, made: dict[str, Any]) -> None:
        self.place.version(name).parent.mkdir(exist_ok=True)
        self._retort("export", f"{made['dataset']}@{made['number']}", "--out", self.place.version(name), shown=True)

    def _write_evaluation(self, heldout: str) -> None:
        database = Database(Settings(data_dir=self.folder / "data").url())
        try:
            write_evaluation(database, [heldout], self.place.evaluation.with_suffix(".partial"))
        finally:
            database.close()
        self.place.evaluation.with_suffix(".partial").rename(self.place.evaluation)

    @contextmanager
    def _teacher(self) -> Iterator[None]:
        serve = [RETORT, "teacher", "serve", str(ARITHMETIC / "teacher"), "--name", "teacher"]
        serve += ["--port", self.teacher_url.rpartition(":")[2]]
        teacher = Member("teacher", serve, self.env, self.folder / "teacher.log")
        teacher.start()
        try:
            until(lambda: not teacher.runs or _answers(f"{self.teacher_url}/health"), VLLM_READY_S, "the teacher")
            if not teacher.runs:
                raise SystemExit(f"the teacher's server ended; {teacher.log} tells why")
            yield
        finally:
            teacher.stop()

    def _retort(self, *words: object, shown: bool = False) -> Any:
        """Run a command of Retort; its JSON is returned, or it is left to be read."""
        command = [RETORT, *map(str, words)]
        print("$ retort", *command[1:], flush=True)
        done = subprocess.run(command, env=self.env, stdout=None if shown else subprocess.PIPE, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"`retort {' '.join(command[1:])}` failed; {self.service.log} tells more")
        return json.loads(done.stdout.splitlines()[-1]) if "--json" in words else None


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False
