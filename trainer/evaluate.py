"""Asking base and student the same questions, greedily and sampled, and judging them and the teachers alike."""

import gc
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from filters.sample import Sample
from filters.verdict import Outcome
from filters.verified import Verified
from trainer import hardware
from trainer.base import load_model, load_tokenizer, stop_tokens
from trainer.config import Evaluation
from trainer.dialect import Completion, find_dialect
from trainer.generate import Asking, Reply, generate
from trainer.questions import Exam, Question
from trainer.supervisor import Supervisor

Mode = Literal["greedy", "sampled"]
MODES: tuple[Mode, ...] = ("greedy", "sampled")
TEACHER = "teacher"


@dataclass(frozen=True, slots=True)
class Result:
    """One model's answer to one question, judged."""

    question: Question
    model: str
    """`base`, `student`, `teacher`, or `teacher:NAME` where there are several."""
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


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model to ask."""

    name: str
    path: Path


def evaluate(
    exam: Exam,
    candidates: Iterable[Candidate],
    student: Path,
    completion: Completion,
    knobs: Evaluation,
    tokens_max: int,
    supervisor: Supervisor,
) -> list[Result]:
    """Return every model's judged answers. All are asked through the student's own tokenizer and chat template."""
    import torch

    gc.collect()  # a trainer that has just ended holds its memory in reference cycles
    torch.cuda.empty_cache()
    hardware.use_all_cores()
    tokenizer: Any = load_tokenizer(student)
    device = torch.accelerator.current_accelerator() if hardware.has_accelerator() else "cpu"
    # Generation reads every weight for every token: in half precision that is half the work, where hardware has it.
    dtype = "bfloat16" if hardware.pick_precision("auto") == "bf16" else "float32"
    dialect = find_dialect(tokenizer, completion)
    stops = stop_tokens(student, tokenizer)
    results = []
    for candidate in candidates:
        model = load_model(candidate.path, dtype, str(device))
        for mode in MODES:
            temperature = 0.0 if mode == "greedy" else knobs.temperature

            def tell(done: int, model: str = candidate.name, mode: str = mode) -> None:
                supervisor.emit("evaluating", model=model, mode=mode, done=done, total=len(exam.questions))

            replies = generate(
                model,
                tokenizer,
                dialect,
                [question.messages for question in exam.questions],
                Asking(stops, tokens_max, temperature, knobs.seed, knobs.batch_size),
                tell,
            )
            results += [
                _result(question, candidate.name, mode, reply)
                for question, reply in zip(exam.questions, replies, strict=True)
            ]
        del model
        torch.cuda.empty_cache()
    return judge(results + teachers(exam.questions, tokenizer))


def teachers(questions: list[Question], tokenizer: Any) -> list[Result]:
    """Return each teacher's first stored answer to each question: one try, as the student has."""
    names = list(dict.fromkeys(name for question in questions for name in question.teachers))
    results = []
    for question in questions:
        for name, answers in question.teachers.items():
            if answers:
                first = answers[0]
                tokens = len(tokenizer(first.reasoning + first.response, add_special_tokens=False)["input_ids"])
                reply = Reply(first.reasoning, first.response, tokens, first.truncated)
                results.append(_result(question, TEACHER if len(names) == 1 else f"{TEACHER}:{name}", "sampled", reply))
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


def write_answers(results: list[Result], target: Path) -> None:
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
            "reasoning": result.reasoning,
            "response": result.response,
            "reference": result.question.reference,
            "tokens": result.tokens,
            "truncated": result.truncated,
            "right": result.right,
            "reason": result.reason,
        }
        for result in results
    ]
    parquet.write_table(pa.Table.from_pylist(rows), target)


def _result(question: Question, model: str, mode: Mode, reply: Reply) -> Result:
    return Result(question, model, mode, reply.reasoning, reply.response, reply.tokens, reply.truncated)
