"""Traces that were made elsewhere."""

from typing import Literal

from pydantic import Field

from service.api.shapes.base import NAME, Asked

SourceName = Literal["huggingface", "retort", "datadesigner", "curator", "openai", "openai_examples"]
UNKNOWN = "unknown"


class ImportQuery(Asked):
    """What they are, and whose."""

    format: SourceName
    """Which tool wrote the rows; `GET /api/imports/formats` lists them."""
    teacher: str = Field(pattern=NAME)
    """Who gave the answers, as you call it. A name that nobody registered is registered, without a server."""
    license: str = Field(min_length=1, max_length=256)
    """The teacher's; `unknown` where you do not know it, which blocks an export until somebody does."""
    model: str = Field(default="", max_length=512)
    """The teacher's own name, such as `deepseek-ai/DeepSeek-R1`."""
    prompts_license: str = Field(default="", max_length=256)
    """Of the prompts whose rows name none."""
    file: str = Field(default="", max_length=255)
    """Name of the file, kept with every trace."""
    map: list[str] = []
    """`COLUMN:FIELD`, such as `question:prompt`, as for `POST /api/batches`. Fields of an answer: `response`,
    `completion`, `reasoning`, `finish_reason`, `prompt_tokens`, `completion_tokens`, `reasoning_tokens`."""

    @property
    def known_license(self) -> str:
        """The licence as the tables have it: empty means unknown."""
        return "" if self.license.strip().lower() == UNKNOWN else self.license.strip()
