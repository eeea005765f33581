"""Counting a report's sets from judged answers."""

from collections.abc import Iterable
from typing import Any, TypeVar

from filters.statistics import mcnemar, wilson
from trainer.measures.calibration import calibrate, token_probabilities, vote_shares
from trainer.measures.lengths import Lengths, count_lengths
from trainer.measures.pass_at import count_pass_at
from trainer.measures.robustness import count_robustness
from trainer.questions import Exam
from trainer.report import Calibrations, Comparison, Example, Forgotten, Models, Modes, Score, SetReport
from trainer.results import BASE, MODES, STUDENT, TEACHER, Mode, Result

K = TypeVar("K")
V = TypeVar("V")


def build_sets(exam: Exam, results: list[Result], examples_max: int) -> dict[str, SetReport]:
    """Count the results, set by set."""
    sets = {}
    for name in dict.fromkeys(question.set for question in exam.questions):
        every = [result for result in results if result.question.set == name]
        of_set = [result for result in every if not result.sample and not result.perturbation]
        categories = sorted({result.question.category for result in of_set})
        lost, won = _examples(of_set, examples_max)
        forgotten = _forgotten(of_set)
        sets[name] = SetReport(
            prompts=sum(question.set == name for question in exam.questions),
            ungradable=exam.ungradable.get(name, 0),
            left_out=exam.left_out.get(name, 0),
            overall=_models(of_set),
            categories={
                category: _models([result for result in of_set if result.question.category == category])
                for category in categories
            },
            comparisons=_comparisons(of_set),
            lost=lost,
            won=won,
            retained=name in exam.retained,
            forgotten=[] if forgotten is None else in_turn(forgotten, examples_max),
            forgotten_count=None if forgotten is None else sum(map(len, forgotten.values())),
            **_figures(every, of_set),
        )
    return sets


def _figures(every: list[Result], of_set: list[Result]) -> dict[str, Any]:
    """Return what is counted from several answers to a prompt, from changed prompts, and from lengths."""
    models = list(dict.fromkeys(result.model for result in of_set))
    sampled = {
        model: [
            result for result in every if result.model == model and result.mode == "sampled" and not result.perturbation
        ]
        for model in models
    }
    greedy = {
        model: [result for result in of_set if result.model == model and result.mode == "greedy"] for model in models
    }
    calibration = {
        model: Calibrations(
            token_probability=calibrate(token_probabilities(greedy[model])),
            vote_share=calibrate(vote_shares(sampled[model])),
        )
        for model in models
    }
    changed = {
        kind: [result for result in every if result.perturbation == kind and result.model == STUDENT]
        for kind in dict.fromkeys(result.perturbation for result in every if result.perturbation)
    }
    return {
        "pass_at": _present({model: count_pass_at(sampled[model]) for model in models}),
        "calibration": {name: found for name, found in calibration.items() if found != Calibrations()},
        "lengths": _lengths(of_set, models),
        "robustness": _present(
            {kind: count_robustness(greedy.get(STUDENT, []), found) for kind, found in changed.items()}
        ),
    }


def _lengths(of_set: list[Result], models: list[str]) -> dict[str, dict[Mode, Lengths]]:
    teacher = {
        result.question.id: result.tokens for result in reversed(of_set) if result.model.startswith(TEACHER)
    }  # of several teachers the first
    return {
        model: _present(
            {
                mode: count_lengths(
                    (result for result in of_set if result.model == model and result.mode == mode),
                    {} if model.startswith(TEACHER) else teacher,
                )
                for mode in MODES
            }
        )
        for model in models
    }


def _present(found: dict[K, V | None]) -> dict[K, V]:
    return {key: value for key, value in found.items() if value is not None}


def score(results: Iterable[Result]) -> Score | None:
    """Count one model's results in one mode; None if there are none."""
    results = list(results)
    if not results:
        return None
    judged = [result.right for result in results if result.right is not None]
    bounds = wilson(sum(judged), len(judged))
    return Score(
        n=len(judged),
        right=sum(judged),
        accuracy=round(sum(judged) / len(judged), 6) if judged else None,
        low=round(bounds.low, 6),
        high=round(bounds.high, 6),
        unjudged=len(results) - len(judged),
        truncated=sum(result.truncated for result in results),
        tokens_mean=round(sum(result.tokens for result in results) / len(results), 1),
    )


def _models(results: list[Result]) -> Models:
    return {
        model: Modes(
            **{
                mode: score(result for result in results if result.model == model and result.mode == mode)
                for mode in MODES
            }
        )
        for model in dict.fromkeys(result.model for result in results)
    }


def _by_question(results: list[Result], model: str, mode: Mode) -> dict[int, Result]:
    # A teacher's stored answers stand against the student's in either mode.
    wanted: Mode = "sampled" if model.startswith(TEACHER) else mode
    return {result.question.id: result for result in results if result.model == model and result.mode == wanted}


def _comparisons(results: list[Result]) -> list[Comparison]:
    others = [model for model in dict.fromkeys(result.model for result in results) if model != STUDENT]
    return [_compare(results, mode, other) for mode in MODES for other in others]


def _compare(results: list[Result], mode: Mode, against: str) -> Comparison:
    student, other = _by_question(results, STUDENT, mode), _by_question(results, against, mode)
    pairs = [
        (student[key].right, other[key].right)
        for key in student.keys() & other.keys()
        if student[key].right is not None and other[key].right is not None
    ]
    only_student, only_other = pairs.count((True, False)), pairs.count((False, True))
    return Comparison(
        mode=mode,
        against=against,
        n=len(pairs),
        both_right=pairs.count((True, True)),
        only_student=only_student,
        only_other=only_other,
        both_wrong=pairs.count((False, False)),
        difference=round((only_student - only_other) / max(1, len(pairs)), 6),
        p_value=mcnemar(only_student, only_other),
    )


def _examples(results: list[Result], examples_max: int) -> tuple[list[Example], list[Example]]:
    student = _by_question(results, STUDENT, "greedy")
    lost: dict[str, list[Example]] = {}
    won: dict[str, list[Example]] = {}
    for result in results:
        mine = student.get(result.question.id)
        if mine is None or not result.model.startswith(TEACHER) or None in (mine.right, result.right):
            continue
        if mine.right != result.right:
            into = won if mine.right else lost
            into.setdefault(result.question.category, []).append(_example(mine, result))
    return in_turn(lost, examples_max), in_turn(won, examples_max)


def _forgotten(results: list[Result]) -> dict[str, list[Forgotten]] | None:
    """Return by category what the base got right and the student wrong; None where the base was not asked."""
    base = _by_question(results, BASE, "greedy")
    found: dict[str, list[Forgotten]] = {}
    for key, student in _by_question(results, STUDENT, "greedy").items():
        other = base.get(key)
        if other is not None and other.right and student.right is False:
            found.setdefault(student.question.category, []).append(
                Forgotten(**_asked(student), base_reasoning=other.reasoning, base_response=other.response)
            )
    return found if base else None


def _example(student: Result, teacher: Result) -> Example:
    return Example(**_asked(student), teacher_reasoning=teacher.reasoning, teacher_response=teacher.response)


def _asked(student: Result) -> dict[str, Any]:
    question = student.question
    return {
        "id": question.id,
        "category": question.category,
        "prompt": "\n".join(str(message.get("content") or "") for message in question.messages),
        "reference": question.reference,
        "student_reasoning": student.reasoning,
        "student_response": student.response,
        "student_reason": student.reason,
    }


def in_turn(by_category: dict[str, list[V]], examples_max: int) -> list[V]:
    """Take from each category in turn, so that one weak category does not fill the list."""
    turns = [
        (place, category, example)
        for category, examples in sorted(by_category.items())
        for place, example in enumerate(examples)
    ]
    return [example for _, _, example in sorted(turns, key=lambda turn: turn[:2])[:examples_max]]
