"""Ordering a training: what all doors check before a run is queued."""

from typing import Any

from sqlmodel import Session

from service import training_files
from service.errors import Conflict
from service.models import DatasetVersion, Run, VersionState
from service.store import batches, datasets, runs, teachers

SERVER_KNOB = "teacher_server"
"""The trainer's knob for an address. Who orders a training names a registered teacher, whose address was checked."""


def order(session: Session, dataset: str, values: dict[str, Any]) -> tuple[Run, bool]:
    """Queue a training on a sealed version, `NAME@N` or `NAME`; return the run and whether it is new.

    `values` are the run's other columns; where they name uploaded `files`, those are checked and made a version first.
    Raises NotFound for an unknown version, file, batch or teacher that is to score, and Conflict where the version is
    not sealed, empty, or not to be trained on by its licence answer.
    """
    for batch_id in values["evaluation"]:
        batches.get(session, batch_id)
    if server := values["config"].get(SERVER_KNOB):
        teachers.asked(session, str(server))
    if asked := values.get("files"):
        training_files.check(session, training_files.TrainingFiles.model_validate(asked))
        return runs.order(session, values | {"dataset": dataset})
    version = datasets.named(session, dataset)
    if version.state != VersionState.SEALED:
        raise Conflict(
            f"{version.dataset}@{version.number} is {version.state}; a student is trained on a sealed version"
        )
    refuse_blocked(version)
    return runs.order(session, values | {"dataset": version.dataset, "version": version.number})


def refuse_blocked(version: DatasetVersion) -> None:
    """Raise Conflict when the version holds nothing, or the licence answer lets nobody take or train on it."""
    _refuse(version, {"forbidden", "unknown"})


def refuse_forbidden(version: DatasetVersion) -> None:
    """Raise Conflict as `refuse_blocked` does, save for what nobody knows: whoever uploads a file may learn from it."""
    _refuse(version, {"forbidden"})


def _refuse(version: DatasetVersion, decisions: set[str]) -> None:
    if not version.kept:
        raise Conflict(
            f"{version.dataset}@{version.number} keeps none of its {version.input:,} traces; its ledger says why"
        )
    answer = version.licence or {"decision": "unknown", "clauses": []}
    if answer["decision"] in decisions:
        why = "; ".join(answer["clauses"]) or "no licence is known"
        raise Conflict(
            f"{version.dataset}@{version.number} is {answer['decision']} for {version.intended_use} use: {why}. "
            "State the missing licences, or curate again with an override (licence, reason, author)"
        )
