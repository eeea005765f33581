"""Opening a dataset version's folder: nothing is trained on that is not what its manifest says, or not allowed."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from filters.manifest import Manifest, Part, Split
from trainer.errors import TrainerError

FORMAT = 1
COLUMNS = ("prompt", "completion", "id")
"""What a row needs to be trained on."""
LABEL_COLUMNS = ("id", "k", "token_ids", "logprobs")


@dataclass(frozen=True, slots=True)
class Folder:
    """A checked dataset version on this machine."""

    path: Path
    manifest: Manifest

    def files(self, split: Split) -> list[Path]:
        """Return the Parquet files of a split, none if the version has no such split."""
        return [self.path / part.path for part in self.manifest.splits.get(split, [])]

    def labels(self, split: Split) -> list[Part]:
        """Return the files with the soft labels of a split."""
        return self.manifest.soft_labels.splits.get(split, []) if self.manifest.soft_labels else []

    @property
    def rejected(self) -> Path:
        """The rows that the recipe rejected, with their verdicts."""
        return self.path / self.manifest.rejected.path

    @property
    def name(self) -> str:
        """The version as the service names it."""
        return f"{self.manifest.dataset}@{self.manifest.version}"


def open_folder(path: Path, *, license_unknown: Literal["refuse", "train"] = "refuse") -> Folder:
    """Check manifest, licence and every file's bytes, and return the folder; the knob is that of `Training`.

    Raises TrainerError: `no_manifest`, `manifest_unreadable`, `unknown_format`, `licence_blocked`, `file_missing`,
    `file_changed`, `no_training_rows`, `columns_missing`.
    """
    manifest = _read_manifest(path / "manifest.json")
    if not (manifest.licence.decision == "unknown" and license_unknown == "train"):
        _check_licence(manifest)
    for part in [*_parts(manifest.splits), manifest.rejected]:
        _check_part(path, part, COLUMNS)
    for part in _parts(manifest.soft_labels.splits) if manifest.soft_labels else ():
        _check_part(path, part, LABEL_COLUMNS)
    folder = Folder(path, manifest)
    if not sum(part.rows for part in manifest.splits.get("train", [])):
        raise TrainerError(
            "no_training_rows", f"{folder.name} has no row in its train split: curate with a milder recipe"
        )
    return folder


def _read_manifest(file: Path) -> Manifest:
    try:
        data = json.loads(file.read_bytes())
    except FileNotFoundError:
        raise TrainerError(
            "no_manifest", f"{file} does not exist: give the folder of an exported dataset version"
        ) from None
    except (OSError, ValueError) as error:
        raise TrainerError("manifest_unreadable", f"{file} cannot be read as JSON: {error}") from error
    found = data.get("format", FORMAT) if isinstance(data, dict) else None
    if found != FORMAT:
        raise TrainerError("unknown_format", f"{file} has format {found!r}, this trainer reads {FORMAT}: update Retort")
    try:
        return Manifest.model_validate(data)
    except ValidationError as error:
        raise TrainerError("manifest_unreadable", f"{file} is not a manifest: {_first(error)}; export again") from error


def _first(error: ValidationError) -> str:
    problem: Any = error.errors()[0]
    return f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"


def _check_licence(manifest: Manifest) -> None:
    licence = manifest.licence
    if licence.decision in ("allowed", "allowed_with_duties") or licence.overrides:
        return
    clauses = "; ".join(licence.clauses) or "no clause is recorded"
    raise TrainerError(
        "licence_blocked",
        f"{manifest.dataset}@{manifest.version} may not be trained on for {licence.intended_use} use: the licence "
        f"decision is {licence.decision} ({clauses}). Change the sources, or override with a reason and export again",
    )


def _parts(splits: dict[Split, list[Part]]) -> list[Part]:
    return [part for parts in splits.values() for part in parts]


def _check_part(folder: Path, part: Part, needed: tuple[str, ...]) -> None:
    from pyarrow import parquet
    from pyarrow.lib import ArrowInvalid

    file = (folder / part.path).resolve()
    if not file.is_relative_to(folder.resolve()):
        raise TrainerError("file_missing", f"the manifest names {part.path}, which lies outside {folder}")
    if not file.is_file():
        raise TrainerError("file_missing", f"{file} is named in the manifest and missing: copy the whole export folder")
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    if digest != part.sha256:
        raise TrainerError(
            "file_changed",
            f"{file} is not the file that was exported: its sha256 is {digest}, the manifest says {part.sha256}. "
            "Copy it again or export the version again",
        )
    try:
        metadata = parquet.read_metadata(file)
    except ArrowInvalid as error:
        raise TrainerError("file_changed", f"{file} is not a Parquet file: {error}") from error
    if metadata.num_rows != part.rows:
        raise TrainerError("file_changed", f"{file} has {metadata.num_rows} rows, the manifest says {part.rows}")
    columns = set(metadata.schema.to_arrow_schema().names)
    if missing := [name for name in needed if name not in columns]:
        raise TrainerError(
            "columns_missing", f"{file} lacks the columns {', '.join(missing)}: export the version again"
        )
