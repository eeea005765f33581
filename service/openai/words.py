"""What requests of this door have in common: metadata, and Retort's own fields that ride along."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from service.ingest import check_verifier

ENDPOINT = "/v1/chat/completions"
"""The one that a batch can call."""
N_MAX = 128

Metadata = Annotated[
    dict[
        Annotated[str, StringConstraints(min_length=1, max_length=64)],
        Annotated[str, StringConstraints(max_length=512)],
    ],
    Field(max_length=16),
]
"""OpenAI's bounds: 16 keys of up to 64 characters, values of up to 512."""


class About(BaseModel):
    """What is known about a prompt: a sibling object `retort` of a batch line's `body`, or of a chat request's fields.

    Where only metadata can be sent, its keys of the same names count as well, except `n`.
    """

    model_config = ConfigDict(extra="forbid")

    reference: str | int | float | None = None
    verifier: str | None = None
    category: str = ""
    source: str = ""
    license: str = ""
    n: int | None = Field(default=None, ge=1, le=N_MAX)
    """Answers to ask for; the same as `n` in the body."""

    @field_validator("verifier")
    @classmethod
    def _known(cls, name: str | None) -> str | None:
        check_verifier(name)
        return name


COLUMNS = ("reference", "verifier", "category", "source", "license")
NOTHING = About()


def columns(about: About | None, metadata: dict[str, str] | None) -> dict[str, Any]:
    """Return the values of a prompt's columns: what `metadata` says counts where the object is silent.

    Raises ValidationError for metadata that cannot be what it is called, such as an unknown verifier.
    """
    said = {name: metadata[name] for name in COLUMNS if name in metadata} if metadata else {}
    if said:
        about = About.model_validate(said | (about.model_dump(exclude_unset=True) if about else {}))
    found = {name: getattr(about or NOTHING, name) for name in COLUMNS}
    reference = found["reference"]
    return found | {"reference": None if reference is None else str(reference)}
