"""A finished student made smaller, and what that costs: both asked the same held-out prompts, in the same words."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from trainer.compress import Compression, compress
from trainer.dataset import open_folder
from trainer.errors import TrainerError
from trainer.finish import Trained
from trainer.report import Report, SetReport
from trainer.run import owned, read_run
from trainer.supervisor import Supervisor


class Quantized(BaseModel):
    """`student-int8.json` of a run: the smaller student, and what it lost."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    bits: int
    group_size: int | None
    """Weights that share a scale; None: a whole row of the matrix."""
    bytes: int
    """Of its weights on disk."""
    bytes_before: int
    evaluation: str | None
    sets: dict[str, SetReport]
    """The run's own prompts: `student` beside the smaller one, and the difference with its paired test."""
    perplexity: dict[str, dict[str, float]]
    """Of both on held-out answers of the teacher, by their source; empty where there are none."""


def quantize(out: Path, dataset: Path, evaluation: Path | None, wish: Compression, supervisor: Supervisor) -> None:
    """Write `student-int8/` (or `int4`), `student-int8.json` and what people read beside a finished run's student.

    Raises TrainerError as `trainer.run.read_run`, `trainer.dataset` and `trainer.compress` do, and `no_student`.
    """
    with owned(out):
        _, config = read_run(out)
        student, target = out / "student", out / f"student-{wish.name}"
        if not student.is_dir() or not (out / "report.json").is_file():
            raise TrainerError("no_student", f"{out} holds no finished student: quantizing comes after the training")
        supervisor.log_to(out)
        folder = open_folder(dataset, license_unknown=config.license_unknown)
        supervisor.emit("quantizing", bits=wish.bits, group_size=wish.group_size)
        size = compress(student, target, wish)
        models = {"student": student, wish.name: target}
        sets, perplexity = _measured(config, folder, out, models, evaluation, supervisor)
        found = Quantized(
            bits=wish.bits,
            group_size=size,
            bytes=_weights(target),
            bytes_before=_weights(student),
            evaluation=evaluation.name if evaluation else None,
            sets=sets,
            perplexity=perplexity,
        )
        _write(found, out, wish.name)
        losses = {name: measured.comparisons[0].model_dump() for name, measured in found.sets.items()}
        supervisor.emit("quantized", bits=wish.bits, bytes=found.bytes, bytes_before=found.bytes_before, lost=losses)
        supervisor.emit("finished", student=str(target), report=str(out / f"student-{wish.name}.json"))


def _measured(
    config: Any, folder: Any, out: Path, models: dict[str, Path], evaluation: Path | None, supervisor: Supervisor
) -> tuple[dict[str, SetReport], dict[str, dict[str, float]]]:
    """Return the sets, counted, and the perplexities of both students by source of held-out answers."""
    from trainer.base import find_base
    from trainer.counting import build_sets
    from trainer.evaluate import Candidate, Reader, evaluate
    from trainer.held_out import read_sources
    from trainer.questions import read_exam
    from trainer.render import Renderer
    from trainer.results import judge, teachers

    knobs = config.evaluation.model_copy(update={"samples": 1, "perturbations": [], "tasks": []})
    trained = Trained.model_validate_json((out / "training.json").read_bytes())
    reader = Reader.of(models["student"], config.completion)
    exam = read_exam(folder, evaluation, knobs.prompts_max)
    if not exam.questions:
        supervisor.emit("nothing_to_evaluate", ungradable=sum(exam.ungradable.values()))
    stored = judge(teachers(exam.questions, reader.tokenizer))
    renderer = Renderer(reader.tokenizer, reader.dialect, reader.stops)
    room = find_base(str(models["student"]), None).positions_max
    sources = read_sources(folder, stored, renderer, knobs.rows_max, room).found if knobs.rows_max else []
    tokens_max = knobs.tokens_max or trained.reply_tokens_max * 3 // 2
    candidates = [Candidate(name, path) for name, path in models.items()]
    done = evaluate(exam, candidates, sources, reader, knobs, tokens_max, supervisor)
    perplexity = {
        source: {name: distance.perplexity for name, distance in found.models.items()}
        for source, found in done.held_out.items()
    }
    return build_sets(exam, done.results, 0), perplexity


def _write(found: Quantized, out: Path, name: str) -> None:
    from trainer.pages import fill

    report = Report.model_validate_json((out / "report.json").read_bytes())
    values: dict[str, Any] = {"report": report, "found": found, "name": name, "student": _called(report, name)}
    card = fill("quantized.md.jinja", card=(out / "student" / "README.md").read_text(encoding="utf-8"), **values)
    (out / f"student-{name}" / "README.md").write_text(card, encoding="utf-8")
    (out / f"student-{name}.md").write_text(fill("quantized.md.jinja", card="", **values), encoding="utf-8")
    # Last, because it is what says that all of this is done.
    (out / f"student-{name}.json").write_text(found.model_dump_json(indent=2), encoding="utf-8")


def _called(report: Report, name: str) -> str:
    return f"{report.trained.name or Path(report.base).name}-{name}"


def _weights(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.glob("*.safetensors"))
