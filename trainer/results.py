"""What models answered to the questions, judged by the verifiers that judged the training data."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from filters.sample import Sample
from filters.verdict import Outcome
from filters.verified import Verified
from trainer.questions import Question

Mode = Literal["greedy", "sampled"]
MODES: tuple[Mode, ...] = ("greedy", "sampled")
BASE, STUDENT, TEACHER = "base", "student", "teacher"


@dataclass(frozen=True, slots=True)
class Result:
    """One answer of one model to one question, judged."""

    question: Question
    model: str
    """`base`, `student`, `stage:NUMBER`, `teacher`, or `teacher:NAME` where there are several."""
    mode: Mode
    """`sampled` for teachers' stored answers, however they were drawn."""
    reasoning: str
    response: str
    tokens: int
    """By the student's tokenizer."""
    truncated: bool
    right: bool | None = None
    """None where the verifier could not say; such an answer counts for nobody and against nobody."""
    reason: str = ""
    """The verdict's."""
    sample: int = 0
    """Which of several answers in this mode. Accuracy counts the first alone: one try for everybody."""
    perturbation: str = ""
    """How the prompt was changed; empty for the prompt as it is."""
    confidence: float | None = None
    """Mean probability that the model gave the tokens of this answer; None where it was not asked for."""


def teachers(questions: list[Question], tokenizer: Any) -> list[Result]:
    """Return each teacher's stored answers to each question, in order; the first stands beside the student's."""
    names = list(dict.fromkeys(name for question in questions for name in question.teachers))
    results = []
    for question in questions:
        for name, answers in question.teachers.items():
            texts = [answer.reasoning + answer.response for answer in answers]
            tokens = tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else []
            model = TEACHER if len(names) == 1 else f"{TEACHER}:{name}"
            for sample, (answer, ids) in enumerate(zip(answers, tokens, strict=True)):
                told = (answer.reasoning, answer.response, len(ids), answer.truncated)
                results.append(Result(question, model, "sampled", *told, sample=sample))
    return results


def judge(results: list[Result]) -> list[Result]:
    """Return the results with the verdicts of the verifiers that judged the training data."""
    samples = (
        Sample(
            id=place,
            prompt_id=result.question.id,
            messages=result.question.messages,
            response=result.response,
            reasoning=result.reasoning,
            reference=result.question.reference,
            verifier=result.question.verifier,
        )
        for place, result in enumerate(results)
    )
    right = {Outcome.KEEP: True, Outcome.REJECT: False, Outcome.ABSTAIN: None}
    return [
        replace(result, right=right[verdict.outcome], reason=verdict.reason)
        for result, verdict in zip(results, Verified().judge(samples), strict=True)
    ]


def write_answers(results: Iterable[Result], target: Path) -> None:
    """Keep every answer with its verdict, to be read, searched, or asked more about."""
    import pyarrow as pa
    from pyarrow import parquet

    rows = [
        {
            "set": result.question.set,
            "id": result.question.id,
            "category": result.question.category,
            "model": result.model,
            "mode": result.mode,
            "sample": result.sample,
            "perturbation": result.perturbation,
            "reasoning": result.reasoning,
            "response": result.response,
            "reference": result.question.reference,
            "tokens": result.tokens,
            "truncated": result.truncated,
            "right": result.right,
            "reason": result.reason,
            "confidence": result.confidence,
        }
        for result in results
    ]
    parquet.write_table(pa.Table.from_pylist(rows), target)
