"""Benchmarks: added over the API, named by a recipe, compared with by a worker."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from service.models import JobKind, VersionState
from tests.workers.made import add_batch, ledger, questions, version

ASKED = [{"question": f"Question {number}: how much is {number * 13}?", "answer": "?"} for number in range(3)]
URL = "/api/benchmarks?name=sums&column=question"
CONTAMINATION = {"kind": "contamination", "benchmarks": ["sums"], "ngram32_digits": "off"}


@pytest.fixture
def client(settings, database):
    settings.database_url = database.engine.url.render_as_string(hide_password=False)
    with TestClient(create_app(settings), base_url="http://127.0.0.1:8080") as running:
        yield running


def jsonl(rows) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def add(client, rows=ASKED, url=URL):
    return client.post(url, content=rows if isinstance(rows, bytes) else jsonl(rows))


def order(client, batch, **knobs):
    recipe = {"filters": [CONTAMINATION | knobs]}
    body = {"name": "sums", "batches": [batch], "recipe": recipe, "intended_use": "research"}
    return client.post("/api/datasets", json=body)


def test_the_same_texts_under_a_name_are_there_already_and_others_are_refused(client):
    first, again, other = add(client), add(client), add(client, ASKED[:2])
    assert [first.status_code, again.status_code, other.status_code] == [201, 200, 409]
    assert again.json() == first.json() | {"new": False}
    assert client.get("/api/benchmarks").json()["data"][0]["lines"] == 3


def test_jsonl_and_parquet_of_the_same_texts_are_the_same_benchmark(client, tmp_path: Path):
    pq.write_table(pa.Table.from_pylist(ASKED), tmp_path / "sums.parquet")
    add(client)
    again = add(client, (tmp_path / "sums.parquet").read_bytes())
    assert (again.status_code, again.json()["new"]) == (200, False)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([*ASKED, {"qestion": "?"}], "line 4: there is no column 'question'; did you mean 'qestion'?"),
        ([{"question": " "}], "line 1: column 'question' holds no text"),
        (b'{"question": ', "line 1: not valid JSON"),
        (b"", "the file holds no line"),
    ],
)
def test_a_file_without_text_is_refused_with_the_line_and_leaves_nothing(client, settings, rows, said):
    answer = add(client, rows)
    assert answer.status_code == 422
    assert said in answer.json()["detail"]
    assert client.get("/api/benchmarks").json()["data"] == []
    assert list(settings.benchmarks.iterdir()) == []


def test_a_benchmark_that_was_never_added_is_refused_before_anything_is_judged(client, database):
    add(client)
    answer = order(client, add_batch(database, questions(1)), benchmarks=["sum"])
    assert answer.status_code == 422
    expected = (
        "recipe.filters[0] (contamination): knob 'benchmarks': no benchmark is called 'sum'; did you mean 'sums'?"
    )
    assert expected in answer.json()["detail"]


def test_contaminated_traces_are_rejected_or_noted_with_the_line_shown(client, database, work, settings):
    sha256 = add(client).json()["sha256"]
    batch = add_batch(database, questions(8), n=1)
    noting = {"ngram13": "note", "fuzzy": "off"}
    versions = [order(client, batch, **knobs).json() for knobs in ({"fuzzy": "off"}, noting)]
    ids = [1, 2]
    work(lambda: all(version(database, one).state != VersionState.CURATING for one in ids), kinds={JobKind.CURATE})
    strict, lenient = (version(database, one) for one in ids)
    assert [one["number"] for one in versions] == [1, 2]
    assert strict.recipe["filters"][0]["benchmarks"] == [f"sums@{sha256}"]
    # A line of seven words is found by phrases only as a whole message, which it is here.
    assert (strict.kept, lenient.kept) == (5, 8)
    hit = next(row for row in ledger(database, 1).values() if row.outcome == "reject").evidence["hits"][0]
    assert (hit["benchmark"], hit["line"], hit["line_text"]) == ("sums", 1, ASKED[0]["question"])
    assert [row.notes[0]["reason"] for row in ledger(database, 2).values() if row.notes] == ["noted_ngram13"] * 3
    assert lenient.funnel[0]["notes"] == {"noted_ngram13": 3}
    preview = {"batches": [batch], "recipe": {"filters": [CONTAMINATION]}}
    assert client.post("/api/recipes/preview", json=preview).json()["kept"] == 5
