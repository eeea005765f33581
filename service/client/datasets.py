"""Recipes, datasets and their versions, licences."""

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Literal, TypedDict, Unpack

from pydantic import BaseModel

from filters.licences.check import Answer
from filters.manifest import Manifest
from service.api.shapes.datasets import PreviewOut, RebuildOut, VersionOut
from service.api.shapes.diffs import DiffOut, DiffRow
from service.api.shapes.teachers import BenchmarkAdded, BenchmarkOut
from service.api.shapes.traces import LedgerRow
from service.client.paths import Page, Span, segment, version_path
from service.client.sending import CONTENT_TYPE_OF, INGEST_TIMEOUT, bytes_of
from service.connection import Connection, Object, Progress, counted, given
from service.formats.detect import by_name


class DatasetOut(BaseModel):
    """A dataset and its versions, newest first."""

    name: str
    versions: list[VersionOut]


class CurateOptions(TypedDict, total=False):
    """How a version is made, as in `VersionIn`."""

    split: Object | None
    """`eval` and `test`: shares of the prompts; `group`: `text` or `near`."""
    base: str | None
    """Licence of the student's base."""
    overrides: list[dict[str, str]] | None
    """`licence`, `reason` and `author` of each."""


class LedgerQuery(Span, total=False):
    """Which verdicts."""

    outcome: Literal["keep", "reject"] | None
    filter: str | None
    reason: str | None


class DiffQuery(Span, total=False):
    """Which changed rows."""

    filter: str | None
    reason: str | None


class DownloadOptions(TypedDict, total=False):
    """Which rows in which form, as in `DownloadQuery`."""

    format: str
    split: str
    reasoning: str | None
    reasoning_key: str | None
    worse: list[str] | None
    pairs_max: int | None


class Recipes(Connection):
    """What a dataset is curated by."""

    def filters(self) -> dict[str, Object]:
        """Return the JSON schema of every filter's knobs, by kind."""
        return self._get(dict[str, Object], "/api/recipes/filters")

    def preview(self, batches: Sequence[str], recipe: Object, *, sample: int | None = None) -> PreviewOut:
        """Try a recipe on a sample of traces; nothing is stored."""
        body = {"batches": list(batches), "recipe": recipe, **given({"sample": sample})}
        return self._post(PreviewOut, "/api/recipes/preview", json=body)

    def add_benchmark(
        self, name: str, file: Path, columns: Sequence[str], *, progress: Progress | None = None
    ) -> BenchmarkAdded:
        """Add a file (JSONL, CSV or Parquet) whose columns hold what a benchmark asks; recipes call it by the name."""
        form = by_name(file.name)
        with file.open("rb") as opened:
            return self._post(
                BenchmarkAdded,
                "/api/benchmarks",
                params={"name": name, "column": list(columns)},
                headers={"Content-Type": CONTENT_TYPE_OF[form]} if form else {},
                content=counted(bytes_of(opened), progress),
                timeout=INGEST_TIMEOUT,
            )

    def benchmarks(self) -> list[BenchmarkOut]:
        """Return all benchmarks, by name."""
        return self._get(Page[BenchmarkOut], "/api/benchmarks").data


class Datasets(Connection):
    """Datasets, their sealed versions, and what may be done with them."""

    def curate(
        self, name: str, batches: Sequence[str], recipe: Object, intended_use: str, **more: Unpack[CurateOptions]
    ) -> VersionOut:
        """Start the curation of a new version of dataset `name`. `more`: `split`, `base`, `overrides`."""
        body = {
            "name": name,
            "batches": list(batches),
            "recipe": recipe,
            "intended_use": intended_use,
            **given(more),
        }
        return self._post(VersionOut, "/api/datasets", json=body)

    def delete_version(self, name: str, number: int) -> None:
        """Delete a version's rows, ledger and folder, as far as nothing was made from it."""
        self._request("DELETE", version_path(name, number))

    def rebuild(self, name: str, number: int) -> RebuildOut:
        """Start writing a sealed version's folder anew from its ledger."""
        return self._post(RebuildOut, version_path(name, number, "rebuild"))

    def rebuilding(self, name: str, number: int) -> RebuildOut:
        """Return what became of the newest rebuilding."""
        return self._get(RebuildOut, version_path(name, number, "rebuild"))

    def control(self, name: str, number: int, filter: str, *, seed: int = 0) -> VersionOut:
        """Curate as version `number` did, with a random draw of as many samples in the place of one filter."""
        return self._post(VersionOut, version_path(name, number, "control"), json={"filter": filter, "seed": seed})

    def datasets(self) -> list[DatasetOut]:
        """Return all datasets with their versions."""
        return self._get(Page[DatasetOut], "/api/datasets").data

    def dataset(self, name: str) -> DatasetOut:
        """Return one dataset with its versions."""
        return self._get(DatasetOut, f"/api/datasets/{segment(name)}")

    def version(self, name: str, number: int) -> VersionOut:
        """Return one version: its state, funnel, splits and licence."""
        return self._get(VersionOut, version_path(name, number))

    def ledger(self, name: str, number: int, **query: Unpack[LedgerQuery]) -> Page[LedgerRow]:
        """Return one page of verdicts: `outcome`, `filter`, `reason`, `after`, `limit`."""
        return self._get(Page[LedgerRow], version_path(name, number, "ledger"), **query)

    def diff(self, name: str, number: int, before: str | None = None) -> DiffOut:
        """Return what changed in a sealed version since `before`: a number or NAME@N, else the sealed one before it."""
        return self._get(DiffOut, version_path(name, number, "diff"), **{"with": before})

    def diff_rows(
        self, name: str, number: int, change: str, before: str | None = None, **query: Unpack[DiffQuery]
    ) -> Page[DiffRow]:
        """Return one page of traces that were `added`, `removed` or `moved`: `filter`, `reason`, `after`, `limit`."""
        return self._get(
            Page[DiffRow], version_path(name, number, "diff", "rows"), **{"with": before, "change": change}, **query
        )

    def manifest(self, name: str, number: int) -> Manifest:
        """Return a sealed version's manifest."""
        return self._get(Manifest, version_path(name, number, "manifest"))

    def card(self, name: str, number: int) -> str:
        """Return a sealed version's dataset card, Markdown."""
        return self._request("GET", version_path(name, number, "card")).text

    def download(
        self,
        name: str,
        number: int,
        target: BinaryIO,
        *,
        progress: Progress | None = None,
        **query: Unpack[DownloadOptions],
    ) -> None:
        """Write a sealed version to `target`: a zip of its folder, or with another `format` the rows of one `split`.

        `query` says which rows, in which form.
        """
        self._download(version_path(name, number, "download"), target, progress, **query)

    def check_licence(self, teachers: Sequence[str], prompts: Sequence[str], base: str | None, use: str) -> Answer:
        """Return what may be done with this combination of licences: `decision`, `duties`, `clauses`."""
        body = {"teachers": list(teachers), "prompts": list(prompts), "base": base, "use": use}
        return self._post(Answer, "/api/licences/check", json=given(body))

    def download_settings(self, name: str, number: int, **query: Unpack[DownloadOptions]) -> str:
        """Return the file that tells a format's reader of the downloads; raises (404) where it needs none."""
        return self._request("GET", version_path(name, number, "download", "settings"), params=given(query)).text
