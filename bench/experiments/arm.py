"""One arm with one seed: trained and measured by the trainer itself, and what is kept of it.

A result names, as a hash, all that it depends on; whoever finds one with the same hash need not run it again. A run
that was broken off goes on from its last checkpoint, as every run of the trainer does.
"""

import hashlib
import json
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from bench.experiments.place import ARITHMETIC, Place
from bench.experiments.questions import ARMS, BASE, COMMON, SMALL, Arm

Say = Callable[[str], None]
EVALUATION = {"base": False, "samples": 1, "perturbations": [], "rows_max": 0, "watch_rows": 0}
"""Right or wrong, once greedily and once sampled: what else a report can have takes longer than a training here."""


class Seen(BaseModel):
    """What a training saw."""

    rows: int
    steps: int
    tokens: int
    """Of prompts and replies, every time that they were seen."""


class Result(BaseModel):
    """What one arm with one seed came to: `results/ARM-SEED.json`."""

    key: str
    """Hash of what it depends on: data, prompts, base, settings, seed, and the arms it stands on."""
    seen: dict[str, Seen]
    """By model: `student`, and `stage:N` where there are stages."""
    cpu_s: float
    wall_s: float
    threads: int
    parameters: int
    right: dict[str, dict[str, list[bool | None]]]
    """By model and mode, prompt by prompt in the order of the evaluation file; None where nobody could judge."""
    reply_tokens: dict[str, float]
    """Of a greedy reply, by model."""


def read(place: Place, arm: Arm, seed: int) -> Result | None:
    """Return the result if it is there and still holds."""
    try:
        found = Result.model_validate_json(place.result(arm.name, seed).read_bytes())
    except (OSError, ValueError):
        return None
    return found if found.key == key(place, arm, seed) else None


def key(place: Place, arm: Arm, seed: int) -> str:
    """Hash what a result depends on. The trainer's own code is not part of it."""
    manifest = _sha256(place.version(arm.version) / "manifest.json")
    student = key(place, ARMS[arm.student], seed) if arm.student in ARMS else _digest(student_of(place, arm, seed))
    others = [key(place, ARMS[name], seed) for name in (arm.tokens_of, arm.first_stage) if name]
    parts = [asdict(arm), COMMON, EVALUATION, seed, place.steps_max, manifest, student, others]
    text = json.dumps([*parts, _sha256(place.evaluation)], sort_keys=True, default=str)
    text = text.replace(str(ARITHMETIC), "")  # wherever the repository lies
    return hashlib.sha256(text.encode()).hexdigest()


def student_of(place: Place, arm: Arm, seed: int) -> Path:
    """Return the folder of the model that an arm begins with."""
    named = {BASE: ARITHMETIC / "student-base", SMALL: place.small}
    return named[arm.student] if arm.student in named else place.run(arm.student, seed) / "student"


def measure(place: Place, arm: Arm, seed: int, say: Say) -> Result:
    """Train and measure, write the result and return it. Raises TrainerError as `trainer.run.run` does."""
    import torch

    from trainer.examine import Given
    from trainer.run import run
    from trainer.settings import read_settings
    from trainer.supervisor import Supervisor

    name, out = key(place, arm, seed), place.run(arm.name, seed)
    noted = out / "key"
    if out.exists() and not (noted.exists() and noted.read_text() == name):
        shutil.rmtree(out)  # of other data or settings
    out.mkdir(parents=True, exist_ok=True)
    noted.write_text(name)
    if arm.first_stage:
        _take_over(place.run(arm.first_stage, seed), out / "stages" / "1")
    began, cpu = time.monotonic(), time.process_time()
    settings = read_settings(arm.method, _settings(place, arm, seed))
    supervisor = Supervisor(listener=lambda event: say(_told(event)))
    run(arm.method, settings, place.version(arm.version), out, Given(place.evaluation), supervisor)
    found = Result(
        key=name,
        cpu_s=round(time.process_time() - cpu, 1),
        wall_s=round(time.monotonic() - began, 1),
        threads=torch.get_num_threads(),
        parameters=_trained(out)["parameters"],
        seen={"student": Seen(**_trained(out))} | {f"stage:{n}": Seen(**_trained(stage)) for n, stage in _stages(out)},
        **_answers(out),
    )
    target = place.result(arm.name, seed)
    target.parent.mkdir(exist_ok=True)
    target.with_suffix(".partial").write_text(found.model_dump_json(), encoding="utf-8")
    target.with_suffix(".partial").rename(target)
    return found


def _take_over(finished: Path, stage: Path) -> None:
    """Make a finished run the first stage of another: the trainer finds its student there and goes on."""
    if not (stage / "student").exists():
        stage.mkdir(parents=True, exist_ok=True)
        shutil.copy(finished / "training.json", stage)
        shutil.copytree(finished / "student", stage / "student.partial", dirs_exist_ok=True)
        (stage / "student.partial").rename(stage / "student")


def _settings(place: Place, arm: Arm, seed: int) -> dict[str, Any]:
    settings = COMMON | {"student": str(student_of(place, arm, seed)), "seed": seed} | arm.knobs
    settings["evaluation"] = EVALUATION | {"seed": seed} | settings.get("evaluation", {})
    if arm.tokens_of:
        settings["max_steps"] = _steps_for(place, arm, seed)
    if place.steps_max:
        settings["max_steps"] = min(settings["max_steps"], place.steps_max)
    return settings


def _steps_for(place: Place, arm: Arm, seed: int) -> int:
    """Return how many steps on this arm's rows have as many tokens as the other arm saw."""
    wanted = read(place, ARMS[arm.tokens_of], seed)
    like = read(place, ARMS[arm.student], seed)
    assert wanted is not None, f"{arm.tokens_of} is run before"
    assert like is not None, f"{arm.student} is run before"
    per_step = like.seen["student"].tokens / like.seen["student"].steps
    return max(1, round(wanted.seen["student"].tokens / per_step))


def _trained(out: Path) -> dict[str, Any]:
    return json.loads((out / "training.json").read_bytes())


def _stages(out: Path) -> list[tuple[int, Path]]:
    return [(int(stage.name), stage) for stage in sorted((out / "stages").glob("*"))]


def _answers(out: Path) -> dict[str, Any]:
    from pyarrow import parquet

    columns = ["model", "mode", "right", "tokens"]
    right: dict[str, dict[str, list[bool | None]]] = {}
    lengths: dict[str, list[int]] = {}
    for row in parquet.read_table(out / "answers.parquet", columns=columns).to_pylist():
        right.setdefault(row["model"], {}).setdefault(row["mode"], []).append(row["right"])
        if row["mode"] == "greedy":
            lengths.setdefault(row["model"], []).append(row["tokens"])
    means = {model: round(sum(counts) / len(counts), 1) for model, counts in lengths.items()}
    return {"right": right, "reply_tokens": means}


def _told(event: dict[str, Any]) -> str:
    """Return an event of the trainer in a few words."""
    match event["event"]:
        case "step":
            return f"step {event['step']} of {event['total']}"
        case "evaluating" | "answering" as what:
            return f"{what} {event['done']} of {event['total']}"
        case "stage":
            return f"stage {event['stage']} of {event['of']}"
    return ""


def _digest(model: Path) -> str:
    return _sha256(model / "model.safetensors")


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
