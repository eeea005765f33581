"""One run from a dataset folder to a measured student with its card; begun again, it does only what is missing."""

import fcntl
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from trainer.config import Training
from trainer.dataset import Folder, open_folder
from trainer.errors import TrainerError
from trainer.methods import METHODS
from trainer.settings import read_settings
from trainer.supervisor import Supervisor, is_main_process

NOT_THE_TRAINING = {"evaluation", "keep_checkpoints", "license", "license_unknown"}
"""Settings that may change between two starts of one run: the student stays the same."""


def run(
    method: str, config: Training, dataset: Path, out: Path, evaluation: Path | None, supervisor: Supervisor
) -> None:
    """Train, evaluate, report; `out` then holds `student/`, `report.json` and what people read.

    Raises TrainerError as `trainer.dataset`, the method and `trainer.questions` do, and `out_in_use`, `other_run`.
    """
    with _owned(out):
        supervisor.log_to(out)
        folder = open_folder(dataset, license_unknown=config.license_unknown)
        _same_run(method, config, folder, out)
        supervisor.emit(
            "started",
            method=method,
            student=config.student,
            dataset=folder.name,
            rows=folder.manifest.kept,
            out=str(out),
        )
        student = METHODS[method].train(config, folder, out, supervisor)
        if is_main_process():
            _measure(method, config, folder, out, evaluation, supervisor)
            supervisor.emit("finished", student=str(student), report=str(out / "report.json"))


def evaluate_again(
    out: Path, dataset: Path, evaluation: Path | None, changes: list[str], supervisor: Supervisor
) -> None:
    """Measure the student of a finished run anew, on other prompts or with changed knobs, and replace its report."""
    with _owned(out):
        method, config = read_run(out)
        config = read_settings(method, config.model_dump(mode="json"), changes)
        supervisor.log_to(out)
        folder = open_folder(dataset, license_unknown=config.license_unknown)
        _measure(method, config, folder, out, evaluation, supervisor)
        supervisor.emit("finished", student=str(out / "student"), report=str(out / "report.json"))


def read_run(out: Path) -> tuple[str, Training]:
    """Return method and settings of the run in a folder."""
    try:
        noted = json.loads((out / "run.json").read_bytes())
        return noted["method"], METHODS[noted["method"]].config.model_validate(noted["config"])
    except (OSError, ValueError, KeyError) as error:
        raise TrainerError("no_run", f"{out} holds no run of this trainer: {error}") from error


def _same_run(method: str, config: Training, folder: Folder, out: Path) -> None:
    """Note what the run is, or refuse to mix it with another that began in the same folder."""
    now = {
        "method": method,
        "config": config.model_dump(mode="json"),
        "dataset": folder.name,
        "sha256": folder.manifest.sha256,
    }
    if (out / "run.json").exists():
        before_method, before = read_run(out)
        noted = json.loads((out / "run.json").read_bytes())
        was = {"method": before_method, **before.model_dump(mode="json"), "dataset": noted["sha256"]}
        wanted = {"method": method, **now["config"], "dataset": now["sha256"]}
        differing = [key for key in wanted if key not in NOT_THE_TRAINING and was.get(key) != wanted[key]]
        if differing:
            told = ", ".join(f"{key} was {was.get(key)!r} and is now {wanted[key]!r}" for key in differing)
            raise TrainerError("other_run", f"{out} holds another run ({told}): choose another folder, or remove it")
    elif (out / "student").exists():
        raise TrainerError("other_run", f"{out} holds a student that is not of a run of ours: choose another folder")
    if is_main_process():
        (out / "run.json").write_text(json.dumps(now, indent=2), encoding="utf-8")


def _measure(
    method: str, config: Training, folder: Folder, out: Path, evaluation: Path | None, supervisor: Supervisor
) -> None:
    digest = _sha256(evaluation) if evaluation else None
    asked = config.model_dump(mode="json")
    if _is_measured(out / "report.json", digest, asked):
        return
    from trainer.card import write_card
    from trainer.pages import write_pages
    from trainer.report import Report

    trained, tokens_max, sets = _evaluated(config, folder, out, evaluation, supervisor)
    report = Report(
        method=method,
        base=config.student,
        config=asked,
        lineage=_lineage(folder, trained),
        trained=trained,
        evaluation=evaluation.name if evaluation else None,
        evaluation_sha256=digest,
        tokens_max=tokens_max,
        temperature=config.evaluation.temperature,
        sets=sets,
    )
    write_pages(report, out)
    write_card(report, out / "student")
    # Last, because it is what says that all of this is done.
    (out / "report.json").write_text(report.model_dump_json(indent=2), encoding="utf-8")
    for name, measured in sets.items():
        scores = {model: modes.model_dump(mode="json") for model, modes in measured.overall.items()}
        supervisor.emit("evaluated", set=name, prompts=measured.prompts, models=scores)


def _evaluated(
    config: Training, folder: Folder, out: Path, evaluation: Path | None, supervisor: Supervisor
) -> tuple[Any, int, Any]:
    """Return what the training was, tokens for a reply, and the sets measured."""
    from trainer.base import find_base
    from trainer.evaluate import Candidate, evaluate, write_answers
    from trainer.finish import Trained
    from trainer.questions import read_exam
    from trainer.report import build_sets

    knobs = config.evaluation
    trained = Trained.model_validate_json((out / "training.json").read_bytes())
    tokens_max = knobs.tokens_max or trained.reply_tokens_max * 3 // 2
    exam = read_exam(folder, evaluation, knobs.prompts_max)
    if not exam.questions:
        supervisor.emit("nothing_to_evaluate", ungradable=sum(exam.ungradable.values()))
        return trained, tokens_max, {}
    candidates = [Candidate("student", out / "student")]
    if knobs.base:
        candidates.insert(0, Candidate("base", find_base(config.student, trained.base_commit or config.revision).path))
    candidates += [Candidate(f"stage:{stage.parent.name}", stage) for stage in _like_the_student(out)]
    results = evaluate(exam, candidates, out / "student", config.completion, knobs, tokens_max, supervisor)
    write_answers(results, out / "answers.parquet")
    return trained, tokens_max, build_sets(exam, results, knobs.examples_max)


def _lineage(folder: Folder, trained: Any) -> Any:
    """Return what the student came from: the version, and the models that taught it here."""
    from trainer.report import Lineage

    manifest = folder.manifest.model_dump(mode="json")
    lineage = Lineage(**{name: manifest[name] for name in Lineage.model_fields})
    lineage.teachers += trained.teachers
    duties = lineage.licence["duties"]
    lineage.licence["duties"] = list(dict.fromkeys([*duties, *trained.duties]))
    return lineage


def _like_the_student(out: Path) -> list[Path]:
    """Return the earlier stages' students, those that read the student's tokens: all are asked in the same ones."""
    stages = sorted(out.glob("stages/*/student/tokenizer.json"), key=lambda file: int(file.parts[-3]))
    return [file.parent for file in stages if file.read_bytes() == (out / "student" / "tokenizer.json").read_bytes()]


def _is_measured(report: Path, evaluation_sha256: str | None, config: dict[str, Any]) -> bool:
    try:
        found = json.loads(report.read_bytes())
    except (OSError, ValueError):
        return False
    return found.get("evaluation_sha256") == evaluation_sha256 and found.get("config") == config


def _sha256(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise TrainerError("evaluation_unreadable", f"{file} cannot be read: {error}") from error


@contextmanager
def _owned(out: Path) -> Iterator[None]:
    """Keep a second process, such as the retry of a run that still lives, from writing into the same folder."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = (out / ".lock").open("w")
    except OSError as error:
        raise TrainerError("out_unwritable", f"{out} cannot be written to: {error}") from error
    with lock:
        if is_main_process():
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise TrainerError(
                    "out_in_use", f"another process is at work in {out}: wait, or choose another folder"
                ) from None
        yield
