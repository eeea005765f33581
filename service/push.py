"""Taking an export folder to where others find it: a Hugging Face hub, or anything that fsspec writes to.

Both can be called again after a break: what is there already, byte for byte, is not sent again. At the end every
file is compared with what lies there. Nothing here stores a credential: the hub's token is read from the environment,
and the others have their own ways.
"""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from filters.manifest import Manifest
from service.errors import Conflict, Problem

HUB = "hf://datasets/"
PIECE_BYTES = 2**20
STALE = ("data/", "soft_labels/", "charts/")
"""Where files of a version that was pushed before are removed: the card's patterns would take them for rows of this."""
PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs", "az": "adlfs"}
"""What fsspec reaches object stores with. These have no folders: asked for one, they would make a bucket."""
Told = Callable[[str], None]


class Broken(OSError):
    """It broke on the way; another call goes on."""


class Pushed(NamedTuple):
    """Where it lies, and how many files were sent and were there already."""

    url: str
    sent: int
    there: int


def refuse_blocked(manifest: Manifest) -> None:
    """Raise Conflict where the licence answer lets nobody pass the rows on."""
    licence = manifest.licence
    if licence.decision in {"forbidden", "unknown"}:
        why = "; ".join(licence.clauses) or "no licence is known"
        raise Conflict(
            f"{manifest.dataset}@{manifest.version} is {licence.decision} for {licence.intended_use} use: {why}; "
            "nothing was sent"
        )


def push(folder: Path, manifest: Manifest, target: str, *, token: str | None, private: bool, told: Told) -> Pushed:
    """Send a checked export folder to `target`: `hf://datasets/ORG/NAME`, or a folder as fsspec names it.

    Raises Conflict where the licence forbids it or another version is there, Problem for a target that is none, and
    OSError where it broke on the way.
    """
    refuse_blocked(manifest)
    if target.startswith("hf://"):
        repo = target.removeprefix(HUB)
        if not target.startswith(HUB) or repo.count("/") != 1 or not all(repo.split("/")):
            raise Problem(f"'{target}' is no dataset on a hub; expected {HUB}ORG/NAME")
        return _to_hub(folder, manifest, repo, token, private)
    if "://" not in target:
        raise Problem(f"'{target}' names no place; expected {HUB}ORG/NAME, s3://BUCKET/FOLDER or file:///FOLDER")
    return _to_files(folder, manifest, target, told)


def _to_hub(folder: Path, manifest: Manifest, repo: str, token: str | None, private: bool) -> Pushed:
    """One commit, so that nobody ever sees half of a version; large files that it needs are sent before it."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
    from huggingface_hub.errors import HfHubHTTPError

    # Those of the HTTP client that it is built on and of files, and what its upload makes of either.
    failures: Any = (*HfHubHTTPError.__bases__, RuntimeError)
    try:
        api = HfApi(endpoint=os.environ.get("HF_ENDPOINT"), token=token, library_name="retort")
        api.create_repo(repo, repo_type="dataset", private=private, exist_ok=True)
        paths, revision = _files(folder), "main"
        missing = _differing(api, repo, folder, paths, revision)
        listed = api.list_repo_files(repo, repo_type="dataset")
        stale = [path for path in listed if path.startswith(STALE) and path not in paths]
        if missing or stale:
            changes = [CommitOperationAdd(path, folder / path) for path in missing]
            gone = [CommitOperationDelete(path) for path in stale]
            message = f"{manifest.dataset}@{manifest.version}, rows {manifest.sha256[:12]}"
            done = api.create_commit(repo, [*changes, *gone], commit_message=message, repo_type="dataset")
            revision = done.oid
        wrong = _differing(api, repo, folder, paths, revision)
    except failures as error:
        raise Broken(f"the hub at {HUB}{repo}: {error.__cause__ or error}") from error
    if wrong:
        raise Broken(f"{wrong[0]} lies at {HUB}{repo} with other bytes than here")
    return Pushed(f"{api.endpoint}/datasets/{repo}", len(missing), len(paths) - len(missing))


def _differing(api: Any, repo: str, folder: Path, paths: list[str], revision: str) -> list[str]:
    """Return the files that the hub does not have, or has with other bytes, by the hashes that it tells."""
    found = {info.path: info for info in api.get_paths_info(repo, paths, repo_type="dataset", revision=revision)}
    differing = []
    for path in paths:
        info = found.get(path)
        if info is None:
            differing.append(path)
        elif info.lfs is not None:
            if info.lfs.sha256 != _sha256(folder / path):
                differing.append(path)
        elif info.blob_id != _git_blob(folder / path):
            differing.append(path)
    return differing


def _to_files(folder: Path, manifest: Manifest, target: str, told: Told) -> Pushed:
    """The manifest comes last: a folder without one is not whole, and the next call goes on with it."""
    from fsspec.core import url_to_fs

    try:
        fs, root = url_to_fs(target)
    except (ImportError, ValueError) as error:
        package = PACKAGES.get(target.partition("://")[0])
        advice = f" (`pip install {package}`)" if package and isinstance(error, ImportError) else ""
        raise Problem(f"'{target}' cannot be reached from here: {error}{advice}") from error
    try:
        return _written(fs, root.rstrip("/"), folder, manifest, target, told)
    except (Conflict, OSError):
        raise
    except Exception as error:
        # What the library of a store raises is its own affair: no keys, no network, no such place.
        raise Broken(f"{target}: {error or type(error).__name__}") from error


def _written(fs: Any, root: str, folder: Path, manifest: Manifest, target: str, told: Told) -> Pushed:
    last = f"{root}/manifest.json"
    if fs.exists(last):
        there = Manifest.model_validate_json(fs.cat_file(last))
        if there.sha256 != manifest.sha256 or there.version != manifest.version or there.dataset != manifest.dataset:
            raise Conflict(f"{target} holds {there.dataset}@{there.version} already; push to another folder")
    protocols = {fs.protocol} if isinstance(fs.protocol, str) else set(fs.protocol)
    has_folders = protocols.isdisjoint(PACKAGES)
    sent = 0
    paths = sorted(_files(folder), key=lambda path: path == "manifest.json")
    for path in paths:
        place, digest = f"{root}/{path}", _sha256(folder / path)
        if _remote_sha256(fs, place, (folder / path).stat().st_size) == digest:
            continue
        told(path)
        if has_folders:
            fs.makedirs(place.rpartition("/")[0], exist_ok=True)
        fs.put_file(str(folder / path), place)
        sent += 1
        if _remote_sha256(fs, place, (folder / path).stat().st_size) != digest:
            raise Broken(f"{path} lies at {target} with other bytes than here")
    return Pushed(target, sent, len(paths) - sent)


def _files(folder: Path) -> list[str]:
    """Return the files of a folder; hidden ones, such as a download's own notes, are no part of an export."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return sorted(path.as_posix() for path in found if not any(part.startswith(".") for part in path.parts))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _git_blob(path: Path) -> str:
    """Return what git, and so the hub, calls a small file by."""
    data = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def _remote_sha256(fs: Any, place: str, size: int) -> str | None:
    """Return the hash of a file as it is read back; None where there is none of this size."""
    # What an earlier look found, some file systems still believe.
    fs.invalidate_cache()
    if not fs.exists(place) or fs.size(place) != size:
        return None
    digest = hashlib.sha256()
    with fs.open(place, "rb") as file:
        while piece := file.read(PIECE_BYTES):
            digest.update(piece)
    return digest.hexdigest()
