"""Everything that is measured of a finished training, and why the rest is not."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from trainer.base import find_base
from trainer.config import Evaluation, Training
from trainer.counting import build_sets
from trainer.dataset import Folder
from trainer.errors import TrainerError
from trainer.evaluate import Candidate, Evaluated, Reader, evaluate
from trainer.finish import Trained
from trainer.held_out import Source, Sources, label_with, read_sources
from trainer.local_teacher import ENTRIES, named_teacher, opened
from trainer.questions import Exam, default_verifier, read_exam
from trainer.render import Renderer
from trainer.report import SetReport
from trainer.results import Result, judge, teachers, write_answers
from trainer.retained import RETAINED_SET, read_retained
from trainer.supervisor import Supervisor
from trainer.tasks import check_tasks
from trainer.vllm_engine import pick_engine


@dataclass(frozen=True, slots=True)
class Given:
    """The files that a run is measured with, beside its dataset's own splits."""

    evaluation: Path | None = None
    """Parquet, as the worker writes it."""
    retained: Path | None = None
    """JSONL of prompts that the base could answer."""

    def sha256(self) -> str | None:
        """Return what tells these files from others; None where there are none. Raises `evaluation_unreadable`."""
        digests = [_sha256(file) for file in (self.evaluation, self.retained) if file]
        return "+".join(digests) or None


def check(config: Training) -> None:
    """Raise TrainerError for what would stop the evaluation hours later: an engine or tasks that are not there."""
    if config.evaluation.engine == "vllm":
        pick_engine("vllm")
    check_tasks(config.evaluation)


def examine(
    config: Training,
    trained: Trained,
    folder: Folder,
    out: Path,
    given: Given,
    tokens_max: int,
    supervisor: Supervisor,
) -> dict[str, Any]:
    """Return the measured fields of the report, and write `answers.parquet`.

    Raises TrainerError as `trainer.questions`, `trainer.retained`, `trainer.evaluate` and `trainer.local_teacher` do.
    """
    knobs, student = config.evaluation, out / "student"
    reader = Reader.of(student, config.completion)
    exam = _read_exam(folder, given, knobs)
    if not exam.questions:
        supervisor.emit("nothing_to_evaluate", ungradable=sum(exam.ungradable.values()))
    stored = judge(teachers(exam.questions, reader.tokenizer))
    sources = Sources(missing=["`evaluation.rows_max` is 0"])
    if knobs.rows_max:
        renderer = Renderer(reader.tokenizer, reader.dialect, reader.stops)
        room = find_base(str(student), None).positions_max
        sources = read_sources(folder, stored, renderer, knobs.rows_max, room)
    labelled = _with_teacher(config, student, reader, sources.found)
    candidates = [Candidate("student", student), *_stages(out)]
    if knobs.base:
        base = find_base(config.student, trained.base_commit or config.revision)
        candidates.insert(0, Candidate("base", base.path))
    done = evaluate(exam, candidates, labelled, reader, knobs, tokens_max, supervisor)
    results = done.results + stored
    if results:
        write_answers(results, out / "answers.parquet")
    sets = build_sets(exam, results, knobs.examples_max)
    return {
        "sets": sets,
        "held_out": done.held_out,
        "tasks": done.tasks,
        "engine": done.engine,
        "not_measured": _not_measured(config, trained, exam, stored, sets, sources, done),
    }


def _read_exam(folder: Folder, given: Given, knobs: Evaluation) -> Exam:
    more = read_retained(given.retained, default_verifier(folder)) if given.retained else []
    names = [*knobs.retained, *([RETAINED_SET] if more else [])]
    return read_exam(folder, given.evaluation, knobs.prompts_max, list(dict.fromkeys(names)), more)


def _with_teacher(config: Training, student: Path, reader: Reader, sources: Sequence[Source]) -> list[Source]:
    """Return the sources with what a teacher on this machine says, where the version's soft labels say nothing."""
    name = named_teacher(config)
    if name is None or all(source.distribution for source in sources):
        return list(sources)
    with opened(name, config, find_base(str(student), None), reader.tokenizer) as teacher:
        return [
            source
            if source.distribution
            else replace(
                source,
                rows=label_with(teacher, source.rows, ENTRIES),
                distribution=f"{Path(name).name} on this machine",
            )
            for source in sources
        ]


def _stages(out: Path) -> list[Candidate]:
    """Return the earlier stages' students, those that read the student's tokens: all are asked in the same ones."""
    files = sorted(out.glob("stages/*/student/tokenizer.json"), key=lambda file: int(file.parts[-3]))
    mine = (out / "student" / "tokenizer.json").read_bytes()
    return [Candidate(f"stage:{file.parts[-3]}", file.parent) for file in files if file.read_bytes() == mine]


def _not_measured(
    config: Training,
    trained: Trained,
    exam: Exam,
    stored: Sequence[Result],
    sets: dict[str, SetReport],
    sources: Sources,
    done: Evaluated,
) -> dict[str, str]:
    """Return a reason, in one line, for every figure that is not in the report."""
    knobs = config.evaluation
    nothing = None if exam.questions else "no prompt with a reference that can be compared was at hand"
    one = "one sampled answer a prompt was asked for (`evaluation.samples`)" if knobs.samples < 2 else None
    few = "too few prompts have two judged answers"
    found = {
        "accuracy": nothing,
        "teacher": None if stored else "no stored answer of a teacher to these prompts is at hand",
        "base": None if knobs.base else "`evaluation.base` is false",
        "pass_at": _unless(any("student" in each.pass_at for each in sets.values()), nothing or one or few),
        "pass_at_teacher": _unless(
            any(name.startswith("teacher") for each in sets.values() for name in each.pass_at),
            "the teacher's answers are stored once a prompt; more of them need a batch with `-n` above 1",
        ),
        "calibration": _unless(
            any("student" in each.calibration for each in sets.values()),
            nothing or "no answer of the student was judged",
        ),
        "vote_share": _unless(
            any(each.calibration["student"].vote_share for each in sets.values() if "student" in each.calibration),
            nothing or one or "no prompt has answers that can agree with each other (programs and JSON cannot)",
        ),
        "robustness": _unless(
            any(each.robustness for each in sets.values()),
            nothing
            or ("no change of prompts is asked for (`evaluation.perturbations`)" if not knobs.perturbations else few),
        ),
        "retained": _unless(
            bool(exam.retained),
            "no set of what the base could do before is named (`retort train --retain BATCH`, or `--retained FILE`)",
        ),
        "perplexity": _unless(bool(sources.found), "; ".join(sources.missing)),
        "teacher_distance": _unless(
            any(source.distribution for source in done.held_out.values()),
            "no soft labels of held-out rows are stored (`retort soft-labels BATCH`) and no teacher on this machine is "
            "named (`evaluation.teacher`): KL, agreement and the acceptance of drafts need one of them",
        ),
        "watched": None if trained.watched else trained.not_watched or "the training was of a version without it",
        "tasks": _unless(bool(done.tasks), "no task of lm-eval is named (`evaluation.tasks`)"),
    }
    return {name: reason for name, reason in found.items() if reason}


def _unless(there: bool, reason: str) -> str | None:
    return None if there else reason


def _sha256(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise TrainerError("evaluation_unreadable", f"{file} cannot be read: {error}") from error
