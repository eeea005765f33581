"""Benchmark files as filters read them: one text a line, each file named by the hash of what is in it."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

PINNED = r"^[a-z0-9][a-z0-9._-]{0,63}(@[0-9a-f]{64})?$"
"""A benchmark's name, and once a recipe is ordered the SHA-256 of its texts."""


class Line(NamedTuple):
    """A benchmark's text and its place in the file it came from, from 1."""

    number: int
    text: str


class Written(NamedTuple):
    """What a benchmark file holds: the SHA-256 of its bytes, and how many lines."""

    sha256: str
    lines: int


def write(lines: Iterable[Line], folder: Path) -> Written:
    """Write the lines as `SHA256.jsonl`, whole or not at all. The same texts are the same file."""
    folder.mkdir(parents=True, exist_ok=True)
    digest, count = hashlib.sha256(), 0
    with tempfile.NamedTemporaryFile("wb", dir=folder, suffix=".part", delete=False) as file:
        partial = Path(file.name)
        try:
            for line in lines:
                count += 1
                row = json.dumps({"line": line.number, "text": line.text}) + "\n"
                digest.update(row.encode())
                file.write(row.encode())
            file.flush()
            os.fsync(file.fileno())
            os.replace(partial, folder / f"{digest.hexdigest()}.jsonl")
        finally:
            partial.unlink(missing_ok=True)
    return Written(digest.hexdigest(), count)


def read(folder: Path, pinned: str) -> list[Line]:
    """Return the lines of `NAME@SHA256`. Raises ValueError where the file is missing or holds something else."""
    name, _, sha256 = pinned.partition("@")
    if not sha256:
        raise ValueError(f"benchmark {name!r} does not say which file it means: expected NAME@SHA256")
    try:
        data = (folder / f"{sha256}.jsonl").read_bytes()
    except FileNotFoundError:
        raise ValueError(f"the file of benchmark {name!r} is not in {folder}: add the benchmark again") from None
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ValueError(f"the file of benchmark {name!r} in {folder} was changed: remove it and add it again")
    rows = map(json.loads, data.splitlines())
    return [Line(row["line"], row["text"]) for row in rows]
