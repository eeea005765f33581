"""How fast traces are judged: a whole recipe, the recipe again after one late knob, a preview, and answers verified.

    python -m bench.curation                     # 100,000 traces, about ten minutes on two cores
    python -m bench.curation --traces 10000      # about one
    python -m bench.curation --whole             # every filter that asks nobody, on longer traces: half an hour

Traces lie in SQLite: four answers to each prompt, a few sentences of reasoning, answers in many spellings, one in six
wrong, one in ten nearly the same as another. Verification is set beside math-verify in a plain loop.
"""

import argparse
import random
import resource
import tempfile
import threading
import time
from collections.abc import Callable
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from bench.answers import a_number, a_response, an_answer, sixteen_numbers
from bench.contamination import question
from bench.filters import QUESTIONS, traces
from filters.recipe import Recipe
from filters.verdict import Outcome
from filters.verifiers.pool import Pool
from filters.verifiers.staff import Staff
from service import benchmarks
from service.api.shapes.datasets import VersionIn
from service.caller import ANYBODY, Caller
from service.curation import order, preview
from service.models import Batch, BatchState, DatasetVersion, JobKind, Trace
from service.scopes import Scope
from service.settings import Settings
from service.spooling import Spooled
from service.store import batches, curation, queue, teachers
from service.store.database import Database, insert_new
from workers.attempt import Attempt
from workers.curate import Curation

ANSWERS = 4
"""To each prompt."""
ROWS = 5_000
"""Traces stored at once."""
SERIAL = 400
"""Answers that math-verify gets alone; a few minutes would show the same."""
FILTERS: list[dict[str, Any]] = [
    {"kind": "length", "tokens_min": 8},
    {"kind": "repetition"},
    {"kind": "verified"},
    {"kind": "near_duplicate"},
    {"kind": "select", "per_prompt": 2},
]
WHOLE: list[dict[str, Any]] = [
    {"kind": kind}
    for kind in (
        "length",
        "format",
        "refusal",
        "language",
        "repetition",
        "pii",
        "code_licence",
        "consistency",
        "verified",
    )
]
"""What comes before contamination, near_duplicate and select in a recipe that has every filter that asks nobody."""
WORDS = [f"{random.Random(number).getrandbits(40):x}"[: 2 + number % 9] for number in range(5_000)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--traces", type=int, default=100_000)
    parser.add_argument("--whole", action="store_true", help="the whole recipe of the table, on longer traces")
    parser.add_argument("--no-verifications", action="store_true", help="only the recipes")
    given = parser.parse_args()
    if not (given.no_verifications or given.whole):
        verifications()
    with tempfile.TemporaryDirectory() as name:
        settings = Settings(data_dir=Path(name))
        database = Database(settings.url())
        database.create()
        if given.whole:
            filters = [*WHOLE, {"kind": "contamination", "benchmarks": [_exam(database, settings)]}, *FILTERS[-2:]]
            recipes(database, settings, fill_long(database, given.traces), filters)
        else:
            recipes(database, settings, fill(database, given.traces), FILTERS)
        database.close()


def recipes(database: Database, settings: Settings, batch_id: str, filters: list[dict[str, Any]]) -> None:
    """Show a curation, and the same again with a late knob changed."""
    first = _curated(database, settings, batch_id, filters)
    late = _curated(database, settings, batch_id, [*filters[:-1], {"kind": "select", "per_prompt": 1}])
    undone = _curated(database, settings, batch_id, [each for each in filters if each["kind"] != "repetition"])
    for what, again in (("one late knob changed", late), ("a filter taken out", undone)):
        faster, cheaper = (once / twice for once, twice in zip(first, again, strict=True))
        print(f"{what}: {faster:.1f} times as fast, {cheaper:.1f} times less CPU", flush=True)
    start = time.perf_counter()
    found = preview(database, settings, Staff(), [batch_id], Recipe.parse({"filters": filters}), 200)
    print(f"preview on {found.input} traces: {time.perf_counter() - start:.2f} s", flush=True)


def verifications() -> None:
    """Show verified answers a second, with the hard kill on, beside math-verify in a loop."""
    chosen = random.Random(3)
    mixed = [an_answer(chosen) for _ in range(4_000)]
    same = [item for _ in range(500) for item in sixteen_numbers(chosen)]
    for what, items in (("mixed answers", mixed), ("16 whole numbers a prompt", same)):
        alone = _rate(_serial, items[:SERIAL])
        pooled = _rate(_pooled, items)
        agree = sum(one == other for one, other in zip(_serial(items[:SERIAL]), _pooled(items[:SERIAL]), strict=True))
        print(
            f"{what:26} math-verify {alone:7,.0f}/s, retort {pooled:9,.0f}/s: {pooled / alone:6.1f} x; "
            f"same verdict on {agree} of {SERIAL}",
            flush=True,
        )


def fill(database: Database, count: int) -> str:
    """Store an ended batch of so many traces."""
    chosen = random.Random(5)
    batch = Batch(teachers=["made"], n=ANSWERS, state=BatchState.COMPLETED)
    numbers = [a_number(chosen) for _ in range(count // ANSWERS)]
    prompts = [
        {
            "key": str(line),
            "line": line,
            "messages": [{"role": "user", "content": f"{_text(chosen, 30)}?"}],
            "reference": str(number),
            "license": "own",
        }
        for line, number in enumerate(numbers)
    ]
    first_id = _begun(database, batch, prompts)
    earlier = [_text(chosen, 150) for _ in range(50)]
    for start in range(0, count, ROWS):
        places = range(start, min(start + ROWS, count))
        rows = [_trace(chosen, batch.id, first_id, place, numbers[place // ANSWERS], earlier) for place in places]
        with database.write() as session:
            insert_new(session, Trace, rows)
    return batch.id


def fill_long(database: Database, count: int) -> str:
    """Store an ended batch of so many traces of 475 words, in sentences and formulas."""
    batch = Batch(teachers=["made"], n=ANSWERS, state=BatchState.COMPLETED)
    samples = traces(count)
    first_id: int | None = None
    while some := list(islice(samples, ROWS)):
        asked = {sample.prompt_id: sample for sample in some}
        prompts = [
            {
                "key": str(number),
                "line": number,
                "messages": sample.messages,
                "reference": sample.reference,
                "license": "own",
            }
            for number, sample in asked.items()
        ]
        first = _begun(database, batch, prompts)
        first_id = first if first_id is None else first_id
        rows = [
            {
                "batch_id": batch.id,
                "prompt_id": first_id + sample.prompt_id,
                "teacher": "made",
                "sample_index": sample.id % ANSWERS,
                "parent_id": None,
                "reasoning": sample.reasoning,
                "response": sample.response,
                "finish_reason": "stop",
                "completion_tokens": sample.completion_tokens,
                "raw": b"",
                "created_at": time.time(),
            }
            for sample in some
        ]
        with database.write() as session:
            insert_new(session, Trace, rows)
    return batch.id


def _begun(database: Database, batch: Batch, prompts: list[dict[str, Any]]) -> int:
    """Store the batch with its teacher, or more of its prompts; return the id of its first prompt."""
    values = {"name": "made", "base_url": "http://127.0.0.1:9/v1", "model": "made", "license": "apache-2.0"}
    with database.write() as session:
        if not batch.prompts:
            teachers.register(session, values)
            session.add(batch)
    with database.write() as session:
        batches.add_prompts(session, batch, prompts)
        session.merge(batch)
    with database.read() as session:
        return curation.spans(session, [batch.id])[0].first


def _exam(database: Database, settings: Settings) -> str:
    """Add a benchmark; return its name."""
    chosen = random.Random(2)
    file = settings.data_dir / "exam.jsonl"
    file.write_bytes(b"".join(orjson.dumps({"question": question(chosen)}) + b"\n" for _ in range(QUESTIONS)))
    benchmarks.add(database, settings, "exam", ["question"], Spooled(file, ""))
    return "exam"


def _trace(
    chosen: random.Random, batch_id: str, first_id: int, place: int, number: Fraction, earlier: list[str]
) -> dict[str, Any]:
    text = _text(chosen, chosen.randint(60, 240))
    if chosen.random() < 0.1:
        text = f"{chosen.choice(earlier)} {chosen.choice(WORDS)}"
    return {
        "batch_id": batch_id,
        "prompt_id": first_id + place // ANSWERS,
        "teacher": "made",
        "sample_index": place % ANSWERS,
        "parent_id": None,
        "reasoning": text,
        "response": a_response(chosen, number),
        "finish_reason": "stop",
        "completion_tokens": len(text.split()),
        "raw": b"",
        "created_at": time.time(),
    }


def _text(chosen: random.Random, words: int) -> str:
    return " ".join(chosen.choices(WORDS, k=words))


def _serial(items: list[tuple[str, str]]) -> list[bool]:
    from math_verify import parse, verify

    return [bool(verify(parse(f"${reference}$"), parse(response))) for response, reference in items]


def _pooled(items: list[tuple[str, str]]) -> list[bool]:
    with Pool() as pool:
        asked = (("math", response, reference) for response, reference in items)
        return [verdict.outcome is Outcome.KEEP for verdict in pool.verify_many(asked)]


def _rate(way: Callable[[list[tuple[str, str]]], list[bool]], items: list[tuple[str, str]]) -> float:
    way(items[:20])  # loaded and compiled from here on
    start = time.perf_counter()
    way(items)
    return len(items) / (time.perf_counter() - start)


def _curated(
    database: Database, settings: Settings, batch_id: str, filters: list[dict[str, Any]]
) -> tuple[float, float]:
    """Curate and show it; return the seconds, and those of CPU, those of the processes that verify included."""
    body = VersionIn(name="bench", batches=[batch_id], recipe={"filters": filters}, intended_use="research")
    version, _ = order(database, body, Caller(Scope.ADMIN, ANYBODY, None, ""))
    with database.write() as session:
        job = queue.claim(session, [JobKind.CURATE], worker="bench", lease_s=3600)[0]
    start, before = time.perf_counter(), _cpu_s()
    Curation(Attempt(job, database, settings, threading.Event())).run()
    seconds, cpu_s = time.perf_counter() - start, _cpu_s() - before
    with database.read() as session:
        made = session.get_one(DatasetVersion, version.id)
    kinds = ", ".join(line["kind"] for line in made.funnel)
    print(
        f"{made.state}: {kinds}: {made.input:,} traces, {made.kept:,} kept, {seconds:.1f} s, {cpu_s:.1f} s of CPU",
        flush=True,
    )
    return seconds, cpu_s


def _cpu_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


if __name__ == "__main__":
    main()
