"""How a sealed version is asked for."""

from typing import Literal

from pydantic import Field

from filters.manifest import Split
from service.api.shapes.base import Asked
from service.errors import Problem
from service.exports import FORMATS
from service.exports.form import PAIRS_MAX, Reasoning, Wish

FormatName = Literal[
    "parquet",
    "jsonl",
    "messages",
    "prompt_completion",
    "preference",
    "openai",
    "sharegpt",
    "alpaca",
    "axolotl",
]


class DownloadQuery(Asked):
    """One split in one format."""

    format: FormatName = "parquet"
    """`parquet` is the whole folder, as a zip; the others are JSON lines of one split."""
    split: Split = "train"
    reasoning: Reasoning | None = None
    """`field` of its own, `inline` between `<think>` and `</think>`, or `drop`. Left out: a field where the format has
    one, else inline."""
    reasoning_key: Literal["reasoning_content", "thinking", "reasoning"] = "reasoning_content"
    """What that field is called: what the student's chat template reads."""
    worse: list[str] = Field(default=["verified"], min_length=1, max_length=16)
    """For `preference`: the filters whose rejections are worse answers, `person` among them."""
    pairs_max: int = Field(default=4, ge=1, le=PAIRS_MAX)
    """For `preference`: pairs of one prompt at most."""

    def wish(self) -> Wish:
        """Return what is wished for, settled by the format; raises a Problem for what it cannot grant."""
        return FORMATS[self.format].settled(
            Wish(self.reasoning, self.reasoning_key, tuple(dict.fromkeys(self.worse)), self.pairs_max)
        )

    def refuse_knobs(self) -> None:
        """Raise a Problem where the sealed folder itself is wished for in another way than it is."""
        if self.reasoning is not None:
            raise Problem("reasoning: 'parquet' is the folder as it was sealed; leave it out")
