"""`evaluation.parquet`: what a student is measured with, and the check that it was not trained on it."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from filters.fingerprint import fingerprint
from filters.manifest import Manifest
from service.models import Batch
from service.store import curation
from service.store.database import Database
from workers.database import patiently
from workers.rows import PROMPT, text_of

PAGE_PROMPTS = 1000
SCHEMA = pa.schema(
    [
        ("set", pa.string()),
        ("id", pa.int64()),
        ("prompt", PROMPT),
        ("reference", pa.string()),
        ("verifier", pa.string()),
        ("category", pa.string()),
        ("teacher", pa.string()),
        ("responses", pa.list_(pa.string())),
        ("reasonings", pa.list_(pa.string())),
        ("truncated", pa.list_(pa.bool_())),
    ]
)


class Leak(Exception):
    """Prompts that measure the student are among those it is to be trained on."""


def write_evaluation(database: Database, batch_ids: list[str], target: Path) -> None:
    """Write every prompt of the batches with all stored answers of each teacher, judged by nobody."""
    with pq.ParquetWriter(target, SCHEMA, compression="zstd") as writer:
        for rows in _pages(database, batch_ids):
            writer.write_table(pa.Table.from_pylist(rows, schema=SCHEMA))


def _pages(database: Database, batch_ids: list[str]) -> Iterator[list[dict[str, Any]]]:
    for span in patiently(database.read, curation.spans, batch_ids):
        batch = patiently(database.read, lambda session, wanted: session.get(Batch, wanted), span.batch_id)
        name, after = str(batch.meta.get("set") or batch.id), 0
        while page := patiently(database.read, curation.answered, span, after=after, limit=PAGE_PROMPTS):
            yield [row for prompt, answers in page for row in _rows(name, batch.teachers, prompt, answers)]
            after = page[-1][0].id or 0


def _rows(
    name: str, teachers: Iterable[str], prompt: Any, answers: list[tuple[str, str, str, str]]
) -> Iterator[dict[str, Any]]:
    for teacher in teachers:
        given = [answer for answer in answers if answer[0] == teacher]
        yield {
            "set": name,
            "id": prompt.id,
            "prompt": [{"role": message["role"], "content": text_of(message)} for message in prompt.messages],
            "reference": prompt.reference,
            "verifier": prompt.verifier,
            "category": prompt.category,
            "teacher": teacher,
            "responses": [response for _, response, _, _ in given],
            "reasonings": [reasoning for _, _, reasoning, _ in given],
            "truncated": [finish_reason == "length" for _, _, _, finish_reason in given],
        }


def refuse_leaks(dataset: Path, evaluation: Path) -> None:
    """Raise Leak when prompts of the dataset's train split are evaluation prompts too, word for word.

    Compared as `filters.fingerprint` has them: case, spacing and Unicode spelling do not make another prompt.
    """
    held_out = {fingerprint(_text(prompt)) for prompt in _prompts([evaluation])}
    manifest = Manifest.model_validate_json((dataset / "manifest.json").read_bytes())
    train = [dataset / part.path for part in manifest.splits.get("train", [])]
    seen: dict[bytes, str] = {}
    for prompt in _prompts(train):
        text = _text(prompt)
        if (found := fingerprint(text)) in held_out:
            seen.setdefault(found, text)
    if seen:
        example = next(iter(seen.values()))[:200]
        raise Leak(f"{len(seen)} evaluation prompts are in the train split too, such as {example!r}")


def _prompts(files: Iterable[Path]) -> Iterator[list[dict[str, Any]]]:
    for path in files:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=PAGE_PROMPTS, columns=["prompt"]):
                yield from batch.column(0).to_pylist()


def _text(prompt: list[dict[str, Any]]) -> str:
    return "\n".join(str(message["content"] or "") for message in prompt)
