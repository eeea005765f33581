"""`bench/experiments` played small: real trainings of the arithmetic base, stopped in between."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.experiments.arm import key
from bench.experiments.compactor import compact
from bench.experiments.page import Answer, answer, write
from bench.experiments.place import Place
from bench.experiments.questions import ARMS, COMMON, QUESTIONS, needed
from bench.experiments.runner import Workers, run
from bench.experiments.statistics import estimate
from tests.trainer.tiny import make_row, write_dataset
from workers.evaluation import SCHEMA


def write_data(folder: Path) -> None:
    """One version and the evaluation prompts, as `bench/experiments/data.py` leaves them."""
    (folder / "versions").mkdir()
    wrong = [make_row(n) | dict.fromkeys(("detail", "evidence", "reason"), "") for n in range(200, 208)]
    rejected = [row | {"filter": "verified", "split": "train"} for row in wrong]
    write_dataset(folder / "versions" / "verified", [make_row(n) for n in range(64)], rejected=rejected)
    rows = [
        {name: row[name] for name in ("prompt", "reference", "verifier", "category")}
        | {"set": "held-out", "id": row["id"], "teacher": "tiny", "responses": [row["response"]]}
        | {"reasonings": [row["reasoning"]], "truncated": [False]}
        for row in map(make_row, range(1000, 1012))
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), folder / "evaluation.parquet")


class Stopped(Exception):
    """Somebody ended it."""


def play(folder: Path, stop_after: int = 99) -> Answer:
    """Run one question, and stop it after so many results."""
    question, seeds, heard = QUESTIONS["curriculum"], range(2), []

    def hear(job, news):
        heard.append(news)
        if len(heard) == stop_after:
            raise Stopped

    with ThreadPoolExecutor(1) as pool:
        results = run(Place(folder, steps_max=3), needed([question]), seeds, Workers(pool, 1), hear)
    found = answer(question, results, seeds)
    write([found], results, {"prompts": 64, "heldout": 12, "common": COMMON}, folder / "experiments.md")
    return found


@pytest.mark.train
def test_experiments_that_are_stopped_go_on_and_repeat_nothing(tmp_path):
    write_data(tmp_path)
    with pytest.raises(Stopped):
        play(tmp_path, stop_after=1)
    written = {file: file.stat().st_mtime_ns for file in (tmp_path / "results").iterdir()}
    assert set(written) == {tmp_path / "results" / "verified-0.json"}

    found = play(tmp_path)

    assert {file: file.stat().st_mtime_ns for file in written} == written
    assert len(list((tmp_path / "results").iterdir())) == 4
    assert [(row.label, row.seeds, row.rows, row.steps) for row in found.rows] == [
        ("shuffled", [0, 1], 64, 3),
        ("curriculum", [0, 1], 64, 3),
    ]
    assert "| curriculum − shuffled | " in (tmp_path / "experiments.md").read_text()  # noqa: RUF001 - a minus sign


def test_a_result_holds_as_long_as_what_it_depends_on(tmp_path):
    write_data(tmp_path)
    place, arm = Place(tmp_path), ARMS["verified"]
    before = key(place, arm, 0)
    assert key(place, arm, 0) == before
    manifest = place.version("verified") / "manifest.json"
    manifest.write_text(manifest.read_text() + " ")
    changed = key(place, arm, 0)
    assert len({before, changed, key(place, arm, 1), key(place, ARMS["curriculum"], 0)}) == 4
    assert key(place, ARMS["off-policy"], 0) != key(place, ARMS["off-policy"], 1)


def test_an_interval_knows_seeds_and_prompts():
    same = np.tile([1, 0, 0, 1, 1, 0, 0, 0], (3, 1))
    shifted = np.array([[0.1] * 8, [0.2] * 8, [0.3] * 8])

    over_prompts = estimate(same)  # seeds alike: what is left is chance among prompts
    over_seeds = estimate(shifted)  # prompts alike: three seeds, two degrees of freedom
    by_chance = estimate(np.eye(3, 8))  # each seed has one right, another one each: they agree, and know little

    assert over_prompts.high - over_prompts.mean == pytest.approx(2.365 * same[0].std(ddof=1) / 8**0.5, rel=1e-3)
    assert over_seeds.high - over_seeds.mean == pytest.approx(4.303 * 0.1 / 3**0.5, rel=1e-3)
    assert over_seeds.is_shown == (over_seeds.low > 0)
    assert not over_seeds.is_shown
    assert not by_chance.is_shown


@pytest.mark.parametrize(
    ("reasoning", "short"),
    [
        ("Well, 7*30=210, 7*4=28, 210+28=238. Then 238+87=325.", "7*34=238. 238+87=325."),
        ("7*30=210 and 238-210=28 and 28/7=4 and 30+4=34.", "238/7=34."),
        ("We need 9*8=72.", "9*8=72."),
        ("Nothing to see.", ""),
    ],
)
def test_a_compact_reasoning_has_one_equation_a_step(reasoning, short):
    assert compact(reasoning) == short
