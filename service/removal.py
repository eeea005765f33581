"""Deleting a dataset version or a batch with all that belongs to it, as far as nothing was made from it."""

import shutil

from service.acts import Act
from service.caller import Caller
from service.settings import Settings
from service.store import audit, removal
from service.store.database import Database


def remove_version(database: Database, settings: Settings, name: str, number: int, caller: Caller) -> None:
    """Delete a version's ledger and folder; its row stays, so that its number is never given again.

    Raises Conflict while a run, a batch or a rendering stands on it. Again goes on where it broke off.
    """
    with database.write() as session:
        version, began = removal.begin_version(session, name, number)
        if began:
            audit.record(session, caller, Act.VERSION_DELETED, f"{name}@{number}", kept=version.kept)
        version_id, path = version.id or 0, version.path
    if path:
        # Before the ledger: what is left after a crash says for certain that there is no dataset any more.
        shutil.rmtree(settings.data_dir / path, ignore_errors=True)
    more = True
    while more:
        with database.write() as session:
            more = removal.clear_ledger(session, version_id)
    with database.write() as session:
        removal.end_version(session, version_id)


def remove_batch(database: Database, batch_id: str, caller: Caller) -> None:
    """Delete a batch: prompts, traces, labels, what people said of them. Raises Conflict as `remove_version` does."""
    with database.write() as session:
        batch, began = removal.begin_batch(session, batch_id)
        if began:
            audit.record(session, caller, Act.BATCH_DELETED, batch_id, prompts=batch.prompts)
    more = True
    while more:
        with database.write() as session:
            more = removal.clear_batch(session, batch_id)
