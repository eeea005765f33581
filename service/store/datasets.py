"""Datasets, their versions and their ledgers."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row
from sqlmodel import Session, col, func, select

from service.errors import Conflict, NotFound, Problem, nearest
from service.models import Dataset, DatasetVersion, Job, JobKind, JobState, Prompt, Trace, VerdictRow, VersionState
from service.store import events
from service.store.database import on_sqlite


def order(session: Session, dataset: str, recipe_sha256: str, values: dict[str, Any]) -> tuple[DatasetVersion, bool]:
    """Return the version that this order already gave, or one whose curation starts now; and whether it is new.

    A failed or deleted version is not given back: the same order tries again under the next number.
    """
    if session.get(Dataset, dataset) is None:
        session.add(Dataset(name=dataset))
        session.flush()
    same = select(DatasetVersion).where(
        DatasetVersion.dataset == dataset,
        DatasetVersion.recipe_sha256 == recipe_sha256,
        col(DatasetVersion.state).not_in((VersionState.FAILED, VersionState.DELETED)),
    )
    known = session.exec(same.order_by(col(DatasetVersion.number).desc())).first()
    if known is not None:
        return known, False
    newest = select(func.max(DatasetVersion.number)).where(DatasetVersion.dataset == dataset)
    number = (session.exec(newest).one() or 0) + 1
    version = DatasetVersion(dataset=dataset, number=number, recipe_sha256=recipe_sha256, **values)
    session.add(version)
    session.flush()
    name = f"{dataset}@{number}"
    session.add(Job(kind=JobKind.CURATE, subject=name, payload={"version_id": version.id}, priority=1))
    events.emit(session, "version.curating", name)
    return version, True


def rebuild(session: Session, found: DatasetVersion) -> Job:
    """Queue the writing of a sealed version's folder from its ledger, or return the job that is at it."""
    name = f"{found.dataset}@{found.number}"
    if found.state != VersionState.SEALED:
        raise Conflict(f"{name} is {found.state}; a sealed version is rebuilt")
    job = rebuilding(session, found)
    if job is None or job.state not in (JobState.QUEUED, JobState.RUNNING):
        payload = {"version_id": found.id, "rebuild": True}
        job = Job(kind=JobKind.CURATE, subject=name, payload=payload, priority=1)
        session.add(job)
        session.flush()
    return job


def rebuilding(session: Session, found: DatasetVersion) -> Job | None:
    """Return the newest rebuilding of a version, finished or not."""
    mine = select(Job).where(Job.subject == f"{found.dataset}@{found.number}", Job.kind == JobKind.CURATE)
    jobs = session.exec(mine.order_by(col(Job.id).desc())).all()
    return next((job for job in jobs if job.payload.get("rebuild")), None)


def every(session: Session) -> Sequence[Dataset]:
    """Return all datasets by name."""
    return session.exec(select(Dataset).order_by(Dataset.name)).all()


def versions(session: Session, dataset: str) -> Sequence[DatasetVersion]:
    """Return the versions of a dataset, newest first; NotFound names the nearest dataset."""
    if session.get(Dataset, dataset) is None:
        names = session.exec(select(Dataset.name)).all()
        raise NotFound(f"no dataset is called '{dataset}'{nearest(dataset, names)}")
    query = select(DatasetVersion).where(DatasetVersion.dataset == dataset)
    return session.exec(query.order_by(col(DatasetVersion.number).desc())).all()


def sealed_before(session: Session, dataset: str, number: int) -> DatasetVersion | None:
    """Return the newest sealed version with a smaller number; None where there is none."""
    earlier = (found for found in versions(session, dataset) if found.number < number)
    return next((found for found in earlier if found.state == VersionState.SEALED), None)


def version(session: Session, dataset: str, number: int) -> DatasetVersion:
    """Return one version; NotFound says which there are."""
    known = {found.number: found for found in versions(session, dataset)}
    if number not in known:
        raise NotFound(f"dataset '{dataset}' has no version {number}; it has {', '.join(map(str, sorted(known)))}")
    return known[number]


def named(session: Session, name: str) -> DatasetVersion:
    """Return the version called `NAME@N`; `NAME` alone means its newest sealed one."""
    dataset, at, number = name.removeprefix("dataset:").partition("@")
    if at and not number.isdigit():
        raise Problem(f"'{name}' names no dataset version; expected NAME@N, such as arithmetic@1")
    if at:
        return version(session, dataset, int(number))
    sealed = [found for found in versions(session, dataset) if found.state == VersionState.SEALED]
    if not sealed:
        raise NotFound(f"dataset '{dataset}' has no sealed version yet")
    return sealed[0]


def label(session: Session, version_id: int) -> str:
    """Return `NAME@N` of a version."""
    found = session.get(DatasetVersion, version_id)
    return f"{found.dataset}@{found.number}" if found else ""


def progress(session: Session, found: DatasetVersion) -> dict[str, int]:
    """Return `done` and `total` rows of the curation, 0 while unknown."""
    job = session.exec(
        select(Job).where(Job.subject == f"{found.dataset}@{found.number}").order_by(col(Job.id))
    ).first()
    return {"done": job.stored, "total": job.total} if job else {"done": 0, "total": 0}


def version_beside_a_reason(session: Session) -> Any:
    """Return the column of a verdict's version for where its reason is asked for, too.

    To SQLite an expression: it knows no frequencies, and would take the index of the version where that of the reason
    is the shorter way. Postgres knows them, and guesses ill how many rows an expression fits.
    """
    return col(VerdictRow.version_id) + 0 if on_sqlite(session) else col(VerdictRow.version_id)


def ledger(
    session: Session, version_id: int, wanted: dict[str, str | None], *, after: int, limit: int
) -> Sequence[Row[tuple[VerdictRow, int, str]]]:
    """Return up to `limit` rows of a version's ledger after trace id `after`, with prompt id and category."""
    by_reason = wanted.get("reason") is not None
    of_version = version_beside_a_reason(session) if by_reason else col(VerdictRow.version_id)
    query = (
        select(VerdictRow, Trace.prompt_id, Prompt.category)
        .join(Trace, col(Trace.id) == VerdictRow.trace_id)
        .join(Prompt, col(Prompt.id) == Trace.prompt_id)
        .where(of_version == version_id, col(VerdictRow.trace_id) > after)
        .order_by(col(VerdictRow.trace_id))
        .limit(limit)
    )
    for column, value in wanted.items():
        if value is not None:
            query = query.where(getattr(VerdictRow, column) == value)
    return session.exec(query).all()  # pyright: ignore[reportReturnType]
