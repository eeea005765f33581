"""The gap table, from reports in the trainer's own shape, and the knobs of a run."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from service.api.shapes.proposals import Proposal, Share
from service.api.shapes.runs import RunOut
from service.cli.proposal import view_proposal
from service.cli.report import view_reports
from service.cli.runs import change
from service.cli.terminal import Refused, Terminal
from trainer.report import Comparison, Modes, Score, SetReport

WIDTH = 80


def score(right: int, n: int = 100, **more: Any) -> Score:
    values = {"accuracy": right / n if n else None, "low": 0.0, "high": 1.0, "unjudged": 0, "truncated": 0}
    return Score(n=n, right=right, tokens_mean=9.0, **values | more)


def models(base: int, student: int, teacher: int, **more: Any) -> dict[str, Modes]:
    return {
        "base": Modes(greedy=score(base), sampled=score(base)),
        "student": Modes(greedy=score(student, **more), sampled=score(student - 1)),
        "teacher": Modes(sampled=score(teacher)),
    }


def report(student: int, base: int = 10, **more: Any) -> dict[str, Any]:
    """A report with one set; numbers of right answers out of 100."""
    comparison = Comparison(
        mode="greedy",
        against="teacher",
        n=100,
        both_right=student,
        only_student=0,
        only_other=80 - student,
        both_wrong=20,
        difference=(student - 80) / 100,
        p_value=0.0004,
    )
    found = SetReport(
        prompts=100,
        overall=models(base, student, 80, **more),
        categories={"add": models(20, 70, 90), "a category with a very long name": models(0, 30, 70)},
        comparisons=[comparison],
        lost=[],
        won=[],
    )
    return {"base": "tiny/base", "sets": {"held-out": found.model_dump(mode="json")}}


def run(number: int) -> RunOut:
    return RunOut(
        id=f"run_{number:024d}",
        dataset="sums",
        version=number,
        method="sft",
        student="tiny/base",
        config={},
        evaluation=[],
        state="succeeded",
        progress=None,
        path="",
        reason="",
        detail="",
        created_at=datetime.now(UTC),
        started_at=None,
        finished_at=None,
        files=None,
        launch=None,
    )


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("COLUMNS", str(WIDTH))

    def tell(*reports: dict[str, Any], **options: Any) -> str:
        found = [(run(number), one) for number, one in enumerate(reports, start=1)]
        view_reports(Terminal("http://unused", None), found, **options)
        return capsys.readouterr().out

    return tell


def rows(text: str) -> dict[str, list[str]]:
    return {line.split()[0]: line.split()[1:] for line in text.splitlines() if "(" in line and ":" not in line}


def test_the_gap_is_told_by_category(told: Any) -> None:
    text = told(report(50))
    assert "held-out: accuracy in %" in text
    assert rows(text)["all"] == ["100", "10.0", "(0-100)", "50.0", "(0-100)", "80.0", "(0-100)"]
    assert rows(text)["add"][1::2] == ["20.0", "70.0", "90.0"]
    assert "a category wi…" in text
    assert "student against teacher: -30.0 points on 100 prompts, p < 0.001 (McNemar)" in text
    assert "student: sft of tiny/base on sums@1" in text


def test_sampled_answers_can_be_asked_for(told: Any) -> None:
    assert rows(told(report(50), mode="sampled"))["all"][1::2] == ["10.0", "49.0", "80.0"]


def test_runs_stand_side_by_side_and_what_they_share_once(told: Any) -> None:
    text = told(report(50), report(60))
    assert rows(text)["all"][1::2] == ["10.0", "50.0", "60.0", "80.0"]
    assert "student A: sft of tiny/base on sums@1" in text
    assert "student B against teacher: -20.0 points" in text
    assert max(map(len, text.splitlines())) <= WIDTH


def test_different_bases_stand_beside_each_other(told: Any) -> None:
    text = told(report(50), report(60, base=15))
    assert "base A" in text
    assert rows(text)["all"][1::2] == ["10.0", "15.0", "50.0", "60.0", "80.0"]


def test_a_run_without_the_set_has_a_dash(told: Any) -> None:
    other = report(60)
    other["sets"]["far"] = other["sets"].pop("held-out")
    text = told(report(50), other)
    assert "far: accuracy in %" in text
    assert text.count("80.0") == 2


def test_what_was_not_counted_is_said(told: Any) -> None:
    one = report(50, truncated=3, unjudged=2)
    one["sets"]["held-out"]["ungradable"] = 1
    text = told(one)
    assert "student: 3 answers were cut off" in text
    assert "student: 2 answers could not be judged" in text
    assert "student: 1 prompts were not asked" in text


def test_other_figures_and_what_is_missing_are_told(told: Any) -> None:
    one, other = report(50), report(60)
    one["sets"]["held-out"]["pass_at"] = {"student": {"rate": {"1": 0.5, "4": 0.75}}, "teacher": {"rate": {"1": 0.9}}}
    one["not_measured"] = {"watched": "the version holds no soft labels"}
    lines = {line.split("  ")[0]: line.split()[1:] for line in told(one).splitlines()}
    assert lines["pass@1"] == ["held-out", "-", "50.0", "%", "90.0", "%"]
    assert lines["pass@4"] == ["held-out", "-", "75.0", "%", "-"]
    text = told(one, other)
    assert "student A: not measured: watched: the version holds no soft labels" in text
    assert next(line for line in text.splitlines() if line.startswith("pass@4")).split()[2:] == ["75.0", "%", "-"]


def test_a_proposal_says_what_was_drawn_and_what_is_to_be_written(capsys: pytest.CaptureFixture[str]) -> None:
    share = Share(category="add", student=0.2, teacher=None, judged=100, wanted=8, drawn=5, new=3)
    values = {"run": "run_1", "dataset": "sums", "version": 1, "prompts": 8, "new": 3, "held_out": 1}
    proposal = Proposal(drawn=5, categories=[share], **values)
    view_proposal(Terminal("http://unused", None), proposal, Path("next.jsonl"))
    text = capsys.readouterr().out
    assert "3 prompts have to be written" in text
    assert "retort submit next.jsonl --teacher NAME" in text
    assert "1 prompts were passed over" in text


def test_nothing_judged_is_a_dash(told: Any) -> None:
    one = report(50)
    one["sets"]["held-out"]["overall"]["student"]["greedy"] = score(0, 0).model_dump()
    assert rows(told(one))["all"][3] == "-"


def test_knobs_are_json_or_text_and_nest() -> None:
    knobs: dict[str, Any] = {"epochs": 1, "lora": {"alpha": 8}}
    for text in ("learning_rate=1e-4", "lora.rank=8", "packing=true", "template=chat=ml", "epochs=3"):
        change(knobs, text)
    assert knobs == {
        "epochs": 3,
        "lora": {"alpha": 8, "rank": 8},
        "learning_rate": 1e-4,
        "packing": True,
        "template": "chat=ml",
    }


@pytest.mark.parametrize("text", ["epochs", "=3", "epochs.of=3"])
def test_a_knob_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        change({"epochs": 1}, text)
