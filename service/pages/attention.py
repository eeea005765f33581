"""What needs a person: failures, waits, blocked licences, lost reasoning."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from service.api.shapes.batches import BatchOut
from service.models import DatasetVersion, Run, RunState, VersionState
from service.pages import advice
from service.pages.words import link, number, short, spaced
from service.store.overview import Wait

RECENT_S = 7 * 86_400
"""What failed longer ago has been seen, or will not be."""
BLOCKED = ("forbidden", "unknown")
UNATTENDED_AFTER_S = 15.0
"""Between two jobs a worker takes a moment; so long without any means there is none."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing to look at: what, why, what to do, and where."""

    level: Literal["bad", "warn"]
    title: str
    detail: str
    advice: str
    href: str


def notices(
    waits: Sequence[Wait],
    unattended: int,
    batches: Sequence[BatchOut],
    versions: Sequence[DatasetVersion],
    runs: Sequence[Run],
) -> list[Notice]:
    """Return what needs a person, the most pressing first."""
    found = [*_waiting(waits), *_unattended(unattended)]
    for batch in batches:
        found.extend(_of_batch(batch))
    return [*found, *_of_versions(versions), *_of_runs(runs)]


def _waiting(waits: Sequence[Wait]) -> Iterator[Notice]:
    for wait in waits:
        shards = f"{number(wait.shards)} shard{'' if wait.shards == 1 else 's'} wait"
        if wait.reason == "teacher_down":
            title = f"Teacher {wait.teacher} does not answer: {shards}"
        else:
            title = f"{shards} for {wait.teacher or 'their turn'}: {spaced(wait.reason)}"
        yield Notice("bad", title, wait.detail, advice.advice(wait.reason), link("/teachers"))


def _unattended(jobs: int) -> Iterator[Notice]:
    if jobs:
        title = f"No worker is at work: {number(jobs)} job{'' if jobs == 1 else 's'} in the queue"
        yield Notice("bad", title, "", advice.NO_WORKER, "/batches")


def _of_batch(batch: BatchOut) -> Iterator[Notice]:
    href, name = f"/batches/{batch.id}", short(batch.id)
    if batch.state == "failed":
        yield Notice("bad", f"{name} failed: {spaced(batch.reason)}", batch.detail, advice.advice(batch.reason), href)
    if batch.counts.failed:
        most = max(batch.reasons, key=lambda reason: batch.reasons[reason], default="")
        why = ", ".join(f"{number(count)} {reason}" for reason, count in batch.reasons.items())
        todo = advice.advice(most)
        if batch.finished_at:
            todo = f"{todo} {advice.RETRY.format(batch=batch.id)}".strip()
        title = f"{number(batch.counts.failed)} of {number(batch.counts.total)} answers of {name} failed"
        yield Notice("warn", title, why, todo, href)
    if batch.reasoning_lost:
        title = f"{number(batch.reasoning_lost)} answers of {name} came without the reasoning they were billed for"
        yield Notice("bad", title, "usage counts reasoning tokens, yet no text of it came", advice.REASONING_LOST, href)


def _of_versions(versions: Sequence[DatasetVersion]) -> Iterator[Notice]:
    for version in _newest_of_each(versions):
        name, href = f"{version.dataset}@{version.number}", f"/datasets/{version.dataset}/{version.number}"
        if version.state == VersionState.FAILED and _is_recent(version.created_at):
            yield Notice("bad", f"Curating {name} failed: {spaced(version.reason)}", version.detail, "", href)
        decision = (version.licence or {}).get("decision", "")
        if version.state == VersionState.SEALED and version.input and not version.kept:
            yield Notice(
                "warn",
                f"{name} kept none of its {number(version.input)} traces",
                _strictest(version),
                advice.EMPTY,
                href,
            )
        elif version.state == VersionState.SEALED and decision in BLOCKED:
            clauses = "; ".join((version.licence or {}).get("clauses", []))
            title = f"{name} is blocked by its licences: {decision} for {version.intended_use} use"
            yield Notice("warn", title, clauses, advice.LICENCE, href)


def _strictest(version: DatasetVersion) -> str:
    """Return which filter of a version rejected most, and for which reasons; empty where people alone did."""
    line = max(version.funnel, key=lambda line: line["rejected"], default=None)
    if line is None:
        return ""
    reasons = ", ".join(f"{number(count)} {reason}" for reason, count in line["reasons"].items())
    return f"{line['kind']} rejected {number(line['rejected'])}: {reasons}"


def _of_runs(runs: Sequence[Run]) -> Iterator[Notice]:
    for run in runs:
        if run.state == RunState.FAILED and _is_recent(run.created_at):
            title = f"{short(run.id)} failed: {spaced(run.reason)}"
            yield Notice("bad", title, run.detail, advice.advice(run.reason), f"/runs/{run.id}")


def _newest_of_each(versions: Iterable[DatasetVersion]) -> Iterator[DatasetVersion]:
    """Yield the first version of each dataset: an older one that failed was tried again."""
    seen = set()
    for version in versions:
        if version.dataset not in seen:
            seen.add(version.dataset)
            yield version


def _is_recent(created_at: float) -> bool:
    return time.time() - created_at < RECENT_S
