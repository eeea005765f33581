"""What is asked, which trainings answer it, and the rule by which an effect counts as shown: all of it settled before.

Every training is an `Arm`, run once for each seed; arms that several questions share are run once for all of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.experiments.place import ARITHMETIC

STEPS, MORE_STEPS = 300, 40
"""Of a training from a base; of a student that has been trained once and goes on."""
COMMON = {"batch_size": 16, "gradient_accumulation": 1, "learning_rate": 3e-3, "max_steps": STEPS}
"""Settings of every arm: those of `examples/arithmetic/student.json`, with half as many rows a step."""
MORE = {"max_steps": MORE_STEPS, "learning_rate": 1e-4}
BASE, SMALL = "base", "small"
"""Students: the example's base, and what `small.py` makes of it."""
GREEDY, SAMPLED = "greedy", "sampled"


@dataclass(frozen=True)
class Arm:
    """One training, but for its seed."""

    name: str
    method: str = "sft"
    version: str = "verified"
    knobs: Mapping[str, Any] = field(default_factory=dict)
    student: str = BASE
    """BASE, SMALL, or the arm whose student of the same seed is trained further."""
    tokens_of: str = ""
    """The arm that tells, seed by seed, how many tokens this one may see; it has as many steps as that takes."""
    first_stage: str = ""
    """The arm that is the same training as this one's first stage, so that it is not run twice."""


@dataclass(frozen=True)
class Line:
    """A line in the table of a question: one model of one arm."""

    label: str
    arm: str
    against: tuple[str, ...] = ()
    """Labels of the lines of the same question that it is compared with, seed by seed and prompt by prompt."""
    model: str = "student"
    """`stage:N` is what an arm of several stages had at the end of an earlier one."""


@dataclass(frozen=True)
class Question:
    """What a few lines are compared for."""

    name: str
    title: str
    about: str
    lines: tuple[Line, ...]

    @property
    def arms(self) -> list[str]:
        """Return the arms it needs, each once."""
        return list(dict.fromkeys(line.arm for line in self.lines))


TEMPERATURES = (1, 2, 4, 10, 20)

_ARMS = (
    Arm("verified", knobs={"evaluation": {"base": True}}),
    Arm("unverified", version="unverified"),
    Arm("random", version="random"),
    Arm("answer-only", version="answer-only", knobs={"completion": "answer_only"}),
    Arm("compact", version="compact"),
    *(Arm(f"soft-{degrees}", "soft_label", knobs={"temperature": degrees}) for degrees in TEMPERATURES),
    Arm(
        "on-policy",
        "on_policy",
        knobs=MORE | {"teacher": str(ARITHMETIC / "teacher"), "beta": 0.5},
        student="verified",
    ),
    Arm("off-policy", knobs=MORE, student="verified", tokens_of="on-policy"),
    Arm("off-policy-soft", "soft_label", knobs=MORE | {"temperature": 1}, student="verified", tokens_of="on-policy"),
    Arm("small-direct", student=SMALL),
    Arm(
        "small-staged",
        "staged",
        knobs={"assistants": [str(ARITHMETIC / "student-base")], "samples": 2},
        student=SMALL,
        first_stage="verified",
    ),
    Arm("generations", "self", knobs={"generations": 3, "samples": 2}, first_stage="verified"),
    Arm("curriculum", knobs={"order": "curriculum"}),
    *(Arm(f"select-{by}", version=f"select-{by}") for by in ("random", "diversity", "hardest", "shortest")),
)
ARMS = {arm.name: arm for arm in _ARMS}

_QUESTIONS = (
    Question(
        "verified",
        "Verified, unverified, or as many at random",
        "The same four answers of the teacher to each prompt: all of them; those that the filter `verified` found "
        "right; and what `retort control` draws by chance in that filter's place, as many rows.",
        (
            Line("as many at random", "random"),
            Line("unverified, all", "unverified"),
            Line("verified", "verified", against=("as many at random", "unverified, all")),
        ),
    ),
    Question(
        "reasoning",
        "With reasoning, compact, or the answer alone",
        "The same verified answers: as they are; with one equation for each step (`retort rewrite --compact`, by a "
        "rule, since the tiny teacher can write nothing but solutions: the working by tens and units is left out); and "
        "without reasoning (`retort rewrite --answer-only`).",
        (
            Line("whole reasoning", "verified"),
            Line("compact reasoning", "compact", against=("whole reasoning",)),
            Line("answer only", "answer-only", against=("whole reasoning",)),
        ),
    ),
    Question(
        "soft",
        "Soft labels, by temperature",
        "The same verified answers; hard labels are their tokens, soft ones the teacher's eight likeliest for each of "
        "them (`retort soft-labels`; `alpha` 0.9, the loss multiplied by T²).",
        (
            Line("hard labels", "verified"),
            *(Line(f"soft, T = {each}", f"soft-{each}", against=("hard labels",)) for each in TEMPERATURES),
        ),
    ),
    Question(
        "curriculum",
        "Easy prompts first, or shuffled",
        "The same verified answers; `order=curriculum` begins, in every epoch, with the prompts that the teacher "
        "mostly got right, and of those alike with short rows.",
        (
            Line("shuffled", "verified"),
            Line("curriculum", "curriculum", against=("shuffled",)),
        ),
    ),
    Question(
        "select",
        "K chosen, or K at random",
        "K of all verified answers (filter `select`), for the same number of steps.",
        (
            Line("K at random", "select-random"),
            Line("diverse", "select-diversity", against=("K at random",)),
            Line("hardest", "select-hardest", against=("K at random",)),
            Line("shortest", "select-shortest", against=("K at random",)),
        ),
    ),
    Question(
        "policy",
        "On-policy or off-policy",
        f"The student of *verified* goes on for {MORE_STEPS} steps: on its own answers, every token scored by the "
        "teacher (`on_policy`, `beta` 0.5); or on the teacher's answers for as many tokens of prompt and reply, with "
        "hard or with soft labels (T = 1). All three at a rate of 1e-4, which `on_policy` picks for this student by "
        "itself: in an earlier round at 1e-3 all three lost (2.4 points on-policy, 2.0 and 4.7 off-policy, greedy), "
        "and two seeds of `on_policy` at 1e-4 were looked at before it was chosen.",
        (
            Line("before", "verified"),
            Line("off-policy, hard", "off-policy", against=("before",)),
            Line("off-policy, soft", "off-policy-soft", against=("before",)),
            Line("on-policy", "on-policy", against=("before", "off-policy, hard", "off-policy, soft")),
        ),
    ),
    Question(
        "generations",
        "Three generations of self-distillation",
        "Each from the same base: the first learns the verified answers, the next ones the right ones of two answers "
        "of the last (`self`).",
        (
            Line("first generation", "verified"),
            Line("second", "generations", against=("first generation",), model="stage:2"),
            Line("third", "generations", against=("first generation", "second")),
        ),
    ),
    Question(
        "staged",
        "In stages or direct, into a smaller student",
        "The student is the base without its last layer, mended for a minute. Either it learns the teacher's verified "
        "answers, or an assistant (the whole base) learns those, and the student the assistant's right answers "
        "(`staged`, two to each prompt).",
        (
            Line("direct", "small-direct"),
            Line("staged", "small-staged", against=("direct",)),
        ),
    ),
)
QUESTIONS = {question.name: question for question in _QUESTIONS}


def needed(questions: list[Question]) -> list[Arm]:
    """Return the arms of the questions and those that they stand on, in an order in which they can be run."""
    found: dict[str, Arm] = {}

    def add(name: str) -> None:
        for before in leans_on(ARMS[name]):
            add(before)
        found.setdefault(name, ARMS[name])

    for question in questions:
        for name in question.arms:
            add(name)
    return list(found.values())


def leans_on(arm: Arm) -> list[str]:
    """Return the arms whose results of the same seed this one needs."""
    return [name for name in (arm.student, arm.tokens_of, arm.first_stage) if name in ARMS]
