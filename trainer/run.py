"""One run from a dataset folder to a measured student with its card; begun again, it does only what is missing."""

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.config import Training
from trainer.dataset import Folder, open_folder
from trainer.errors import TrainerError
from trainer.methods import METHODS
from trainer.settings import read_settings
from trainer.supervisor import Supervisor, is_main_process

if TYPE_CHECKING:
    from trainer.examine import Given

NOT_THE_TRAINING = {"evaluation", "keep_checkpoints", "license", "license_unknown", "name", "suffix", "teacher_server"}
"""Settings that may change between two starts of one run: the student stays the same."""


def run(method: str, config: Training, dataset: Path, out: Path, given: "Given", supervisor: Supervisor) -> None:
    """Train, evaluate, report; `out` then holds `student/`, `report.json` and what people read.

    Raises TrainerError as `trainer.dataset`, the method and `trainer.examine` do, and `out_in_use`, `other_run`.
    """
    from trainer.examine import check

    with owned(out):
        supervisor.log_to(out)
        folder = open_folder(dataset, license_unknown=config.license_unknown)
        check(config)
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
            _measure(method, config, folder, out, given, supervisor)
            supervisor.emit("finished", student=str(student), report=str(out / "report.json"))


def evaluate_again(out: Path, dataset: Path, given: "Given", changes: list[str], supervisor: Supervisor) -> None:
    """Measure the student of a finished run anew, on other prompts or with changed knobs, and replace its report."""
    with owned(out):
        method, config = read_run(out)
        config = read_settings(method, config.model_dump(mode="json"), changes)
        supervisor.log_to(out)
        folder = open_folder(dataset, license_unknown=config.license_unknown)
        _measure(method, config, folder, out, given, supervisor)
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


def _measure(method: str, config: Training, folder: Folder, out: Path, given: "Given", supervisor: Supervisor) -> None:
    digest = given.sha256()
    asked = config.model_dump(mode="json")
    if _is_measured(out / "report.json", digest, asked):
        return
    from trainer.card import write_card
    from trainer.examine import examine
    from trainer.finish import Trained
    from trainer.pages import write_pages
    from trainer.report import Report

    trained = Trained.model_validate_json((out / "training.json").read_bytes())
    tokens_max = config.evaluation.tokens_max or trained.reply_tokens_max * 3 // 2
    report = Report(
        method=method,
        base=config.student,
        config=asked,
        lineage=_lineage(folder, trained),
        trained=trained,
        evaluation=given.evaluation.name if given.evaluation else None,
        evaluation_sha256=digest,
        tokens_max=tokens_max,
        temperature=config.evaluation.temperature,
        **examine(config, trained, folder, out, given, tokens_max, supervisor),
    )
    write_pages(report, out)
    write_card(report, out / "student")
    # Last, because it is what says that all of this is done.
    (out / "report.json").write_text(report.model_dump_json(indent=2), encoding="utf-8")
    for name, measured in report.sets.items():
        scores = {model: modes.model_dump(mode="json") for model, modes in measured.overall.items()}
        supervisor.emit("evaluated", set=name, prompts=measured.prompts, models=scores)


def _lineage(folder: Folder, trained: Any) -> Any:
    """Return what the student came from: the version, and the models that taught it here."""
    from trainer.report import Lineage

    manifest = folder.manifest.model_dump(mode="json")
    lineage = Lineage(**{name: manifest[name] for name in Lineage.model_fields})
    lineage.teachers += trained.teachers
    duties = lineage.licence["duties"]
    lineage.licence["duties"] = list(dict.fromkeys([*duties, *trained.duties]))
    return lineage


def _is_measured(report: Path, evaluation_sha256: str | None, config: dict[str, Any]) -> bool:
    try:
        found = json.loads(report.read_bytes())
    except (OSError, ValueError):
        return False
    return found.get("evaluation_sha256") == evaluation_sha256 and found.get("config") == config


@contextmanager
def owned(out: Path) -> Iterator[None]:
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
