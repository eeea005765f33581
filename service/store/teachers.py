"""Teachers in the database."""

import time
from collections.abc import Sequence
from typing import Any

from sqlmodel import Session, select

from service.errors import Conflict, NotFound, nearest
from service.models import Teacher

LASTING = ("max_model_len",)
"""Of what a probe finds: decides how a server is asked, for soft labels and the tokens of each answer among them."""


def register(session: Session, values: dict[str, Any]) -> tuple[Teacher, dict[str, Any] | None]:
    """Add the teacher or bring the known one of that name up to `values`; return it and what it was, None if new."""
    known = session.get(Teacher, values["name"])
    if known is None:
        teacher = Teacher(**values)
        session.add(teacher)
        return teacher, None
    before = {name: getattr(known, name) for name in values}
    if any(before.get(name) != values.get(name) for name in ("base_url", "model")):
        known.health = None  # it was that of another server
    known.sqlmodel_update(values)
    session.add(known)
    return known, before


def changes(before: dict[str, Any] | None, teacher: Teacher) -> dict[str, Any]:
    """Return what of a teacher is new, or has another value than before: `[old, new]`."""
    if before is None:
        return {"base_url": teacher.base_url, "model": teacher.model, "license": teacher.license}
    return {name: [old, getattr(teacher, name)] for name, old in before.items() if old != getattr(teacher, name)}


def get(session: Session, name: str) -> Teacher:
    """Return the teacher called `name`; NotFound names the nearest one."""
    teacher = session.get(Teacher, name)
    if teacher is None:
        names = session.exec(select(Teacher.name)).all()
        raise NotFound(f"no teacher is called '{name}'{nearest(name, names)}")
    return teacher


def asked(session: Session, name: str) -> Teacher:
    """Return the teacher called `name`, who can be asked; Conflict where traces of it were imported and it has no
    server here."""
    teacher = get(session, name)
    if not teacher.base_url:
        raise Conflict(
            f"teacher '{name}' has no server: its traces were imported; "
            f"`retort teacher add {name} URL MODEL --license …` gives it one"
        )
    return teacher


def every(session: Session) -> Sequence[Teacher]:
    """Return all teachers by name."""
    return session.exec(select(Teacher).order_by(Teacher.name)).all()


def note_health(session: Session, name: str, health: dict[str, Any]) -> Teacher:
    """Keep what a probe found; return the teacher with it.

    A server that is busy or away has not forgotten how it can be asked: that stays known from when it answered.
    """
    teacher = get(session, name)
    known = teacher.health or {}
    lasting = {} if health.get("ok") else {key: known[key] for key in LASTING if key in known}
    teacher.health = lasting | health | {"checked_at": time.time()}
    session.add(teacher)
    return teacher
