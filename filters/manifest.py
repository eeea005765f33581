"""`manifest.json`: what a dataset version is made of, and the only contract between it and the trainer."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, NonNegativeInt

Split = Literal["train", "eval", "test"]


class Described(BaseModel):
    """What the published schema shows with the descriptions that stand here."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class Part(Described):
    """One file of an export; `path` is relative to the folder, `sha256` of its bytes."""

    path: str
    sha256: str
    rows: NonNegativeInt
    bytes: NonNegativeInt


class TeacherEntry(Described):
    """A teacher whose traces are in the version, with the sampling its batches asked for."""

    name: str
    model: str
    license: str
    revision: str | None = None
    sampling: list[dict[str, Any]] = []


class BatchEntry(Described):
    """A batch whose traces the version was made of: what was asked, how, and what its traces are from."""

    id: str
    teachers: list[str]
    prompts: NonNegativeInt
    n: int
    """Answers asked of each teacher for each prompt, or the most that were."""
    accept_k: int | None = None
    sampling: dict[str, Any]
    input_file: str | None = None
    """The id of the uploaded file whose lines are its prompts."""
    body_sha256: str | None = None
    """Of what was submitted."""
    rewrite: dict[str, Any] | None = None
    """Of which batches or version its traces are rewritten, and how; None where teachers were asked."""
    imported: dict[str, Any] | None = None
    """Where its traces are from when they were made elsewhere."""


class SourceEntry(Described):
    """Where prompts of kept rows are from, as their submitter said; `others` stands for all past the first hundred."""

    source: str
    license: str
    prompts: NonNegativeInt


class NearPrompts(Described):
    """Prompts that are nearly the same, and what the splits made of them: a group is what a chain of them connects."""

    groups: NonNegativeInt
    prompts: NonNegativeInt
    """In all groups together."""
    largest: NonNegativeInt
    """Prompts in the largest."""
    whole_max: NonNegativeInt | None = None
    """Groups of up to so many prompts share a split; null where every group does."""
    apart: NonNegativeInt = 0
    """Larger groups: their prompts went each to the split of its own text."""
    apart_prompts: NonNegativeInt = 0
    """In these."""

    def in_words(self) -> str:
        """Return it as the card, the page and the command line tell it."""
        if not self.groups:
            return "no two prompts are nearly the same"
        groups = (
            f"{self.groups:,} groups of near-duplicate prompts ({self.prompts:,} prompts, at most {self.largest:,})"
        )
        if not self.apart:
            return f"{groups}, each in one split"
        return (
            f"{groups}; {self.apart:,} of them, of more than {self.whole_max:,} prompts each, would not fit into one "
            f"split: their {self.apart_prompts:,} prompts were split by text, and some are nearly the same as one in "
            "another split"
        )


class FilterCount(Described):
    """One line of the funnel: what reached a filter of the recipe, and what became of it."""

    kind: str
    version: int
    knobs: dict[str, Any]
    input: NonNegativeInt
    kept: NonNegativeInt
    rejected: NonNegativeInt
    abstained: NonNegativeInt
    reasons: dict[str, NonNegativeInt]
    """Count for each reason, rejections and abstentions alike."""
    notes: dict[str, NonNegativeInt] = {}
    """Count of what the filter noted about samples that it kept, and those after it may have rejected."""


class Licence(Described):
    """What may be done with the version, and on which conditions."""

    decision: Literal["allowed", "allowed_with_duties", "forbidden", "unknown"]
    intended_use: Literal["research", "commercial"]
    duties: list[str] = []
    clauses: list[str] = []
    overrides: list[dict[str, str]] = []


class SoftLabelParts(Described):
    """Where soft labels lie: Parquet with `id` (of the row they belong to), `k`, and `token_ids` and `logprobs`.

    The last two are flat lists of tokens * k entries, token by token; the first of each k is the token that was chosen,
    the others are the likeliest of the rest.
    """

    k: NonNegativeInt
    """The most entries that any token has."""
    tokenizer_sha256: dict[str, str]
    """By teacher, of the `tokenizer.json` whose ids they are; empty where nobody said."""
    splits: dict[Split, list[Part]]


class Manifest(Described):
    """The manifest of one sealed dataset version. `input` equals kept plus the sum of the funnel's rejections."""

    model_config = ConfigDict(extra="forbid")

    format: Literal[1] = 1
    dataset: str
    version: int
    sha256: str
    """Of the kept rows in order, each as canonical JSON with a newline: independent of file format and library."""
    batches: list[str]
    recipe: dict[str, Any]
    lineage: list[BatchEntry] = []
    """The batches, each with how it was asked; a row names its batch, its prompt and its teacher."""
    sources: list[SourceEntry] = []
    split: dict[str, Any] = {}
    """The shares of prompts that were held back, by split; the rest is for training. `group` says what shares a split:
    equal prompts (`text`), near-duplicate ones, too (`near`), or those in groups that are not too large (`auto`)."""
    near_prompts: NearPrompts | None = None
    """None where a prompt's own text alone decides its split."""
    teachers: list[TeacherEntry]
    input: NonNegativeInt
    kept: NonNegativeInt
    funnel: list[FilterCount]
    splits: dict[Split, list[Part]]
    rejected: Part
    """Every rejected row with `filter`, `reason`, `detail`, `evidence` beside the columns of the kept ones."""
    soft_labels: SoftLabelParts | None = None
    licence: Licence
