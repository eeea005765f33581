"""Taking in traces that were made elsewhere: a body of a known source becomes a completed batch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from service.imports.group import grouped
from service.imports.source import Origin, Source
from service.ingest import Form
from service.models import Batch
from service.settings import Settings
from service.spooling import Spooled
from service.store import imports
from service.store.database import Database
from service.submission import Intake, Order, accept


@dataclass(frozen=True, slots=True)
class Provenance:
    """Whose traces they are, and what they came in."""

    teacher: str
    """A name that nobody registered is registered, without a server."""
    license: str
    """The teacher's; empty where nobody knows it."""
    model: str = ""
    """The teacher's own name."""
    prompts_license: str = ""
    """Of the prompts whose rows name none."""
    file: str = ""
    """Name of the file, kept with every trace."""
    more: Mapping[str, Any] = field(default_factory=dict)
    """What else the batch is to say of its origin."""


def take_in(
    database: Database, settings: Settings, source: Source, body: Spooled, of: Provenance, key: str | None
) -> tuple[Batch, bool]:
    """Store the traces of a spooled body; return their batch and whether it is new.

    The same body under the same idempotency key gives the batch that it made before, or goes on with one whose taking
    in broke off. Raises a Problem that names the bad rows, or Conflict.
    """
    about = {"format": source.name, "file": of.file, "license": of.license, "model": of.model}
    about |= {"prompts_license": of.prompts_license, **of.more}
    intake = Intake(
        ready=lambda session, _: imports.check_teacher(session, of.teacher, of.license),
        join=grouped,
        keep=imports.keep_chunk,
        open=lambda session, batch, _: imports.complete(session, batch),
    )
    origin = Origin(source.name, of.file, of.prompts_license)
    form = Form(lambda data, line: source.row(data, line, origin), source.fields)
    made = {"imported": about, "submitted": {"file": of.file, "sha256": body.sha256}}
    return accept(database, settings, Order([of.teacher], 1, {}, {}, key, made), body, form, intake)
