"""What request and response bodies have in common."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

NAME = r"^[a-z0-9][a-z0-9._-]{0,63}$"
"""Names are ids: they stand in paths, headers and file names."""
Use = Literal["research", "commercial"]


class Asked(BaseModel):
    """A request body: an unknown field is a mistake, not a wish to be ignored."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class Given(BaseModel):
    """A response body, filled from a table row."""

    model_config = ConfigDict(from_attributes=True)
