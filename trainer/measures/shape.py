"""What all shapes of a report have in common."""

from pydantic import BaseModel, ConfigDict


class Shape(BaseModel):
    """A part of `report.json`: written with these fields and no others, read back with whatever had a default."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)
