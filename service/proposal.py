"""What to ask the teacher next: prompts of the categories in which a student lacks most.

They are drawn from those that its dataset was made of and that the teacher did not always get right; what they cannot
fill is told as prompts that somebody has to write. Prompts that measure a student are never among them.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from filters.fingerprint import fingerprint
from filters.manifest import Manifest, Split
from service.api.shapes.proposals import Proposal, Share
from service.errors import Conflict
from service.gaps import UNCATEGORISED, Gap, gaps
from service.models import Run

JUDGING = ("verified", "vote", "judged")
"""Filters that tell right answers from wrong ones."""
PROMPTS_MAX = 100_000
ROWS_AT_ONCE = 4096
TRAIN = "train"
HELD_OUT: tuple[Split, ...] = ("eval", "test")
OF_PROMPT = ("reference", "verifier", "category", "source", "license")


@dataclass(slots=True)
class _Prompt:
    """One prompt of the train split: where its first row lies, and how its answers were judged."""

    category: str
    file: Path
    row: int
    right: int = 0
    wrong: int = 0

    @property
    def rate(self) -> float:
        """Share of right answers; where none was judged, between the two."""
        judged = self.right + self.wrong
        return self.right / judged if judged else 0.5


def propose(run: Run, folder: Path, measured: Iterable[bytes], prompts: int) -> tuple[Proposal, Iterator[bytes]]:
    """Return a proposal of so many prompts for a finished run, and its lines, ready to be submitted.

    `folder` is that of the version it was trained on; `measured` are marks of the prompts it was measured with. Raises
    Conflict where the report shows no gap or the folder is gone.
    """
    found = gaps(run.report or {})
    wanted = _allot(found, prompts)
    if not wanted:
        raise Conflict(f"run {run.id} lacks nothing against its teachers in any category: there is no gap to fill")
    manifest = _manifest(folder, run)
    held_out = set(measured)
    for part in [part for split in HELD_OUT for part in manifest.splits.get(split, [])]:
        held_out.update(prompt_mark(prompt) for (prompt,) in _rows(folder / part.path, "prompt"))
    drawn, passed_over = _draw(_pool(folder, manifest), wanted, held_out, run.id)
    by_category = Counter(prompt.category for prompt, _ in drawn)
    shares = [
        Share(
            category=gap.category,
            student=round(gap.student, 6),
            teacher=None if gap.teacher is None else round(gap.teacher, 6),
            judged=gap.judged,
            wanted=wanted[gap.category],
            drawn=by_category[gap.category],
            new=wanted[gap.category] - by_category[gap.category],
        )
        for gap in found
        if gap.category in wanted
    ]
    proposal = Proposal(
        run=run.id,
        dataset=run.dataset,
        version=run.version,
        prompts=prompts,
        drawn=len(drawn),
        new=sum(share.new for share in shares),
        held_out=passed_over,
        categories=shares,
    )
    return proposal, (_line(run.id, prompt, row) for prompt, row in drawn)


def prompt_mark(messages: Sequence[dict[str, Any]]) -> bytes:
    """Return what tells a prompt from others, however it is spaced and spelt."""
    return fingerprint("\n".join(_text(message.get("content")) for message in messages))


def _allot(found: Sequence[Gap], prompts: int) -> dict[str, int]:
    """Share prompts out by the width of the gaps; what rounding leaves goes to the widest first."""
    whole = sum(gap.missing for gap in found)
    if not whole:
        return {}
    counts = {gap.category: int(prompts * gap.missing / whole) for gap in found if gap.missing}
    for category in list(counts)[: prompts - sum(counts.values())]:
        counts[category] += 1
    return {category: count for category, count in counts.items() if count}


def _manifest(folder: Path, run: Run) -> Manifest:
    try:
        return Manifest.model_validate_json((folder / "manifest.json").read_bytes())
    except OSError:
        raise Conflict(
            f"the folder of {run.dataset}@{run.version}, from which prompts are drawn, is not on this machine: "
            f"`retort rebuild {run.dataset}@{run.version}` makes it anew"
        ) from None


def _pool(folder: Path, manifest: Manifest) -> dict[int, _Prompt]:
    """Return the prompts of the train split by id, those whose answers were all rejected among them."""
    kinds = [str(knobs.get("kind")) for knobs in manifest.recipe.get("filters", [])]
    place = next((place for place, kind in enumerate(kinds) if kind in JUDGING), None)
    judging, after = (None, []) if place is None else (kinds[place], kinds[place + 1 :])
    pool: dict[int, _Prompt] = {}
    for part in manifest.splits.get(TRAIN, []):
        for row, (prompt_id, category) in enumerate(_rows(folder / part.path, "prompt_id", "category")):
            prompt = pool.setdefault(prompt_id, _Prompt(category or UNCATEGORISED, folder / part.path, row))
            prompt.right += judging is not None
    rejected = folder / manifest.rejected.path
    for row, (prompt_id, category, decided_by, split) in enumerate(
        _rows(rejected, "prompt_id", "category", "filter", "split")
    ):
        if split != TRAIN:
            continue
        prompt = pool.setdefault(prompt_id, _Prompt(category or UNCATEGORISED, rejected, row))
        prompt.wrong += decided_by == judging
        prompt.right += decided_by in after
    return pool


def _draw(
    pool: dict[int, _Prompt], wanted: dict[str, int], measured: set[bytes], seed: str
) -> tuple[list[tuple[_Prompt, dict[str, Any]]], int]:
    """Return the prompts that were least often right, with their rows, and how many were passed over as held out."""
    by_category: dict[str, list[_Prompt]] = defaultdict(list)
    for prompt in pool.values():
        if prompt.category in wanted and prompt.rate < 1:
            by_category[prompt.category].append(prompt)
    drawn, seen, passed_over = [], set[bytes](), 0
    for category, count in wanted.items():
        # By chance among those that are equally hard, the same for the same run.
        random.Random(f"{seed} {category}").shuffle(by_category[category])  # noqa: S311 - to be repeatable, not secret
        hardest = sorted(by_category[category], key=lambda prompt: prompt.rate)
        taken = 0
        for start in range(0, len(hardest), ROWS_AT_ONCE):
            if taken == count:
                break
            for prompt, row in _with_rows(hardest[start : start + ROWS_AT_ONCE]):
                mark = prompt_mark(row["prompt"])
                passed_over += mark in measured
                if taken < count and mark not in measured and mark not in seen:
                    seen.add(mark)
                    drawn.append((prompt, row))
                    taken += 1
    return drawn, passed_over


def _with_rows(prompts: Sequence[_Prompt]) -> Iterator[tuple[_Prompt, dict[str, Any]]]:
    """Yield prompts with the columns of their rows, in the order given."""
    from pyarrow import parquet

    places: dict[Path, list[int]] = defaultdict(list)
    for prompt in prompts:
        places[prompt.file].append(prompt.row)
    rows: dict[tuple[Path, int], dict[str, Any]] = {}
    for file, numbers in places.items():
        with parquet.ParquetFile(file, memory_map=True) as opened:
            columns = [
                name for name in ("prompt_id", "prompt", *OF_PROMPT, "meta") if name in opened.schema_arrow.names
            ]
            wanted, begin = sorted(numbers), 0
            for batch in opened.iter_batches(ROWS_AT_ONCE, columns=columns):
                here = [number - begin for number in wanted if begin <= number < begin + len(batch)]
                found = batch.take(here).to_pylist() if here else []
                rows |= {(file, begin + place): row for place, row in zip(here, found, strict=True)}
                begin += len(batch)
    for prompt in prompts:
        yield prompt, rows[prompt.file, prompt.row]


def _line(run_id: str, prompt: _Prompt, row: dict[str, Any]) -> bytes:
    messages = [{key: value for key, value in message.items() if value is not None} for message in row["prompt"]]
    said = {name: row[name] for name in OF_PROMPT if row.get(name)}
    meta = orjson.loads(row["meta"]) if row.get("meta") else {}
    proposed = {"run": run_id, "prompt": row["prompt_id"], "right": prompt.right, "wrong": prompt.wrong}
    line = {"id": str(row["prompt_id"]), "messages": messages, **said, "meta": meta | {"proposed": proposed}}
    return orjson.dumps(line) + b"\n"


def _rows(file: Path, *columns: str) -> Iterator[tuple[Any, ...]]:
    from pyarrow import parquet

    with parquet.ParquetFile(file) as opened:
        for batch in opened.iter_batches(ROWS_AT_ONCE, columns=list(columns)):
            yield from zip(*(batch.column(name).to_pylist() for name in columns), strict=True)


def _text(content: Any) -> str:
    """Return a message's text, which may come in parts."""
    if isinstance(content, list):
        return "".join(str(part.get("text") or "") for part in content if isinstance(part, dict))
    return str(content or "")
