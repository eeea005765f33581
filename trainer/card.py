"""The student's model card, as the Hugging Face hub reads it: what it is, came from, can do, and may be used for."""

from pathlib import Path
from typing import Any

from trainer.pages import fill, inline
from trainer.report import Report


def write_card(report: Report, student: Path) -> None:
    """Write `README.md` into the student's folder."""
    licence = _licence(report)
    name = report.trained.name or Path(report.base).name
    text = fill(
        "card.md.jinja", head=_head(report, name), name=name, report=report, licence=licence, settings=_settings(report)
    )
    (student / "README.md").write_text(text, encoding="utf-8")


def _head(report: Report, name: str) -> str:
    from huggingface_hub import EvalResult, ModelCardData

    results = [
        EvalResult(
            task_type="text-generation",
            task_name="Text generation",
            dataset_type="retort",
            dataset_name=f"{report.lineage.dataset} ({set_name})",
            dataset_config=set_name,
            metric_type="accuracy",
            metric_name="Accuracy, greedy",
            metric_value=student.greedy.accuracy,
        )
        for set_name, measured in report.sets.items()
        if (student := measured.overall.get("student")) and student.greedy and student.greedy.accuracy is not None
    ]
    licence = _licence(report)
    more: dict[str, Any] = {"license_name": "to-be-settled", "license_link": "README.md"} if licence == "other" else {}
    data = ModelCardData(
        base_model=report.base if report.trained.base_commit else Path(report.base).name,
        license=licence,
        library_name="transformers",
        pipeline_tag="text-generation",
        tags=["retort", "distillation", "trl", report.method],
        datasets=[report.lineage.dataset],
        model_name=name,
        eval_results=results or None,
        **more,
    )
    return data.to_yaml().strip()


def _licence(report: Report) -> str:
    return str(report.config.get("license") or "other").lower()


def _settings(report: Report) -> list[tuple[str, str]]:
    """Return every setting as it was asked for, or what `auto` came to, as lines of a table."""
    trained = report.trained
    came_to = {
        "learning_rate": trained.learning_rate,
        "precision": trained.precision,
        "attn_implementation": trained.attn_implementation or "default",
        "max_length": trained.tokens_max,
    }
    asked = {key: value for key, value in report.config.items() if value is not None and key != "evaluation"}
    measured = {
        "steps": trained.steps,
        "rows": trained.rows,
        "tokens seen": f"{trained.tokens:,}",
        "device": trained.device,
    }
    return [(key, inline(value)) for key, value in (asked | came_to | measured | trained.details).items()]
