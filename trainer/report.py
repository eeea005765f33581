"""The shape of a run's report; `trainer.counting` counts it from judged answers.

What was added to it has a default, so that reports written before can still be read.
"""

from typing import Any, Literal

from trainer.finish import Trained
from trainer.measures.calibration import Calibration
from trainer.measures.distance import HeldOut
from trainer.measures.lengths import Lengths
from trainer.measures.pass_at import PassAt
from trainer.measures.robustness import Robustness
from trainer.measures.shape import Shape
from trainer.results import Mode


class Score(Shape):
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


class Modes(Shape):
    """One model's scores. A teacher's stored answers, however they were drawn, stand under `sampled`."""

    greedy: Score | None = None
    sampled: Score | None = None


Models = dict[str, Modes]
"""Keys: `base`, `student`, `teacher` (`teacher:NAME` for each where there are several)."""


class Comparison(Shape):
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


class Example(Shape):
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


class Forgotten(Shape):
    """A prompt that the base answered right and the student wrong, both greedily."""

    id: int
    category: str
    prompt: str
    reference: str
    student_reasoning: str
    student_response: str
    student_reason: str
    base_reasoning: str
    base_response: str


class Calibrations(Shape):
    """One model's calibration by each kind of confidence."""

    token_probability: Calibration | None = None
    """Mean probability of the tokens of its greedy answer."""
    vote_share: Calibration | None = None
    """Share of its sampled answers that agree; whether the commonest one is right."""


class SetReport(Shape):
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
    retained: bool = False
    """A set of what the base could do before: what the student forgot of it is the question."""
    forgotten: list[Forgotten] = []
    """Base right, student wrong; as many as `evaluation.examples_max`, from each category in turn."""
    forgotten_count: int | None = None
    """All of them; None where the base was not asked."""
    pass_at: dict[str, PassAt] = {}
    """By model; a teacher's are its stored answers."""
    calibration: dict[str, Calibrations] = {}
    """By model."""
    lengths: dict[str, dict[Mode, Lengths]] = {}
    """By model and mode."""
    robustness: dict[str, Robustness] = {}
    """The student's, by kind of change: `trainer.perturb`."""


class Lineage(Shape):
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


class Report(Shape):
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
    held_out: dict[str, HeldOut] = {}
    """By source: the teacher's answers of the evaluation's sets, of the test and of the eval split."""
    tasks: dict[str, dict[str, dict[str, float]]] = {}
    """Of lm-eval, by task, model and metric."""
    engine: str | None = None
    """What generated the answers of base and student."""
    not_measured: dict[str, str] = {}
    """Why a figure is missing, by its name."""
