"""The table base → student → teacher, read from a trainer's report."""

import copy

import pytest

import trainer.report
from service.pages import gap
from service.pages.gap import ALL, read_report, tables
from service.pages.runs import how_far
from tests.service.pages.report import REPORT


def test_the_trainer_writes_every_field_that_the_page_reads():
    """Neither room may import the other: only a test can hold the two shapes together."""
    written = {gap.Report: trainer.report.Report, gap.Measured: trainer.report.SetReport}
    for read in (gap.Score, gap.Modes, gap.Comparison, gap.Example, gap.Forgotten):
        written[read] = getattr(trainer.report, read.__name__)
    for read, shape in written.items():
        assert set(read.model_fields) <= set(shape.model_fields), read.__name__


@pytest.mark.parametrize("report", [None, {}, {"sets": 3}, {"sets": {"a": {}}}, {"sets": {"a": {"prompts": "many"}}}])
def test_a_report_of_another_shape_is_none(report):
    assert read_report(report) is None


def held_out(**changes):
    report = copy.deepcopy(REPORT)
    report["sets"]["held-out"] |= changes
    read = read_report(report)
    assert read
    return tables(read.sets["held-out"])


def test_a_table_goes_from_base_to_teacher_and_from_the_widest_gap():
    greedy, sampled = held_out()
    assert (greedy.mode, sampled.mode) == ("greedy", "sampled")
    assert greedy.models == ["base", "student", "teacher"]
    assert [row.category for row in greedy.rows] == [ALL, "percent", "<b>speed</b>", "area"]
    assert [round(row.lacking or 0, 3) for row in greedy.rows] == [-0.296, -0.51, -0.3, -0.07]
    assert round(greedy.rows[0].gained or 0, 3) == 0.611


def test_a_teachers_stored_answers_stand_in_both_modes():
    shown = {table.mode: table.rows[0].scores[2] for table in held_out()}
    assert shown["greedy"] is not None
    assert shown["greedy"] == shown["sampled"]


def test_several_teachers_stand_side_by_side_and_the_best_one_is_the_gap():
    models = REPORT["sets"]["held-out"]["overall"]
    weak = {"sampled": models["base"]["sampled"]}
    several = {"teacher:b": models["teacher"], "student": models["student"], "teacher:a": weak}
    greedy = held_out(overall=several)[0]
    assert greedy.models == ["student", "teacher:a", "teacher:b"]
    assert (greedy.rows[0].gained, round(greedy.rows[0].lacking or 0, 3)) == (None, -0.296)


def test_a_set_in_which_nothing_could_be_judged_has_its_row():
    nothing = {"n": 0, "accuracy": None, "low": 0.0, "high": 1.0}
    greedy = held_out(overall={"student": {"greedy": nothing}}, categories={})[0]
    assert [(row.category, row.gained, row.lacking) for row in greedy.rows] == [(ALL, None, None)]


@pytest.mark.parametrize(
    ("event", "text", "done", "total"),
    [
        (None, "", 0, 0),
        ({"event": "rendered", "rows": 5}, "rendered", 0, 0),
        ({"event": "step", "step": 1200, "total": 4000}, "step 1,200 of 4,000", 1200, 4000),
        (
            {"event": "evaluating", "model": "student", "mode": "greedy", "done": 3, "total": 9},
            "asking student, greedy: 3 of 9",
            3,
            9,
        ),
    ],
)
def test_how_far_a_run_is(event, text, done, total):
    far = how_far(event)
    assert (far.text, far.done, far.total) == (text, done, total)
