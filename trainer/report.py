"""The report of a run: its shape, and how it is counted from judged answers."""

from collections.abc import Iterable
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from filters.statistics import mcnemar, wilson
from trainer.evaluate import MODES, TEACHER, Mode, Result
from trainer.finish import Trained
from trainer.questions import Exam


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class Score(_Shape):
    """One model in one mode on some prompts."""

    n: int
    """Prompts judged."""
    right: int
    accuracy: float | None
    """right ÷ n, None if nothing was judged."""
    low: float
    """Lower bound of the 95 % Wilson interval of the accuracy."""
    high: float
    unjudged: int
    """Answers that the verifier could not judge; they are not in n."""
    truncated: int
    """Answers that had not ended when their tokens were spent; they are in n."""
    tokens_mean: float | None
    """Of reasoning and response together, by the student's tokenizer."""


class Modes(_Shape):
    """One model's scores. A teacher's stored answers, however they were drawn, stand under `sampled`."""

    greedy: Score | None = None
    sampled: Score | None = None


Models = dict[str, Modes]
"""Keys: `base`, `student`, `teacher` (`teacher:NAME` for each where there are several)."""


class Comparison(_Shape):
    """Student and another model on the prompts on which both were judged."""

    mode: Mode
    """The student's and the base's; teachers are compared by their stored answers in both modes."""
    against: str
    n: int
    both_right: int
    only_student: int
    only_other: int
    both_wrong: int
    difference: float
    """Accuracy of the student less that of the other."""
    p_value: float
    """Exact McNemar test that they are equally good."""


class Example(_Shape):
    """A prompt on which student (greedy) and teacher differ."""

    id: int
    category: str
    prompt: str
    reference: str
    student_reasoning: str
    student_response: str
    student_reason: str
    """Why the verifier rejected the student, empty if it was right."""
    teacher_reasoning: str
    teacher_response: str


class SetReport(_Shape):
    """One set of evaluation prompts."""

    prompts: int
    """Asked."""
    ungradable: int = 0
    """Not asked: no reference, or none that a verifier can compare."""
    left_out: int = 0
    """Not asked: beyond `evaluation.prompts_max`."""
    overall: Models
    categories: dict[str, Models]
    comparisons: list[Comparison]
    lost: list[Example]
    """Teacher right, student wrong: where the next prompts should come from."""
    won: list[Example]
    """Teacher wrong, student right."""


class Lineage(_Shape):
    """What the student came from."""

    dataset: str
    version: int
    sha256: str
    teachers: list[dict[str, Any]]
    """As the manifest has them: name, model, license, revision, sampling."""
    funnel: list[dict[str, Any]]
    """Of the recipe: kind, input, kept, rejected, abstained."""
    licence: dict[str, Any]
    """As the manifest has it: decision, intended use, duties, clauses, overrides."""


class Report(_Shape):
    """`report.json`: one run, measured."""

    format: Literal[1] = 1
    method: str
    base: str
    """As the run was asked for it."""
    config: dict[str, Any]
    """Every setting of the run."""
    lineage: Lineage
    trained: Trained
    evaluation: str | None
    """Name of the evaluation file; None: the version's test split, kept and rejected rows alike."""
    evaluation_sha256: str | None = None
    tokens_max: int
    """For one reply."""
    temperature: float
    """Of the sampled replies."""
    sets: dict[str, SetReport]


def build_sets(exam: Exam, results: list[Result], examples_max: int) -> dict[str, SetReport]:
    """Count the results, set by set."""
    sets = {}
    for name in dict.fromkeys(question.set for question in exam.questions):
        of_set = [result for result in results if result.question.set == name]
        categories = sorted({result.question.category for result in of_set})
        lost, won = _examples(of_set, examples_max)
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
        )
    return sets


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
    others = [model for model in dict.fromkeys(result.model for result in results) if model != "student"]
    return [_compare(results, mode, other) for mode in MODES for other in others]


def _compare(results: list[Result], mode: Mode, against: str) -> Comparison:
    student, other = _by_question(results, "student", mode), _by_question(results, against, mode)
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
    student = _by_question(results, "student", "greedy")
    lost: dict[str, list[Example]] = {}
    won: dict[str, list[Example]] = {}
    for result in results:
        mine = student.get(result.question.id)
        if mine is None or not result.model.startswith(TEACHER) or None in (mine.right, result.right):
            continue
        if mine.right != result.right:
            into = won if mine.right else lost
            into.setdefault(result.question.category, []).append(_example(mine, result))
    return _in_turn(lost, examples_max), _in_turn(won, examples_max)


def _example(student: Result, teacher: Result) -> Example:
    question = student.question
    return Example(
        id=question.id,
        category=question.category,
        prompt="\n".join(str(message.get("content") or "") for message in question.messages),
        reference=question.reference,
        student_reasoning=student.reasoning,
        student_response=student.response,
        student_reason=student.reason,
        teacher_reasoning=teacher.reasoning,
        teacher_response=teacher.response,
    )


def _in_turn(by_category: dict[str, list[Example]], examples_max: int) -> list[Example]:
    """Take from each category in turn, so that one weak category does not fill the list."""
    turns = [
        (place, category, example)
        for category, examples in sorted(by_category.items())
        for place, example in enumerate(examples)
    ]
    return [example for _, _, example in sorted(turns, key=lambda turn: turn[:2])[:examples_max]]
