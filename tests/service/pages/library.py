"""A small service in full swing: teachers, batches, traces, verdicts, versions and runs, hostile text among them."""

from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard
from sqlmodel import Session

from service.acts import Act
from service.caller import BOOTSTRAP, Caller
from service.models import (
    Batch,
    BatchState,
    Dataset,
    Failure,
    Job,
    JobKind,
    JobState,
    Prompt,
    Review,
    Teacher,
    Trace,
)
from service.scopes import Scope
from service.store import audit
from service.store.database import Database
from tests.service.pages import curated, trained
from tests.service.pages.ids import ASKING, DONE, NOW, TRAINED, TRAINING
from tests.service.pages.report import HOSTILE

FAILED = [(37, 1), (38, 1), (39, 1)]
"""Prompts and answers that never came."""
CATEGORIES = ("percent", "area", "<b>speed</b>")
QUESTIONS = {
    "percent": "A jacket costs {a} euros and is reduced by {b} %. What does it cost now?",
    "area": "A field is {a} m long and {b} m wide. What is its area in square metres?",
    "<b>speed</b>": "A train goes {a} km in {b} minutes. How fast is it in km/h?",
}
REASONING = (
    "First I write down what is given: {a} and {b}.\nThen I look for what is asked.\n\n"
    "The rule is simple, so I apply it step by step: {a} times {b} is {product}.\n"
    "Let me check that once more: {product} divided by {b} is {a}. That fits.\n"
)


def fill(database: Database, data_dir: Path) -> None:
    """Store everything; `data_dir` gets the files that a worker would leave."""
    with database.write() as session:
        session.add_all(_teachers())
        session.add_all(_batches())
        session.flush()
        prompts = [_prompt(number) for number in range(1, 41)]
        session.add_all(prompts)
        session.flush()
        answers = [(number, answer) for number in range(40) for answer in range(2) if (number, answer) not in FAILED]
        traces = [_trace(prompts[number].id or 0, number, answer) for number, answer in answers]
        session.add_all(traces)
        session.flush()
        session.add_all(_failures(prompts))
        session.add_all(_jobs(prompts))
        session.add_all([Dataset(name="arithmetic"), Dataset(name="loose"), Dataset(name="web")])
        session.flush()
        loose = curated.loose()
        session.add(loose)
        session.flush()
        session.add_all(curated.loose_verdicts(traces, loose.id or 0))
        versions = curated.versions()
        session.add_all(versions)
        session.flush()
        session.add_all(curated.verdicts(traces, versions[0].id or 0))
        session.add(
            Review(trace_id=traces[4].id or 0, outcome="keep", author="Ada <ada@example.org>", reason=HOSTILE[0])
        )
        session.add_all(trained.runs())
        session.add_all(trained.events())
        _audit(session)
    folder = data_dir / "datasets/arithmetic/v1"
    folder.mkdir(parents=True)
    (folder / "README.md").write_text(f"---\nlicense: apache-2.0\n---\n\n# arithmetic, version 1\n\n{HOSTILE[3]}\n")
    _rows(folder, traces)
    run = data_dir / "runs" / TRAINED
    run.mkdir(parents=True)
    (run / "gap-held-out.svg").write_text(CHART)
    (run / "report.md").write_text("# Report\n")


CHART = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 400 120"><rect width="400" height="120" fill="#fff"/>'
    '<rect x="90" y="20" width="60" height="18" fill="#aaa"/><rect x="90" y="50" width="180" height="18" fill="#187"/>'
    '<rect x="90" y="80" width="290" height="18" fill="#444"/></svg>'
)


def _rows(folder: Path, traces: list[Trace]) -> None:
    """Write the columns of the sealed rows that a page reads."""
    (folder / "data").mkdir()
    verdicts = curated.verdicts(traces, 0)
    for file, outcome in (("data/train-00000.parquet", "keep"), ("rejected.parquet", "reject")):
        chosen = [place for place, verdict in enumerate(verdicts) if verdict.outcome == outcome]
        columns = {
            "category": [CATEGORIES[(place // 2 + 1) % 3] for place in chosen],
            "completion_tokens": [traces[place].completion_tokens for place in chosen],
        }
        pq.write_table(pa.table(columns), folder / file)


def _audit(session: Session) -> None:
    admin = Caller(Scope.ADMIN, BOOTSTRAP, None, "127.0.0.1")
    ada = Caller(Scope.SUBMIT, "Ada", "key_5d41402abc4b2a76b9719d91", "192.0.2.17")
    audit.record(session, admin, Act.TEACHER_ADDED, "big", model="Qwen/Qwen3-32B", license="apache-2.0")
    audit.record(session, admin, Act.KEY_MADE, ada.key_id or "", name=ada.name, scope="submit")
    audit.refused(session, Act.KEY_REFUSED, "192.0.2.99", path="/api/batches", sha256="9f86d081")
    audit.record(
        session, ada, Act.LICENCE_OVERRIDDEN, "arithmetic@1", licence="mystery-1.0", reason="asked the authors"
    )
    audit.record(session, ada, Act.TRACE_REVIEWED, "5", outcome="keep", author="Ada")
    audit.record(session, ada, Act.VERSION_DOWNLOADED, "arithmetic@1", format="parquet")


def _teachers() -> list[Teacher]:
    up = {"ok": True, "reason": "", "detail": "", "latency_ms": 12, "checked_at": NOW - 90, "max_model_len": 32768}
    down = {
        "ok": False,
        "reason": "connection_refused",
        "detail": "nothing answers at http://10.0.0.9:8000/v1; is the server running?",
        "checked_at": NOW - 4000,
    }
    return [
        Teacher(
            name="big", base_url="http://10.0.0.8:8000/v1", model="Qwen/Qwen3-32B", license="apache-2.0", health=up
        ),
        Teacher(name="gone", base_url="http://10.0.0.9:8000/v1", model="mystery/Model-8B", health=down),
        Teacher(name="new", base_url="http://127.0.0.1:8000/v1", model="new", license="mit"),
    ]


def _batches() -> list[Batch]:
    done = {
        "state": BatchState.COMPLETED,
        "teachers": ["big"],
        "n": 2,
        "prompts": 40,
        "sampling": {"temperature": 0.7, "max_tokens": 2048},
        "created_at": NOW - 9000,
        "finished_at": NOW - 7200,
    }
    asking = {
        "state": BatchState.IN_PROGRESS,
        "teachers": ["big", "gone"],
        "prompts": 1200,
        "meta": {"set": "held-out"},
        "created_at": NOW - 400,
    }
    return [Batch(id=DONE, **done), Batch(id=ASKING, **asking)]


def _prompt(number: int) -> Prompt:
    category = CATEGORIES[number % 3]
    text = QUESTIONS[category].format(a=number * 12, b=number % 7 + 3)
    messages: list[dict[str, Any]] = [{"role": "user", "content": text}]
    if number == 2:
        messages = [{"role": "system", "content": "Answer in one sentence."}, {"role": "user", "content": HOSTILE[1]}]
    if number == 3:
        messages = [
            {"role": "user", "content": [{"type": "text", "text": text}, {"type": "image_url", "image_url": "x"}]}
        ]
    return Prompt(
        batch_id=DONE,
        key=f"q{number}",
        line=number,
        messages=messages,
        reference=str(number * 12 * (number % 7 + 3)),
        category=category,
        license="cc-by-4.0",
    )


def _trace(prompt_id: int, number: int, answer: int) -> Trace:
    a, b = (number + 1) * 12, (number + 1) % 7 + 3
    reasoning = REASONING.format(a=a, b=b, product=a * b) * (1 + number % 4)
    response = f"The answer is **{a * b + (number % 5 == 4)}**."
    if number < len(HOSTILE):
        reasoning, response = f"{HOSTILE[number]}\n{reasoning}", f"{response} {HOSTILE[-1 - number]}"
    if number == 20:
        response = "word " * 2000
    raw = {
        "index": 0,
        "message": {"role": "assistant", "reasoning": reasoning, "content": response},
        "note": "</script>",
    }
    return Trace(
        batch_id=DONE,
        prompt_id=prompt_id,
        teacher="big",
        sample_index=answer,
        reasoning=reasoning if number != 9 else "",
        response=response if number != 11 else "",
        finish_reason="stop" if number != 11 else "length",
        prompt_tokens=40 + number,
        completion_tokens=180 + 7 * number,
        reasoning_tokens=150 + 6 * number,
        latency_ms=2100 + 130 * number + 40 * answer,
        raw=zstandard.compress(orjson.dumps(raw)),
        created_at=NOW - 8000 + 10 * number,
    )


def _failures(prompts: list[Prompt]) -> list[Failure]:
    why = [
        ("timeout", "no answer within 600 s"),
        ("timeout", "no answer within 600 s"),
        ("prompt_too_long", f"41,000 tokens do not fit into 32,768 {HOSTILE[0]}"),
    ]
    return [
        Failure(
            batch_id=DONE,
            prompt_id=prompts[number].id or 0,
            teacher="big",
            sample_index=answer,
            reason=reason,
            detail=detail,
        )
        for (number, answer), (reason, detail) in zip(FAILED, why, strict=True)
    ]


def _jobs(prompts: list[Prompt]) -> list[Job]:
    done = {
        "state": JobState.DONE,
        "total": 80,
        "stored": 77,
        "failed": 3,
        "prompt_tokens": 4800,
        "completion_tokens": 51_234,
        "reasoning_lost": 2,
        "started_at": NOW - 8900,
        "finished_at": NOW - 7200,
    }
    running = {
        "state": JobState.RUNNING,
        "lease_until": NOW + 3600,
        "worker": "worker-7",
        "total": 1200,
        "stored": 431,
        "completion_tokens": 181_000,
        "prompt_tokens": 20_000,
        "started_at": NOW - 380,
    }
    waiting = {"reason": "teacher_down", "detail": "nobody answers at http://10.0.0.9:8000/v1 (connection_refused)"}
    return [
        Job(kind=JobKind.GENERATE, subject=DONE, teacher="big", last_prompt=prompts[-1].id or 0, **done),
        Job(kind=JobKind.GENERATE, subject=ASKING, teacher="big", **running),
        *(
            Job(kind=JobKind.GENERATE, subject=ASKING, teacher="gone", total=256, run_after=NOW + 2500, **waiting)
            for _ in range(4)
        ),
        Job(
            kind=JobKind.CURATE,
            subject="arithmetic@2",
            state=JobState.RUNNING,
            lease_until=NOW + 60,
            total=77,
            stored=33,
        ),
        Job(kind=JobKind.TRAIN, subject=TRAINING, state=JobState.RUNNING, lease_until=NOW + 60),
    ]
