"""From the ledger to a folder: the export, its licence answer, manifest and card."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import compress
from pathlib import Path
from typing import Any

import orjson

from filters.licences.check import Override, check
from filters.manifest import BatchEntry, FilterCount, Licence, Manifest, NearPrompts, TeacherEntry
from service.models import Batch, DatasetVersion, Teacher
from service.store.ledger import LedgerPage
from workers.card import card
from workers.chart import png
from workers.export import Export, Exported
from workers.label_files import LabelFiles, Read
from workers.tally import Tally


@dataclass(slots=True)
class Sources:
    """Where the kept rows come from: what the licence answer and the card speak of."""

    teachers: set[str] = field(default_factory=set)
    teacher_licences: set[str] = field(default_factory=set)
    prompt_licences: set[str] = field(default_factory=set)

    def add(self, page: LedgerPage, teachers: Mapping[str, Teacher]) -> None:
        """Take note of a page's kept rows."""
        columns = page.columns
        kept = [outcome == "keep" for outcome in columns["outcome"]]
        named = {*compress(columns["teacher"], kept), *compress(columns["rewriter"], kept)} - {None}
        self.teachers |= named
        self.teacher_licences |= {teachers[name].license if name in teachers else "" for name in named}
        self.prompt_licences |= {page.prompts[key].license for key in set(compress(columns["prompt_id"], kept))}


def write_folder(
    folder: Path,
    version: DatasetVersion,
    pages: Iterable[LedgerPage],
    funnel: list[FilterCount],
    teachers: Mapping[str, Teacher],
    batches: list[Batch],
    read_labels: Read | None,
) -> dict[str, Any]:
    """Write the whole export into `folder`; return the values of the sealed version.

    `read_labels` gives the soft labels of traces; None where no batch has any.
    """
    sources, tally = Sources(), Tally(version.recipe)
    total = 0
    with Export(folder) as export:
        labels = LabelFiles(folder, read_labels) if read_labels else None
        for page in pages:
            total += len(page)
            export.add(page)
            sources.add(page, teachers)
            tally.add(page)
            if labels:
                labels.add(page)
        exported = export.close()
    if exported.kept + sum(line.rejected for line in funnel) != total:
        raise RuntimeError(f"the ledger holds {total} rows, {exported.kept} of them kept; the funnel says otherwise")
    licence = _licence(version, sources)
    manifest = Manifest(
        dataset=version.dataset,
        version=version.number,
        sha256=exported.sha256,
        batches=version.batches,
        recipe=version.recipe,
        lineage=[_lineage(batch) for batch in batches],
        sources=tally.sources(),
        split=version.split,
        near_prompts=NearPrompts.model_validate(version.near_prompts) if version.near_prompts else None,
        teachers=_teachers(sources, teachers, batches),
        input=total,
        kept=exported.kept,
        funnel=funnel,
        splits=exported.splits,
        rejected=exported.rejected,
        soft_labels=labels.close() if labels else None,
        licence=licence,
    )
    # Left out where nobody looked: so a version that was sealed before anybody could is rebuilt byte for byte.
    unknown = None if manifest.near_prompts else {"near_prompts"}
    text = orjson.dumps(
        manifest.model_dump(mode="json", exclude=unknown), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    )
    (folder / "manifest.json").write_bytes(text)
    _draw(folder / "charts", tally)
    licences = sorted(sources.teacher_licences | sources.prompt_licences)
    (folder / "README.md").write_text(card(manifest, exported.prompts, licences), encoding="utf-8")
    return {
        "input": total,
        "kept": exported.kept,
        "funnel": [line.model_dump() for line in funnel],
        "splits": _splits(exported),
        "licence": licence.model_dump(),
        "sha256": exported.sha256,
    }


def _licence(version: DatasetVersion, sources: Sources) -> Licence:
    """Ask what the licences of the kept rows allow. Unknown and forbidden are answers too: the doors refuse then."""
    overrides = [Override.model_validate(override) for override in version.overrides]
    use = "commercial" if version.intended_use == "commercial" else "research"
    named = sorted(sources.teacher_licences), sorted(sources.prompt_licences)
    return check(*named, version.base, use, overrides=overrides).for_manifest(use, overrides)


def _teachers(sources: Sources, teachers: Mapping[str, Teacher], batches: list[Batch]) -> list[TeacherEntry]:
    found = []
    for name in sorted(sources.teachers):
        sampling: list[dict[str, Any]] = []
        for batch in batches:
            if name in batch.teachers and batch.sampling not in sampling:
                sampling.append(batch.sampling)
        teacher = teachers.get(name)
        known = {"model": teacher.model, "license": teacher.license, "revision": teacher.revision} if teacher else {}
        found.append(TeacherEntry(**{"name": name, "model": name, "license": ""} | known, sampling=sampling))
    return found


def _lineage(batch: Batch) -> BatchEntry:
    alike = batch.model_dump(include={"id", "teachers", "prompts", "n", "accept_k", "sampling", "body_sha256"})
    return BatchEntry(**alike, input_file=batch.input_file_id, rewrite=batch.rewrite, imported=batch.imported)


def _draw(folder: Path, tally: Tally) -> None:
    folder.mkdir()
    for stem, svg in tally.charts().items():
        (folder / f"{stem}.svg").write_text(svg, encoding="utf-8")
        (folder / f"{stem}.png").write_bytes(png(svg))


def _splits(exported: Exported) -> dict[str, Any]:
    return {
        split: {"rows": sum(part.rows for part in parts), "prompts": exported.prompts.get(split, 0)}
        for split, parts in exported.splits.items()
    }
