"""Asking base and student the same questions in several ways, judging them and the teachers alike, and scoring them.

What is asked is a plan of parts: every question greedily and once sampled; some of them sampled more often; some, put a
little differently, to the student alone.
"""

import gc
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from trainer import hardware
from trainer.base import load_tokenizer, stop_tokens
from trainer.config import Evaluation
from trainer.dialect import Completion, Dialect, find_dialect
from trainer.generate import Asking, Reply, encode, generate, read_reply
from trainer.held_out import Source, measure
from trainer.local_teacher import load_on_device
from trainer.measures.distance import Distance, HeldOut
from trainer.perturb import perturb
from trainer.questions import Exam, Question, spread
from trainer.results import MODES, STUDENT, Mode, Result, judge
from trainer.score import Scored, token_logprobs
from trainer.supervisor import Supervisor
from trainer.tasks import Tasks
from trainer.vllm_engine import Engine, generate_with_vllm, pick_engine


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model to ask."""

    name: str
    path: Path


@dataclass(frozen=True, slots=True)
class Part:
    """Questions asked in one way."""

    mode: Mode
    questions: list[Question]
    seed: int
    sample: int = 0
    perturbation: str = ""

    @property
    def told(self) -> str:
        """What an event calls it."""
        return self.perturbation or (f"{self.mode} {self.sample + 1}" if self.sample else self.mode)


@dataclass(frozen=True, slots=True)
class Reader:
    """The student's own tokenizer and template, through which every model is asked."""

    tokenizer: Any
    dialect: Dialect
    stops: list[int]

    @classmethod
    def of(cls, student: Path, completion: Completion) -> "Reader":
        """Load what belongs to a student's folder."""
        tokenizer: Any = load_tokenizer(student)
        return cls(tokenizer, find_dialect(tokenizer, completion), stop_tokens(student, tokenizer))


@dataclass(slots=True)
class Evaluated:
    """What came of it."""

    results: list[Result] = field(default_factory=list)
    """Of base and student, judged."""
    held_out: dict[str, HeldOut] = field(default_factory=dict)
    tasks: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    engine: Engine | None = None
    """None where nothing was asked."""


def evaluate(
    exam: Exam,
    candidates: Iterable[Candidate],
    sources: Sequence[Source],
    reader: Reader,
    knobs: Evaluation,
    tokens_max: int,
    supervisor: Supervisor,
) -> Evaluated:
    """Ask, judge and score every model.

    Raises TrainerError `no_vllm`, `vllm_failed`, and as `trainer.tasks` does.
    """
    free_memory()
    hardware.use_all_cores()
    done = Evaluated(engine=pick_engine(knobs.engine) if exam.questions else None)
    distances: dict[str, dict[str, Distance]] = {source.name: {} for source in sources}
    tasks = Tasks(knobs) if knobs.tasks else None
    for candidate in candidates:
        parts = plan(exam, knobs, candidate.name) if exam.questions else []
        asker = _Asker(candidate, reader, knobs, tokens_max, supervisor)
        replies = asker.with_vllm(parts) if done.engine == "vllm" else None
        model = load_on_device(candidate.path)
        replies = replies if replies is not None else asker.with_transformers(model, parts)
        results = [
            _result(part, question, candidate.name, reply)
            for part, answers in zip(parts, replies, strict=True)
            for question, reply in zip(part.questions, answers, strict=True)
        ]
        if parts:  # the first part is every question, greedily
            asked = len(parts[0].questions)
            results[:asked] = _with_confidence(model, reader, results[:asked], replies[0])
        done.results += results
        for source in sources:
            if (distance := measure(model, source.rows)) is not None:
                distances[source.name][candidate.name] = distance
        if tasks is not None:
            for task, metrics in tasks.run(model, reader, supervisor, candidate.name).items():
                done.tasks.setdefault(task, {})[candidate.name] = metrics
        del model
        free_memory()
    done.results = judge(done.results)
    done.held_out = {
        source.name: HeldOut(origin=source.origin, distribution=source.distribution, models=distances[source.name])
        for source in sources
    }
    return done


def plan(exam: Exam, knobs: Evaluation, model: str) -> list[Part]:
    """Return what one model is asked; the first part is every question, greedily."""
    parts = [Part(mode, exam.questions, knobs.seed) for mode in MODES]
    again, _ = spread(exam.questions, knobs.samples_prompts_max)
    parts += [Part("sampled", again, knobs.seed + sample, sample) for sample in range(1, knobs.samples)]
    if model != STUDENT:
        return parts
    few, _ = spread(exam.questions, knobs.perturbed_prompts_max)
    for kind in knobs.perturbations:
        changed = ((question, perturb(kind, question.messages, knobs.seed)) for question in few)
        questions = [replace(question, messages=messages) for question, messages in changed if messages]
        if questions:
            parts.append(Part("greedy", questions, knobs.seed, perturbation=kind))
    return parts


def free_memory() -> None:
    """Give back what a trainer or a model held: it may hang in reference cycles."""
    import torch

    gc.collect()
    torch.cuda.empty_cache()


@dataclass(frozen=True, slots=True)
class _Asker:
    """Asks one model the parts of a plan and tells how far it is."""

    candidate: Candidate
    reader: Reader
    knobs: Evaluation
    tokens_max: int
    supervisor: Supervisor

    def with_transformers(self, model: Any, parts: list[Part]) -> list[list[Reply]]:
        """Ask a model that is loaded."""
        return [
            generate(
                model,
                self.reader.tokenizer,
                self.reader.dialect,
                [question.messages for question in part.questions],
                self._asking(part),
                lambda done, part=part: self._tell(part, done),
            )
            for part in parts
        ]

    def with_vllm(self, parts: list[Part]) -> list[list[Reply]]:
        """Ask the model's folder."""
        self.supervisor.emit("starting_vllm", model=self.candidate.name)
        asked = [
            (self._encode([question.messages for question in part.questions]), self._asking(part)) for part in parts
        ]
        found = generate_with_vllm(self.candidate.path, asked, lambda number, done: self._tell(parts[number], done))
        return [
            [read_reply(self.reader.tokenizer, self.reader.dialect, tokens, self.reader.stops) for tokens in answers]
            for answers in found
        ]

    def _encode(self, conversations: list[list[dict[str, Any]]]) -> list[list[int]]:
        return encode(self.reader.tokenizer, self.reader.dialect, conversations)

    def _asking(self, part: Part) -> Asking:
        temperature = 0.0 if part.mode == "greedy" else self.knobs.temperature
        return Asking(self.reader.stops, self.tokens_max, temperature, part.seed, self.knobs.batch_size)

    def _tell(self, part: Part, done: int) -> None:
        self.supervisor.emit(
            "evaluating", model=self.candidate.name, mode=part.told, done=done, total=len(part.questions)
        )


def _result(part: Part, question: Question, model: str, reply: Reply) -> Result:
    told = (reply.reasoning, reply.response, reply.tokens, reply.truncated)
    return Result(question, model, part.mode, *told, sample=part.sample, perturbation=part.perturbation)


def _with_confidence(model: Any, reader: Reader, results: list[Result], replies: list[Reply]) -> Iterator[Result]:
    """Yield the results with the mean probability that the model gives the tokens of each."""
    prompts = encode(reader.tokenizer, reader.dialect, [result.question.messages for result in results])
    rows = [Scored(prompt + reply.ids, len(reply.ids)) for prompt, reply in zip(prompts, replies, strict=True)]
    sure = {place: float(logprobs.exp().mean()) for place, logprobs in token_logprobs(model, rows)}
    for place, result in enumerate(results):
        yield replace(result, confidence=sure.get(place))
