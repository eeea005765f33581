"""From a finished ledger to a sealed version's folder, the first time and again once the folder is lost."""

from pathlib import Path
from typing import Any

from filters.manifest import FilterCount
from service.models import DatasetVersion, VersionState
from service.store import curation, datasets, diff, soft_labels
from service.store.curation import Span
from workers.attempt import Attempt
from workers.export import discard, discard_partial, partial_folder, put_in_place
from workers.label_files import Read
from workers.people import Reviews
from workers.seal import write_folder


def seal(
    attempt: Attempt, version: DatasetVersion, spans: list[Span], reviews: Reviews, funnel: list[FilterCount]
) -> None:
    """Export what the ledger keeps, and seal the version."""
    partial, values = _written(attempt, version, spans, reviews, funnel)
    folder = attempt.folder(version)
    before = attempt.read(datasets.sealed_before, version.dataset, version.number)
    counted = attempt.read(diff.counts, before.id, attempt.version_id) if before else None
    values["path"] = f"datasets/{version.dataset}/v{version.number}"

    def end(session: Any) -> None:
        # Behind the fence and before the commit: no two attempts ever give their folder the name.
        curation.seal(session, attempt.job, attempt.version_id, values)
        if counted:
            diff.keep(session, before.id, attempt.version_id, counted)
        put_in_place(partial, folder)

    attempt.write(end)
    discard_partial(folder)


def rebuild(attempt: Attempt, version: DatasetVersion) -> None:
    """Write a sealed version's folder anew from its ledger; one with other rows than were sealed is thrown away."""
    spans = attempt.read(curation.spans, version.batches)
    reviews = Reviews(attempt.read(curation.reviews, version.batches))
    funnel = list(map(FilterCount.model_validate, version.funnel))
    partial, values = _written(attempt, version, spans, reviews, funnel)
    if version.state != VersionState.SEALED or values["sha256"] != version.sha256:
        discard(partial)
        detail = f"the ledger gives rows with the hash {values['sha256']}, sealed were {version.sha256}: what a "
        detail += "person edited since, or a prompt or trace that is gone, makes other rows"
        attempt.write(curation.rebuilt, attempt.job, reason="rows_differ", detail=detail)
        return

    def end(session: Any) -> None:
        curation.rebuilt(session, attempt.job)
        put_in_place(partial, attempt.folder(version))

    attempt.write(end)
    discard_partial(attempt.folder(version))


def _written(
    attempt: Attempt, version: DatasetVersion, spans: list[Span], reviews: Reviews, funnel: list[FilterCount]
) -> tuple[Path, dict[str, Any]]:
    """Write the export of a finished ledger beside its place; return the folder and the sealed version's values."""
    teachers = attempt.read(curation.teachers)
    batches = attempt.read(curation.batches_of, version)
    partial = partial_folder(attempt.folder(version), attempt.job.attempts)
    try:
        pages, labels = attempt.ledger(spans, reviews), _labels(attempt, version, reviews)
        return partial, write_folder(partial, version, pages, funnel, teachers, batches, labels)
    except BaseException:
        discard(partial)
        raise


def _labels(attempt: Attempt, version: DatasetVersion, reviews: Reviews) -> Read | None:
    """Return what reads the soft labels of traces, None where there are none at all."""
    if not attempt.read(soft_labels.are_there, version.batches):
        return None
    return lambda ids: attempt.read(soft_labels.read, reviews.as_written(ids))
