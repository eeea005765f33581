"""The versions of the library that pages are tested with, and the verdicts behind them."""

from typing import Any

from service.models import DatasetVersion, Trace, VerdictRow, VersionState
from tests.service.pages.ids import DONE, NOW, SHA256
from tests.service.pages.report import HOSTILE


def _line(kind: str, came: int, rejected: int, abstained: int, reasons: dict[str, int], **knobs: Any) -> dict[str, Any]:
    counts = {"input": came, "kept": came - rejected, "rejected": rejected, "abstained": abstained, "reasons": reasons}
    return {"kind": kind, "version": 1, "knobs": knobs} | counts


def versions() -> list[DatasetVersion]:
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


def loose() -> DatasetVersion:
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


def loose_verdicts(traces: list[Trace], version_id: int) -> list[VerdictRow]:
    """Near-duplicates are kept here, and a few rows are in another split than in `arithmetic@1`."""
    rows = verdicts(traces, version_id)
    for place, row in enumerate(rows):
        if row.filter == "near_duplicate":
            kept = {"outcome": "keep", "split": "train", "reason": "", "detail": "", "filter": "", "evidence": None}
            row.sqlmodel_update(kept | {"filter_index": None, "filter_version": None})
        elif row.outcome == "keep" and place in (12, 30, 50):
            row.split = "test"
    return rows


def verdicts(traces: list[Trace], version_id: int) -> list[VerdictRow]:
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
