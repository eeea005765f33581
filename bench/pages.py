"""How long the pages take with a million traces in the database: every page, and what people look for among traces.

    python -m bench.pages                      # fills a database first, then asks
    python -m bench.pages --folder /tmp/big    # … or asks the one that an earlier run filled there
    python -m bench.pages --postgres           # the same on a Postgres of its own

The time is the server's: from the request to the last byte, in one process, without a network. For what took longer
than `SLOW_S` the database's plan follows.
"""

import argparse
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient
from sqlalchemy import event, text

from service.app import create_app
from service.changes import Change
from service.cli.serve import get_ready
from service.models import (
    Batch,
    BatchState,
    Dataset,
    DatasetVersion,
    Job,
    JobKind,
    JobState,
    Teacher,
    VersionState,
)
from service.settings import Settings
from service.store import search
from service.store.database import Database
from tests.postgres import postgres_server

HERE = "http://127.0.0.1:8080"
ROWS = 1_000_000
BATCHES, ANSWERS = 5, 4
CHUNK = 20_000
SLOW_S = 0.3
REPEATS = 15
TEACHERS = ("big", "small")
CATEGORIES = 12
REASONS = {"wrong_answer": 0.1, "near_duplicate": 0.03, "too_long": 0.002, "contaminated": 0.0003}
"""Why traces are rejected, and how often; what is rare is what a person looks for."""
SPREAD = [3, 5, 9, 17, 33, 65, 129, 257, 513, 1025, 2049, 4097, 8193, 16_385, 32_769, 100_003, 300_007, 9, 17, 33]
"""Of each word of a text, how many there are that may stand in its place."""
NEEDLE = "needle"
NEEDLE_EVERY = 80_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="where the SQLite database is, or is made")
    parser.add_argument("--rows", type=int, default=ROWS, help="traces; 1,000,000 by default")
    parser.add_argument("--postgres", action="store_true", help="on Postgres instead of SQLite")
    parser.add_argument("--repeats", type=int, default=REPEATS, help="times that each page is asked for")
    given = parser.parse_args()
    logging.getLogger("httpx").setLevel(logging.WARNING)
    with tempfile.TemporaryDirectory(prefix="retort-pages-") as made:
        folder = given.folder or Path(made)
        folder.mkdir(parents=True, exist_ok=True)
        if given.postgres:
            with postgres_server(Path(made)) as url:
                _bench(folder, url, given.rows, given.repeats)
        else:
            _bench(folder, f"sqlite:///{folder / 'retort.db'}", given.rows, given.repeats)


def _bench(folder: Path, url: str, rows: int, repeats: int) -> None:
    database = Database(url)
    database.create()
    with database.read() as session:
        there = session.connection().scalar(text("select max(id) from trace")) or 0
    if there < rows:
        fill(database, rows)
    settings = Settings(data_dir=folder, database_url=url)
    app = create_app(settings)
    with TestClient(app, base_url=HERE, headers={"Accept": "text/html"}) as client:
        get_ready(app)  # as the API's own process does
        print(f"\n{rows:,} traces, {database.engine.dialect.name}; ms: p50, p95, worst of {repeats}", flush=True)
        for path in _paths(rows):
            _show(client, path, repeats)
    database.close()


def fill(database: Database, rows: int) -> None:
    """Store `rows` traces in five batches, judged by three versions of two datasets: in the database's own words."""
    start = time.perf_counter()
    of_batch = rows // BATCHES
    with database.write() as session:
        for name in TEACHERS:
            session.add(Teacher(name=name, base_url="http://127.0.0.1:8000/v1", model=name, license="apache-2.0"))
        session.add_all([Dataset(name="whole"), Dataset(name="part")])
        for number in range(BATCHES):
            done = {"state": BatchState.COMPLETED, "teachers": list(TEACHERS), "n": 2, "finished_at": time.time()}
            session.add(Batch(id=_batch(number), prompts=of_batch // ANSWERS, **done))
        session.flush()
        session.add_all(_jobs(of_batch))
        session.add_all(_versions(rows))
    for first in range(0, rows, CHUNK):
        number = first // of_batch
        with database.write() as session:
            for statement in _statements(database.embedded, judged_by=3 if number == 0 else 2):
                span = {"batch": _batch(number), "first": first, "last": first + CHUNK - 1}
                session.connection().execute(text(statement), span)
        with database.write() as session:
            search.index(session, CHUNK)
        spent = time.perf_counter() - start
        print(f"\rfilling: {first + CHUNK:,} of {rows:,}, {spent:,.0f} s", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    with database.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.exec_driver_sql("pragma wal_checkpoint(truncate)" if database.embedded else "vacuum analyze")


def _statements(embedded: bool, judged_by: int) -> list[str]:
    """Return what stores one chunk: prompts, traces, and verdicts of `judged_by` versions."""
    numbers = "with recursive n(i) as (select :first + 0 union all select i + 1 from n where i < :last)"
    if not embedded:
        numbers = "with n(i) as (select generate_series(cast(:first as bigint), cast(:last as bigint)))"
    content = "'What is ' || i || ' worth after ' || (i % 90) || ' % off?'"
    message = f"""'[{{"role": "user", "content": "' || {content} || '"}}]'"""
    message = message if embedded else f"cast({message} as json)"
    # Small numbers make words that stand everywhere, large ones rare words.
    words = [f"' w' || ((i * {place} + i / 7) % {most})" for place, most in enumerate(SPREAD, 3)]
    half = len(words) // 2
    reasoning, response = "'the' || " + " || ".join(words[:half]), "'so' || " + " || ".join(words[half:])
    needle = f"case when i % {NEEDLE_EVERY} = {NEEDLE_EVERY} - 1 then ' {NEEDLE}' else '' end"
    teacher = f"case when i % 2 = 0 then '{TEACHERS[0]}' else '{TEACHERS[1]}' end"
    drawn, reached = "case", 0.0
    for reason, share in REASONS.items():
        reached += share
        drawn += f" when i * 7919 % 10000 < {10_000 * reached:.0f} then '{reason}'"
    # A version differs a little from the one before it: some rows are no longer kept, some are in another split.
    reason = f"case when i % 499 = 1 and :version = 2 then 'too_long' else {drawn} else '' end end as reason"
    split = "case when i % 997 = 1 and :version = 2 then 'eval' else 'train' end as split"
    judged = f"(select i + 1 as trace_id, {reason}, {split} from n) as judged"
    outcome = "case reason when '' then 'keep' else 'reject' end"
    null = "'null'" if embedded else "cast('null' as json)"
    category = f"'category ' || (i / {ANSWERS} % {CATEGORIES})"
    return [
        f"""{numbers} insert into prompt (id, batch_id, key, line, messages, category, source, license)
        select 1 + i / {ANSWERS}, :batch, cast(i as text), i + 1, {message}, {category}, '', ''
        from n where i % {ANSWERS} = 0""",
        f"""{numbers} insert into trace (id, batch_id, prompt_id, teacher, sample_index, reasoning, response,
            finish_reason, completion_tokens, raw, created_at)
        select i + 1, :batch, 1 + i / {ANSWERS}, {teacher}, i % {ANSWERS} / 2, {reasoning}, {response} || {needle},
            'stop', 90, '', 1.7e9 from n""",
        *(
            f"""{numbers} insert into verdict (version_id, trace_id, outcome, filter, reason, detail, split,
                evidence, abstentions, notes)
            select {version}, trace_id, {outcome}, 'verified', reason, '', split, {null}, {null}, {null}
            from {judged.replace(":version", str(version))}"""
            for version in range(1, judged_by + 1)
        ),
    ]


def _batch(number: int) -> str:
    return f"batch_{number:024x}"


def _jobs(of_batch: int) -> Iterator[Job]:
    for number in range(BATCHES):
        for name in TEACHERS:
            for _ in range(100):
                done = {"state": JobState.DONE, "total": of_batch // 200, "stored": of_batch // 200}
                yield Job(kind=JobKind.GENERATE, subject=_batch(number), teacher=name, started_at=1.0, **done)


def _versions(rows: int) -> Iterator[DatasetVersion]:
    rejected = {reason: round(rows * share) for reason, share in REASONS.items()}
    line = {"kind": "verified", "version": 1, "knobs": {}, "input": rows, "kept": rows - sum(rejected.values())}
    funnel = [line | {"rejected": sum(rejected.values()), "abstained": 0, "reasons": rejected}]
    sealed: dict[str, Any] = {"state": VersionState.SEALED, "input": rows, "kept": line["kept"], "funnel": funnel}
    for dataset, number in (("whole", 1), ("whole", 2), ("part", 1)):
        batches = [_batch(place) for place in range(BATCHES if dataset == "whole" else 1)]
        asked = {"batches": batches, "recipe": {"filters": []}, "intended_use": "research"}
        yield DatasetVersion(dataset=dataset, number=number, **asked, **sealed)


def _paths(rows: int) -> list[str]:
    """Return every page, and among traces what people look for: facets alone, together, with words, far behind."""
    batch, middle = _batch(2), rows // 2
    asked = [
        "",
        f"after={middle}",
        f"before={middle}",
        f"batch={batch}",
        "teacher=small",
        "teacher=gone",
        "category=category 7",
        f"batch={batch}&category=category 7",
        "outcome=keep",
        "outcome=reject",
        *(f"outcome=reject&reason={reason}" for reason in REASONS),
        *(f"reason={reason}" for reason in REASONS),
        "reason=nobody_says_so",
        "version=whole@1&outcome=keep",
        "version=whole@1&outcome=reject",
        *(f"version=whole@1&outcome=reject&reason={reason}" for reason in REASONS),
        "version=part@1&outcome=reject&reason=contaminated",
        f"batch={batch}&reason=contaminated",
        f"batch={batch}&category=category 7&teacher=small&outcome=reject&reason=contaminated",
        "category=category 7&reason=contaminated",
        "q=the",
        f"q=the&after={middle}",
        f"q={NEEDLE}",
        f"q=the {NEEDLE}",
        'q="after 12 off"',
        "q=the -worth",
        "q=-the",
        "q=worth*",
        f"q=the&batch={batch}",
        f"q={NEEDLE}&batch={batch}",
        "q=the&category=category 7",
        "q=the&teacher=gone",
        "q=the&outcome=reject",
        "q=the&reason=contaminated",
        "q=the&version=whole@1&reason=contaminated",
        "q=nothing",
    ]
    pages = ["/", "/live", "/batches", f"/batches/{batch}", "/datasets", "/datasets/whole/2", "/runs", "/teachers"]
    pages += ["/runs/new", "/recipes", "/licences", "/settings", "/audit", "/docs", "/datasets/whole/diff?from=1&to=2"]
    pages += [f"/datasets/whole/diff?from=1&to=2&change={change}" for change in Change]
    ledger = "/datasets/whole/2/ledger"
    pages += [ledger, *(f"{ledger}?outcome=reject&reason={reason}" for reason in REASONS)]
    pages += [f"/traces/{middle}", *(f"/traces?{query}" for query in asked)]
    return pages


def _show(client: TestClient, path: str, repeats: int) -> None:
    spent = []
    for _ in range(repeats):
        start = time.perf_counter()
        got = client.get(path)
        spent.append(time.perf_counter() - start)
        if got.status_code != 200:
            raise SystemExit(f"{path}: {got.status_code}")
        if spent[-1] > 20 * SLOW_S:
            break  # it is slow; how slow to the millisecond is of no use
    spent.sort()
    p50, p95, worst = statistics.median(spent), spent[int(0.95 * (len(spent) - 1) + 0.5)], spent[-1]
    mark = "  SLOW" if p95 > SLOW_S else ""
    print(f"{1000 * p50:8.0f}{1000 * p95:8.0f}{1000 * worst:8.0f}  {path}{mark}", flush=True)
    if mark:
        for line in _plans(client, path):
            print(f"{'':26}{line}", flush=True)


def _plans(client: TestClient, path: str) -> list[str]:
    """Return how the database goes about the slowest statement of a page."""
    database: Database = client.app.state.database  # pyright: ignore[reportFunctionMemberAccess]
    with _watched(database) as seen:
        client.get(path)
    _, statement, parameters = max(seen, key=lambda each: each[0])
    explain = "explain query plan " if database.embedded else "explain "
    with database.read() as session:
        rows = session.connection().exec_driver_sql(explain + statement, parameters).all()
    return [str(row[-1]) for row in rows]


@contextmanager
def _watched(database: Database) -> Iterator[list[tuple[float, str, Any]]]:
    """Yield a list that gets seconds, text and parameters of every statement."""
    seen: list[tuple[float, str, Any]] = []
    begun: list[float] = []

    def before(*_: Any) -> None:
        begun.append(time.perf_counter())

    def after(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        seen.append((time.perf_counter() - begun.pop(), statement, parameters))

    event.listen(database.engine, "before_cursor_execute", before)
    event.listen(database.engine, "after_cursor_execute", after)
    try:
        yield seen
    finally:
        event.remove(database.engine, "before_cursor_execute", before)
        event.remove(database.engine, "after_cursor_execute", after)


if __name__ == "__main__":
    main()
