"""What a student is measured with: prompts it never saw, their references, and what the teachers answered to them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filters.verified import Verified
from filters.verifiers import VERIFIERS
from trainer.dataset import Folder
from trainer.errors import TrainerError
from trainer.render import without_nulls

TEST_SET = "test"
UNCATEGORISED = "uncategorised"
COLUMNS = (
    "set",
    "id",
    "prompt",
    "reference",
    "verifier",
    "category",
    "teacher",
    "responses",
    "reasonings",
    "truncated",
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a teacher answered, as it was stored."""

    reasoning: str
    response: str
    truncated: bool


@dataclass(frozen=True, slots=True)
class Question:
    """One prompt that every model is asked."""

    set: str
    id: int
    category: str
    messages: list[dict[str, Any]]
    reference: str
    verifier: str
    teachers: dict[str, list[Answer]] = field(default_factory=dict)
    """Stored answers by the teacher's name, whether right or wrong."""


@dataclass(frozen=True, slots=True)
class Exam:
    """The questions, and how many prompts could not be among them."""

    questions: list[Question]
    ungradable: dict[str, int]
    """Prompts of each set without a reference, or with one that no verifier here can compare."""
    left_out: dict[str, int]
    """Prompts of each set beyond the limit."""
    retained: frozenset[str] = frozenset()
    """Sets of what the base could do before."""


def read_exam(
    folder: Folder, file: Path | None, prompts_max: int, retained: Sequence[str] = (), more: Sequence[Question] = ()
) -> Exam:
    """Read the evaluation file, or without one the version's test split; `more` are questions from elsewhere.

    Of the test split the rejected rows count too: among the kept ones alone the teacher would be right by selection.
    Raises TrainerError `evaluation_unreadable`, `unknown_set` for a name in `retained` that no set has.
    """
    rows = _read_file(file) if file else _read_test(folder)
    default = default_verifier(folder)
    questions: dict[tuple[str, int], Question] = {}
    ungradable: dict[tuple[str, int], str] = {}
    for row in rows:
        key = (row["set"], row["id"])
        name, reference = row["verifier"] or default, row["reference"] or ""
        if name not in VERIFIERS or not reference.strip() or not VERIFIERS[name].gradable(reference):
            ungradable[key] = row["set"]
            continue
        messages = [without_nulls(message) for message in row["prompt"]]
        known = Question(row["set"], row["id"], row["category"] or UNCATEGORISED, messages, reference, name)
        question = questions.setdefault(key, known)
        question.teachers.setdefault(row["teacher"], []).extend(row["answers"])
    asked = [*questions.values(), *more]
    kept, left_out = spread(asked, prompts_max)
    sets = list(dict.fromkeys(question.set for question in asked))
    if unknown := [name for name in retained if name not in sets]:
        raise TrainerError(
            "unknown_set",
            f"evaluation.retained names {unknown[0]!r}, and no set with gradable prompts is called so (there are: "
            f"{', '.join(sets) or 'none'})",
        )
    return Exam(kept, _count(ungradable.values()), left_out, frozenset(retained))


def default_verifier(folder: Folder) -> str:
    """Return the verifier of prompts that name none: the recipe's, as far as it has one."""
    filters = folder.manifest.recipe.get("filters", [])
    stated = next((knobs for knobs in filters if knobs.get("kind") == "verified"), {})
    return stated.get("default_verifier") or Verified().default_verifier


def _read_file(file: Path) -> Iterable[dict[str, Any]]:
    from pyarrow import parquet
    from pyarrow.lib import ArrowInvalid

    try:
        table = parquet.read_table(file)
    except (OSError, ArrowInvalid) as error:
        raise TrainerError("evaluation_unreadable", f"{file} cannot be read as Parquet: {error}") from error
    if missing := [name for name in COLUMNS if name not in table.column_names]:
        raise TrainerError("evaluation_unreadable", f"{file} lacks the columns {', '.join(missing)}")
    for row in table.to_pylist():
        answers = zip(row["reasonings"] or [], row["responses"] or [], row["truncated"] or [], strict=True)
        yield row | {"answers": [Answer(reasoning or "", response or "", cut) for reasoning, response, cut in answers]}


def _read_test(folder: Folder) -> Iterable[dict[str, Any]]:
    from pyarrow import compute, parquet

    wanted = ["prompt_id", "prompt", "reference", "verifier", "category", "teacher", "sample_index"]
    wanted += ["reasoning", "response", "finish_reason"]
    tables = [parquet.read_table(file, columns=wanted) for file in folder.files("test")]
    tables.append(parquet.read_table(folder.rejected, columns=wanted, filters=compute.field("split") == TEST_SET))
    rows = [row for table in tables for row in table.to_pylist()]
    for row in sorted(rows, key=lambda row: (row["prompt_id"], row["sample_index"])):
        answer = Answer(row["reasoning"] or "", row["response"] or "", row["finish_reason"] == "length")
        yield row | {"set": TEST_SET, "id": row["prompt_id"], "answers": [answer]}


def spread(questions: list[Question], prompts_max: int) -> tuple[list[Question], dict[str, int]]:
    """Take every so-manieth question of a set that has too many, so that each part of the set is heard."""
    kept, left_out = [], {}
    for name in dict.fromkeys(question.set for question in questions):
        of_set = [question for question in questions if question.set == name]
        count = min(prompts_max, len(of_set))
        kept += [of_set[place * len(of_set) // count] for place in range(count)]
        if len(of_set) > count:
            left_out[name] = len(of_set) - count
    return kept, left_out


def _count(names: Iterable[str]) -> dict[str, int]:
    names = list(names)
    return {name: names.count(name) for name in dict.fromkeys(names)}
