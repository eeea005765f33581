"""A small service in full swing: teachers, batches, traces, verdicts, versions and runs, hostile text among them."""

import time
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
    DatasetVersion,
    Event,
    Failure,
    Job,
    JobKind,
    JobState,
    Prompt,
    Review,
    Run,
    RunState,
    Teacher,
    Trace,
    VerdictRow,
    VersionState,
)
from service.scopes import Scope
from service.store import audit
from service.store.database import Database
from tests.service.pages.report import HOSTILE, REPORT

NOW = time.time()
DONE, ASKING = "batch_0f3c9a1b2d4e5f60718293a4", "batch_a1b2c3d4e5f60718293a4b5c"
TRAINED, TRAINING, BROKEN = (
    "run_77aa66bb55cc44dd33ee22ff",
    "run_11aa22bb33cc44dd55ee66ff",
    "run_deadbeef0123456789abcdef",
)
SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
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
        loose = _loose()
        session.add(loose)
        session.flush()
        session.add_all(_loose_verdicts(traces, loose.id or 0))
        versions = _versions()
        session.add_all(versions)
        session.flush()
        session.add_all(_verdicts(traces, versions[0].id or 0))
        session.add(
            Review(trace_id=traces[4].id or 0, outcome="keep", author="Ada <ada@example.org>", reason=HOSTILE[0])
        )
        session.add_all(_runs())
        session.add_all(_events())
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
    verdicts = _verdicts(traces, 0)
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


def _line(kind: str, came: int, rejected: int, abstained: int, reasons: dict[str, int], **knobs: Any) -> dict[str, Any]:
    counts = {"input": came, "kept": came - rejected, "rejected": rejected, "abstained": abstained, "reasons": reasons}
    return {"kind": kind, "version": 1, "knobs": knobs} | counts


def _versions() -> list[DatasetVersion]:
    funnel = [
        _line("licence", 77, 0, 0, {}, use="research", on_unknown="abstain"),
        _line("length", 77, 2, 0, {"truncated": 2}, tokens_min=16, tokens_max=8192, response_chars_min=1),
        _line("verified", 75, 14, 4, {"wrong_answer": 14, "no_reference": 4}, default_verifier="math", timeout_s=5.0),
        _line(
            "near_duplicate",
            61,
            7,
            0,
            {"near_duplicate": 7},
            on="trace",
            threshold=0.8,
            shingle_words=5,
            permutations=128,
        ),
    ]
    duty = "name the student so that it begins with 'Llama'"
    common: dict[str, Any] = {"batches": [DONE], "intended_use": "research", "split": {"eval": 0.05, "test": 0.05}}
    recipe = {"filters": [{"kind": line["kind"], **line["knobs"]} for line in funnel], "on_abstain": "keep"}
    override = {"licence": "mystery-1.0", "reason": f"asked the authors {HOSTILE[0]}", "author": "Ada"}
    licence = {
        "decision": "allowed_with_duties",
        "intended_use": "research",
        "duties": ["ship the licence text with the weights", duty],
        "clauses": ["apache-2.0: grants use of the work without a word on what it produces"],
        "overrides": [override],
    }
    unknown = {"decision": "unknown", "intended_use": "commercial", "clauses": ["teacher gone: no licence stated"]}
    splits = {
        "train": {"rows": 48, "prompts": 31},
        "eval": {"rows": 3, "prompts": 2},
        "test": {"rows": 3, "prompts": 2},
    }
    sealed: dict[str, Any] = {"state": VersionState.SEALED, "input": 77, "kept": 54, "funnel": funnel, "sha256": SHA256}
    return [
        DatasetVersion(
            dataset="arithmetic",
            number=1,
            recipe=recipe,
            splits=splits,
            licence=licence,
            path="datasets/arithmetic/v1",
            created_at=NOW - 7000,
            sealed_at=NOW - 6900,
            **sealed | common,
        ),
        DatasetVersion(dataset="arithmetic", number=2, recipe=recipe, created_at=NOW - 60, **common),
        DatasetVersion(
            dataset="web",
            number=1,
            recipe=recipe,
            licence=unknown,
            created_at=NOW - 5000,
            sealed_at=NOW - 4900,
            **sealed | common | {"intended_use": "commercial"},
        ),
    ]


def _loose() -> DatasetVersion:
    """A version of the same batch by a laxer recipe, made earlier."""
    funnel = [
        _line("length", 77, 2, 0, {"truncated": 2}, tokens_min=16, tokens_max=4096),
        _line("verified", 75, 14, 0, {"wrong_answer": 14}, default_verifier="math"),
    ]
    return DatasetVersion(
        dataset="loose",
        number=1,
        recipe={"filters": [{"kind": line["kind"], **line["knobs"]} for line in funnel], "on_abstain": "keep"},
        batches=[DONE],
        intended_use="research",
        split={"eval": 0.05, "test": 0.05},
        licence={"decision": "allowed", "intended_use": "research"},
        state=VersionState.SEALED,
        input=77,
        kept=61,
        funnel=funnel,
        sha256=SHA256[::-1],
        created_at=NOW - 7100,
        sealed_at=NOW - 7090,
    )


def _loose_verdicts(traces: list[Trace], version_id: int) -> list[VerdictRow]:
    """Near-duplicates are kept here, and a few rows are in another split than in `arithmetic@1`."""
    rows = _verdicts(traces, version_id)
    for place, row in enumerate(rows):
        if row.filter == "near_duplicate":
            kept = {"outcome": "keep", "split": "train", "reason": "", "detail": "", "filter": "", "evidence": None}
            row.sqlmodel_update(kept | {"filter_index": None, "filter_version": None})
        elif row.outcome == "keep" and place in (12, 30, 50):
            row.split = "test"
    return rows


def _verdicts(traces: list[Trace], version_id: int) -> list[VerdictRow]:
    rows = []
    for place, trace in enumerate(traces):
        values: dict[str, Any] = {"outcome": "keep", "split": "train"}
        if trace.finish_reason == "length":
            values |= _rejected(1, "length", "truncated", "the teacher hit its token limit", None)
        elif (place // 2) % 5 == 4:
            evidence = {"extracted": trace.response[18:40], "expected": "42"}
            values |= _rejected(2, "verified", "wrong_answer", f"not 42 {HOSTILE[0]}", evidence)
        elif place % 9 == 8:
            evidence = {"twin": traces[place - 2].id, "similarity": 0.8734, "on": "trace"}
            values |= _rejected(
                3, "near_duplicate", "near_duplicate", f"87% of its trace is that of trace {place - 1}", evidence
            )
        elif place % 20 == 0:
            said = {"filter": "verified", "reason": "no_reference", "detail": "the prompt came without a reference"}
            values |= {"abstentions": [said]}
        rows.append(VerdictRow(version_id=version_id, trace_id=trace.id or 0, **values))
    return rows


def _rejected(index: int, kind: str, reason: str, detail: str, evidence: dict[str, Any] | None) -> dict[str, Any]:
    why = {"filter_index": index, "filter": kind, "filter_version": 1, "reason": reason, "detail": detail}
    return why | {"outcome": "reject", "evidence": evidence}


def _runs() -> list[Run]:
    common: dict[str, Any] = {"dataset": "arithmetic", "version": 1, "method": "sft"}
    step = {"event": "step", "step": 120, "total": 400, "loss": 0.71, "eta_s": 214.0, "tokens_per_s": 5120}
    return [
        Run(
            id=TRAINED,
            student="models/student-base",
            config={"learning_rate": 2e-3, "epochs": 4},
            evaluation=[ASKING],
            state=RunState.SUCCEEDED,
            report=REPORT,
            path=f"runs/{TRAINED}",
            created_at=NOW - 5000,
            started_at=NOW - 4990,
            finished_at=NOW - 4300,
            **common,
        ),
        Run(
            id=TRAINING,
            student="Qwen/Qwen3-0.6B",
            state=RunState.RUNNING,
            progress=step,
            started_at=NOW - 100,
            **common,
        ),
        Run(
            id=BROKEN,
            student=f"models/<script>{HOSTILE[0]}",
            state=RunState.FAILED,
            reason="diverged",
            detail="the loss is nan at step 40: lower the learning rate",
            created_at=NOW - 6000,
            started_at=NOW - 5990,
            finished_at=NOW - 5900,
            **common,
        ),
    ]


def _events() -> list[Event]:
    found: list[dict[str, Any]] = []
    pace = {"eta_s": 214.0, "tokens_per_s": 5120}
    for run_id, last in ((TRAINED, 400), (TRAINING, 120)):
        for step in range(10, last + 1, 10):
            loss = round(2.4 * 0.5 ** (step / 90) + 0.32 + 0.05 * ((step // 10) % 3), 4)
            found.append({"event": "step", "step": step, "total": 400, "loss": loss, "subject": run_id} | pace)
            if step % 50 == 0:
                found.append({"event": "eval_loss", "step": step, "loss": round(loss + 0.11, 4), "subject": run_id})
                apart = {"kl": round(0.8 * 0.5 ** (step / 120), 4), "agreement": round(0.95 - 0.5 ** (step / 60), 4)}
                found.append({"event": "teacher_distance", "step": step, "total": 400, "subject": run_id} | apart)
    return [Event(kind="run.event", subject=event.pop("subject"), data=event) for event in found]
