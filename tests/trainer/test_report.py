"""Counting judged answers, and showing them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from trainer.card import write_card
from trainer.counting import build_sets
from trainer.finish import Trained, Watched
from trainer.pages import write_pages
from trainer.questions import Answer, Exam, Question
from trainer.report import Lineage, Report
from trainer.results import Result, judge, teachers

HOSTILE = "<script>alert(1)</script> | `tick` ``two``"


def question(number: int, category: str = "add") -> Question:
    messages = [{"role": "user", "content": f"{HOSTILE} {number} + 1?"}]
    return Question("held-out", number, category, messages, str(number + 1), "math")


def result(number: int, model: str, right: bool | None, mode: Any = "greedy", category: str = "add") -> Result:
    response = f"\\boxed{{{number + 1 if right else 0}}}"
    return Result(
        question(number, category), model, mode, "so", response, 5, False, right, "" if right else "wrong_answer"
    )


def split(texts: list[str], **_: Any) -> dict[str, list[list[str]]]:
    return {"input_ids": [text.split() for text in texts]}


def results(*rows: tuple[bool | None, bool | None, bool | None]) -> list[Result]:
    """Base, student and teacher on one prompt each, prompts of two categories in turn."""
    made = []
    for number, (base, student, teacher) in enumerate(rows):
        category = ("add", "<b>take</b>")[number % 2]
        made += [result(number, "base", base, "greedy", category), result(number, "base", base, "sampled", category)]
        made += [result(number, "student", student, mode, category) for mode in ("greedy", "sampled")]
        made.append(result(number, "teacher", teacher, "sampled", category))
    return made


def measured(*rows: tuple[bool | None, bool | None, bool | None]) -> Any:
    made = results(*rows)
    asked = list({made_.question.id: made_.question for made_ in made}.values())
    return build_sets(Exam(asked, {"held-out": 3}, {}), made, 20)["held-out"]


@pytest.fixture
def report() -> Report:
    made = results(*[(False, number % 3 > 0, number % 5 > 0) for number in range(30)])
    asked = list({made_.question.id: made_.question for made_ in made}.values())
    trained = Trained(
        parameters=1000, learning_rate=0.002, precision="fp32", attn_implementation="eager", device="cpu",
        tokens_max=70, reply_tokens_max=30, rows=64, rows_dropped=2, steps=12, epochs=1.5, tokens=4000,
        loss=1.25, eval_loss=None,
        train_s=3.5, resumed_from_step=None, base_commit=None, base_license="mit", reasoning_key="reasoning_content",
        template_kwargs={"enable_thinking": True},
    )  # fmt: skip
    lineage = Lineage(
        dataset="sums",
        version=3,
        sha256="ab" * 32,
        teachers=[{"name": "big", "model": "org/big", "license": "apache-2.0", "revision": None, "sampling": []}],
        funnel=[{"kind": "verified", "input": 80, "kept": 64, "rejected": 16, "abstained": 0}],
        licence={
            "decision": "allowed_with_duties",
            "intended_use": "research",
            "duties": ["Say so."],
            "overrides": [{"by": "ann", "reason": "ours"}],
        },
    )
    return Report(
        method="sft", base="/models/tiny", config={"student": "/models/tiny", "completion": "cot", "license": "MIT"},
        lineage=lineage, trained=trained, evaluation=None, tokens_max=45, temperature=1.0,
        sets=build_sets(Exam(asked, {}, {}), made, 20),
    )  # fmt: skip


def test_scores_are_counted_by_category_model_and_mode() -> None:
    counted = measured((False, True, True), (False, False, True), (True, True, False), (False, True, True))
    greedy = counted.overall["student"].greedy
    assert (greedy.n, greedy.right, greedy.accuracy) == (4, 3, 0.75)
    assert greedy.low < 0.75 < greedy.high
    assert counted.categories["add"]["student"].greedy.accuracy == 1.0
    assert counted.categories["<b>take</b>"]["student"].greedy.accuracy == 0.5
    assert counted.overall["teacher"].greedy is None
    assert counted.overall["teacher"].sampled.right == 3
    assert (counted.prompts, counted.ungradable) == (4, 3)


def test_what_could_not_be_judged_counts_for_nobody() -> None:
    counted = measured((False, None, True), (False, True, True))
    greedy = counted.overall["student"].greedy
    assert (greedy.n, greedy.right, greedy.unjudged) == (1, 1, 1)
    assert [comparison.n for comparison in counted.comparisons] == [1, 1, 1, 1]


def test_models_are_compared_on_the_same_prompts() -> None:
    counted = measured(*[(False, True, True)] * 6, (True, False, True), (True, True, False))
    against = {(each.against, each.mode): each for each in counted.comparisons}
    base = against["base", "greedy"]
    assert (base.n, base.only_student, base.only_other, base.both_right, base.both_wrong) == (8, 6, 1, 1, 0)
    assert base.difference == pytest.approx(5 / 8)
    assert base.p_value == pytest.approx(2 * (1 + 7) / 128)
    assert against["teacher", "sampled"].p_value == 1.0


def test_lost_and_won_examples_take_turns_between_categories() -> None:
    counted = measured(*[(False, False, True)] * 4, (False, True, False))
    assert [example.category for example in counted.lost] == ["<b>take</b>", "add", "<b>take</b>", "add"]
    assert [example.id for example in counted.won] == [4]
    assert counted.lost[0].student_reason == "wrong_answer"


def test_verifiers_judge_every_model_alike() -> None:
    asked = replace(question(1), teachers={"big": [Answer("", "\\boxed{2}", False), Answer("", "\\boxed{9}", False)]})
    stored = teachers([asked], split)
    assert [(each.model, each.sample, each.response) for each in stored] == [
        ("teacher", 0, "\\boxed{2}"),
        ("teacher", 1, "\\boxed{9}"),
    ]
    judged = judge([stored[0], replace(result(1, "student", None), response="The answer is 5.")])
    assert [each.right for each in judged] == [True, False]
    assert judged[1].reason == "wrong_answer"


def test_several_teachers_are_told_apart() -> None:
    answers = [Answer("", "\\boxed{2}", False)]
    asked = replace(question(1), teachers={"big": answers, "small": answers, "silent": []})
    found = teachers([asked], split)
    assert [each.model for each in found] == ["teacher:big", "teacher:small"]


def test_pages_and_charts_are_written(report: Report, tmp_path: Path) -> None:
    write_pages(report, tmp_path)
    png, svg = (tmp_path / "gap-held-out.png").read_bytes(), (tmp_path / "gap-held-out.svg").read_text()
    assert png.startswith(b"\x89PNG")
    assert len(png) > 20_000
    assert "all categories" in svg
    assert "<b>" not in svg
    html, text = (tmp_path / "report.html").read_text(), (tmp_path / "report.md").read_text()
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert "<svg" in html
    assert "| **all** | 0.0 % (0.0 to 11.4 %, n = 30) | 66.7 % (48.8 to 80.8 %, n = 30) | 80.0 %" in text
    assert "| &lt;b&gt;take&lt;/b&gt; |" in text
    assert f"``` {HOSTILE} 20 + 1? ```" in text


def test_what_the_base_could_do_and_the_student_cannot_is_listed() -> None:
    counted = measured((True, False, True), (True, True, True), (False, False, True), (True, None, True))
    assert [(example.id, example.base_response) for example in counted.forgotten] == [(0, "\\boxed{1}")]
    assert counted.forgotten_count == 1


def test_a_report_of_before_these_figures_still_opens(report: Report, tmp_path: Path) -> None:
    old = report.model_dump(mode="json", exclude={"held_out", "tasks", "engine", "not_measured"})
    added = ("retained", "forgotten", "forgotten_count", "pass_at", "calibration", "lengths", "robustness")
    for found in old["sets"].values():
        for name in added:
            del found[name]
    write_pages(Report.model_validate(old), tmp_path)
    assert "pass@k" not in (tmp_path / "report.md").read_text()
    assert not (tmp_path / "curves.svg").exists()


def test_reliability_and_distance_are_drawn(report: Report, tmp_path: Path) -> None:
    made = [replace(each, confidence=0.4 + each.question.id / 60) for each in results(*[(False, True, True)] * 30)]
    asked = list({each.question.id: each.question for each in made}.values())
    watched = [Watched(step=step, kl=9.0 / (1 + step), agreement=0.5) for step in range(5)]
    trained = report.trained.model_copy(update={"watched": watched})
    sets = build_sets(Exam(asked, {}, {}), made, 20)
    write_pages(report.model_copy(update={"trained": trained, "sets": sets}), tmp_path)
    drawing = (tmp_path / "curves.svg").read_text()
    assert "Is it right when it is sure?" in drawing
    assert "KL to the teacher, nats a token" in drawing
    assert "(curves.svg)" in (tmp_path / "report.md").read_text()


def test_a_report_without_questions_says_so(report: Report, tmp_path: Path) -> None:
    write_pages(report.model_copy(update={"sets": {}}), tmp_path)
    assert "No prompt could be evaluated" in (tmp_path / "report.md").read_text()
    assert "No prompt could be evaluated" in (tmp_path / "report.html").read_text()


def test_the_card_is_what_the_hub_reads(report: Report, tmp_path: Path) -> None:
    from huggingface_hub import ModelCard

    write_card(report, tmp_path)
    card: Any = ModelCard.load(tmp_path / "README.md")
    assert (card.data.license, card.data.base_model, card.data.datasets) == ("mit", "tiny", ["sums"])
    assert {"retort", "distillation"} <= set(card.data.tags)
    assert card.data.eval_results[0].metric_value == pytest.approx(2 / 3, abs=1e-6)
    for told in (
        "ab" * 32,
        "`org/big`",
        "| verified | 80 | 64 | 16 | 0 |",
        "- Say so.",
        "by ann, reason ours",
        "set aside",
    ):
        assert told in card.text


def test_a_student_without_a_settled_licence_says_so(report: Report, tmp_path: Path) -> None:
    from huggingface_hub import ModelCard

    write_card(report.model_copy(update={"config": report.config | {"license": None}}), tmp_path)
    card: Any = ModelCard.load(tmp_path / "README.md")
    assert (card.data.license, card.data.license_name) == ("other", "to-be-settled")
    assert "is to be settled" in card.text
