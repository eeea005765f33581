"""Prompts to ask next: where the student lacks most, never what measures it."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fastapi.testclient import TestClient

from service.errors import Conflict
from service.gaps import gaps
from service.models import Dataset, DatasetVersion, Run, RunState, VersionState
from service.settings import Settings
from service.store.database import Database
from tests.trainer.tiny import make_row, write_dataset

RUN = "run_00112233445566778899aabb"


def score(right: float, n: int = 100) -> dict[str, Any]:
    return {"n": n, "right": right * n, "accuracy": right, "low": 0.0, "high": 1.0}


def models(student: float, teacher: float | None, n: int = 100) -> dict[str, Any]:
    found: dict[str, Any] = {"student": {"greedy": score(student, n), "sampled": None}}
    return found if teacher is None else found | {"teacher": {"greedy": None, "sampled": score(teacher, n)}}


def report(**categories: Any) -> dict[str, Any]:
    return {"sets": {"held-out": {"categories": categories}}}


def rejected(number: int, kind: str = "verified", split: str = "train", **changes: Any) -> dict[str, Any]:
    return make_row(number) | {"filter": kind, "reason": "wrong_answer", "split": split} | changes


def test_the_gap_is_counted_over_all_sets_but_those_of_retained_skills() -> None:
    found = report(add=models(0.5, 0.9), subtract=models(0.9, 0.8))
    found["sets"]["far"] = {"categories": {"add": models(0.1, 0.9, n=300)}}
    found["sets"]["skills"] = {"retained": True, "categories": {"talk": models(0.0, 1.0)}}
    first, second = gaps(found)
    assert (first.category, first.judged, round(first.student, 3), round(first.missing, 3)) == ("add", 400, 0.2, 0.7)
    assert (second.category, second.missing) == ("subtract", 0.0)
    assert gaps(report(add=models(0.25, None)))[0].missing == 0.75
    with pytest.raises(Conflict, match="no category with judged answers"):
        gaps({"sets": {}})


@pytest.fixture
def trained(client: TestClient, settings: Settings, submit: Callable[..., Any]) -> Path:
    """A run on a version of twenty prompts, measured with its test split and with a batch of one prompt.

    Odd numbers are additions. 1 to 8 were always answered right; 9 to 14 half of the time; 15 to 18 never.
    """
    asked = submit([{"prompt": make_row(17)["prompt"][0]["content"].upper(), "reference": "1"}]).json()
    folder = write_dataset(
        settings.data_dir / "datasets" / "tiny-sums" / "v3",
        [make_row(number) | {"source": "ours"} for number in range(1, 15)],
        test=[make_row(900)],
        rejected=[
            *(rejected(number, source="ours") for number in range(9, 19)),
            rejected(13, reference=make_row(13)["reference"]),
            rejected(901, split="test"),
        ],
    )
    database = Database(settings.url())
    with database.write() as session:
        session.add(Dataset(name="tiny-sums"))
        session.flush()
        session.add(
            DatasetVersion(
                dataset="tiny-sums", number=3, state=VersionState.SEALED, path="datasets/tiny-sums/v3", batches=[],
                recipe={}, recipe_sha256="", intended_use="research", kept=15,
            )
        )  # fmt: skip
        told = report(add=models(0.2, 0.9), subtract=models(0.7, 0.8), other=models(0.9, 0.9))
        session.add(
            Run(
                id=RUN, dataset="tiny-sums", version=3, method="sft", student="tiny", state=RunState.SUCCEEDED,
                evaluation=[asked["id"]], report=told,
            )
        )  # fmt: skip
    database.close()
    return folder


def test_prompts_are_proposed_where_the_gap_is(client: TestClient, trained: Path) -> None:
    found = client.get(f"/api/runs/{RUN}/proposal", params={"prompts": 8}).json()
    shares = {share["category"]: share for share in found["categories"]}
    assert {name: share["wanted"] for name, share in shares.items()} == {"add": 7, "subtract": 1}
    assert (shares["add"]["drawn"], shares["add"]["new"]) == (4, 3), "9, 11, 13 and 15: 17 measures the student"
    assert (found["drawn"], found["new"], found["held_out"]) == (5, 3, 1)

    answer = client.get(f"/api/runs/{RUN}/proposal", params={"prompts": 8, "format": "jsonl"})
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert [line["id"] for line in lines][:2] == ["15", "13"], "the least often right first"
    assert Counter(line["category"] for line in lines) == {"add": 4, "subtract": 1}
    assert lines[-1]["id"] in ("16", "18")
    assert lines[1]["meta"] == {"proposed": {"run": RUN, "prompt": 13, "right": 1, "wrong": 2}}
    assert lines[0]["messages"] == make_row(15)["prompt"]
    assert (lines[0]["reference"], lines[0]["source"]) == (make_row(15)["reference"], "ours")


def test_what_is_proposed_can_be_submitted(client: TestClient, trained: Path, submit: Callable[..., Any]) -> None:
    lines = client.get(f"/api/runs/{RUN}/proposal", params={"prompts": 8, "format": "jsonl"}).content
    assert submit(lines).json()["prompts"] == 5


def test_without_a_folder_or_a_gap_nothing_is_proposed(client: TestClient, trained: Path, settings: Settings) -> None:
    (trained / "manifest.json").rename(trained / "gone.json")
    refused = client.get(f"/api/runs/{RUN}/proposal")
    assert (refused.status_code, "retort rebuild tiny-sums@3" in refused.json()["detail"]) == (409, True)
    database = Database(settings.url())
    with database.write() as session:
        run = session.get(Run, RUN)
        assert run
        run.report = report(add=models(0.9, 0.9))
        session.add(run)
    database.close()
    assert "there is no gap to fill" in client.get(f"/api/runs/{RUN}/proposal").json()["detail"]


def answers(folder: Path, rights: dict[int, bool]) -> None:
    folder.mkdir(parents=True)
    rows = [
        {"set": "held-out", "id": number, "model": "student", "mode": "greedy", "right": right}
        | {"sample": 0, "perturbation": ""}
        for number, right in rights.items()
    ]
    rows += [row | {"right": False, "perturbation": "typos"} for row in rows]
    rows += [row | {"right": False, "model": "base"} for row in rows]
    pq.write_table(pa.Table.from_pylist(rows), folder / "answers.parquet")


def test_runs_are_compared_on_the_same_prompts(client: TestClient, trained: Path, settings: Settings) -> None:
    other = "run_ffeeddccbbaa998877665544"
    database = Database(settings.url())
    with database.write() as session:
        told = report(add=models(0.5, 0.9))
        told["sets"]["held-out"]["forgotten_count"] = 2
        told["not_measured"] = {"tasks": "none is named"}
        values = {"dataset": "tiny-sums", "version": 3, "method": "sft", "state": RunState.SUCCEEDED}
        session.add(Run(id=other, student="other", report=told, **values))
    database.close()
    answers(settings.data_dir / "runs" / RUN, dict.fromkeys(range(8), False) | {8: True})
    answers(settings.data_dir / "runs" / other, dict.fromkeys(range(7), True) | {8: False, 99: True})
    found = client.get("/api/runs/compare", params={"run": [RUN, other]}).json()
    (test,) = found["paired"]
    assert (test["n"], test["only_first"], test["only_second"], test["first"]) == (8, 1, 7, RUN)
    assert test["difference"] == 0.75
    assert test["p_value"] == pytest.approx(2 * (1 + 8) / 2**8)
    second = found["runs"][1]
    assert second["figures"] == [
        {"name": "base right, student wrong", "of": "held-out", "values": {"student": 2.0}, "unit": "prompts"}
    ]
    assert second["not_measured"] == {"tasks": "none is named"}
    assert client.get("/api/runs/compare", params={"run": [RUN]}).status_code == 422
