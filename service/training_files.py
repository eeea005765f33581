"""A training's uploaded files: they become imported batches, and those a sealed version, like any other traces."""

import re
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field
from sqlmodel import Session

from service import curation
from service.api.shapes.base import NAME, Use
from service.api.shapes.datasets import SplitIn, VersionIn
from service.caller import Caller
from service.errors import Problem
from service.importing import Provenance, take_in
from service.imports import examples
from service.models import DatasetVersion
from service.models.files import File, Purpose
from service.openai.uploads import path_of
from service.scopes import Scope
from service.settings import Settings
from service.spooling import Spooled
from service.store import files, runs
from service.store.database import Database

UPLOADED = "uploaded"
"""Who gave the answers, where nobody says; followed by the licence where that is known."""


class TrainingFiles(BaseModel):
    """What a run is to learn from that was uploaded: kept with the run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    training: str
    validation: str | None = None
    license: str = ""
    """Of the answers, and of the prompts whose lines say nothing; empty where nobody knows it."""
    teacher: str | None = Field(default=None, pattern=NAME)
    intended_use: Use = "research"

    @property
    def named(self) -> str:
        """Who gave the answers. One name stands for one licence, so that two files never disagree about it."""
        spelled = re.sub(r"[^a-z0-9.]+", "-", self.license.casefold()).strip("-.")
        return self.teacher or (f"{UPLOADED}-{spelled}"[:64] if spelled else UPLOADED)


def check(session: Session, asked: TrainingFiles) -> None:
    """Raise a Problem where a file is not there, or is not for a training."""
    for file_id in (asked.training, asked.validation):
        if file_id is not None and (file := files.get(session, file_id)).purpose != Purpose.FINE_TUNE:
            raise Problem(f"file '{file_id}' was uploaded for '{file.purpose}'; a training takes '{Purpose.FINE_TUNE}'")


def make_version(database: Database, settings: Settings, run_id: str) -> DatasetVersion:
    """Import the files of a run and order the version it will learn from; done again, it is the same one.

    All of the training file is the train split, all of the validation file the eval split, and its prompts with a
    reference measure the student. Raises a Problem that names the bad lines.
    """
    with database.read() as session:
        run = runs.get(session, run_id)
        if run.version:
            return runs.version_of(session, run)
        asked = TrainingFiles.model_validate(run.files)
        found = [files.get(session, name) for name in (asked.training, asked.validation) if name]
    batches = [_import(database, settings, file, asked) for file in found]
    order = VersionIn(
        name=asked.training,
        batches=list(dict.fromkeys(batches)),
        recipe={"filters": []},
        intended_use=asked.intended_use,
        split=SplitIn(eval=0, test=0, eval_batches=batches[1:]),
    )
    version, _ = curation.order(database, order, Caller(Scope.SUBMIT, run_id, None, ""))
    with database.write() as session:
        runs.made_of(session, run_id, version)
    return version


def _import(database: Database, settings: Settings, file: File, asked: TrainingFiles) -> str:
    of = Provenance(
        asked.named, asked.license, prompts_license=asked.license, file=file.filename, more={"file_id": file.id}
    )
    body = Spooled(_bytes(settings, file), file.sha256)
    key = f"fine-tune {file.id} {of.teacher} {asked.license}"
    try:
        batch, _ = take_in(database, settings, examples.SOURCE, body, of, key)
    except Problem as problem:
        problem.detail = f"{file.filename} ({file.id}), {problem.detail}"
        raise
    return batch.id


def _bytes(settings: Settings, file: File) -> Path:
    path = path_of(settings, file.id)
    if not path.is_file():
        raise Problem("its bytes are not in this machine's data folder: upload it again")
    return path
