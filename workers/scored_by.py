"""A registered teacher that scores what a student says while it is trained: its address and key, for the trainer."""

import os
from collections.abc import Sequence
from typing import Any

from service.models import Teacher
from service.store.database import Database
from service.training import SERVER_KNOB
from service.urls import Network, check_reachable

KEY_VARIABLE = "RETORT_TEACHER_API_KEY"
"""In which the trainer looks for the key of its server."""


def scored_by(
    database: Database, config: dict[str, Any], networks: Sequence[Network], environ: dict[str, str]
) -> dict[str, Any]:
    """Return the settings to change where a teacher's name stands in for an address; its key goes into `environ`.

    Raises ValueError where it cannot be asked: it is gone, its address is not allowed, or its key is not here.
    """
    name = config.get(SERVER_KNOB)
    if name is None:
        return {}
    with database.read() as session:
        teacher = session.get(Teacher, str(name))
    if teacher is None or not teacher.base_url:
        raise ValueError(f"no teacher '{name}' with a server is registered any more")
    check_reachable(teacher.base_url, networks)
    if teacher.api_key_env:
        key = os.environ.get(teacher.api_key_env)
        if not key:
            raise ValueError(f"the environment variable {teacher.api_key_env} is not set where the worker runs")
        environ[KEY_VARIABLE] = key
    # What the teacher's own row says of its licence holds, unless somebody stated it for this run.
    licence = {"teacher_license": teacher.license} if teacher.license and not config.get("teacher_license") else {}
    return {SERVER_KNOB: teacher.base_url, **licence}
