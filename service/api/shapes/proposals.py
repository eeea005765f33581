"""What to ask the teacher next, from what a student lacks."""

from pydantic import BaseModel, ConfigDict


class Share(BaseModel):
    """One category of a proposal."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    category: str
    student: float
    """Share of right answers, greedy."""
    teacher: float | None
    """Of the best teacher's stored answers; None where no teacher answered these prompts."""
    judged: int
    """Prompts that this is counted on."""
    wanted: int
    """Prompts that its gap earns."""
    drawn: int
    """Prompts of the dataset's own batches, not always answered right there, to be asked again with more samples."""
    new: int
    """Prompts that somebody has to write: there are not enough."""


class Proposal(BaseModel):
    """How many prompts of which category to ask next."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    run: str
    dataset: str
    version: int
    prompts: int
    """Asked for."""
    drawn: int
    new: int
    held_out: int
    """Prompts passed over because they measure a student."""
    categories: list[Share]
    """The widest gap first; categories without one get none."""
