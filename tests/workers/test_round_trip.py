"""From traces made elsewhere to a sealed version, out in every format, and in again: the text is the same."""

import io
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from service.cli.exports import check_export, unpack
from service.exports import FORMATS
from service.models import JobKind
from tests.workers.help import ON_SQLITE

RECIPE = {"filters": [{"kind": "licence", "use": "commercial"}, {"kind": "verified"}]}
ALPACA = ["instruction:prompt", "output:response", "input:", "history:"]
BACK: dict[str, dict[str, Any]] = {
    "jsonl": {"format": "retort"},
    "alpaca": {"format": "huggingface", "map": ALPACA},
    **{name: {"format": "huggingface"} for name in ("messages", "prompt_completion", "openai", "sharegpt", "axolotl")},
}
"""How what each format wrote is taken in again."""


@pytest.fixture
def client(settings) -> Iterator[TestClient]:
    with TestClient(create_app(settings), base_url="http://127.0.0.1:8080") as running:
        yield running


@pytest.fixture
def take(client) -> Callable[..., dict[str, Any]]:
    def post(body: bytes, **query: Any) -> dict[str, Any]:
        asked = {"format": "huggingface", "teacher": "r1", "license": "mit", "prompts_license": "cc-by-4.0"} | query
        answer = client.post("/api/imports", params=asked, content=body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    return post


@pytest.fixture
def url(client, work, take) -> str:
    """A sealed version of imported traces: of each prompt a right and a wrong answer."""
    rows = []
    for number in range(12):
        prompt = [{"role": "system", "content": "Add."}, {"role": "user", "content": f"{number} + {number}?\n<b>…"}]
        for answer in (2 * number, 0.5):
            row = {"prompt_id": number, "prompt": prompt, "reference": str(2 * number), "verifier": "exact"}
            said = {"reasoning": f"Twice {number}.\n\nIt is.", "response": str(answer)} if number else {}
            rows.append(orjson.dumps(row | {"response": str(answer)} | said))
    batch = take(b"\n".join(rows))
    split = {"eval": 0.2, "test": 0.1}
    asked = {"name": "sums", "batches": [batch["id"]], "recipe": RECIPE, "split": split, "intended_use": "commercial"}
    answer = client.post("/api/datasets", json=asked)
    assert answer.status_code == 202, answer.text
    here = "/api/datasets/sums/versions/1"
    work(lambda: client.get(here).json()["state"] != "curating", kinds={JobKind.CURATE})
    found = client.get(here).json()
    assert (found["state"], found["kept"]) == ("sealed", 12), found
    return f"{here}/download"


def texts(client: TestClient, batch_id: str) -> list[tuple[str, str, str]]:
    found = client.get("/api/traces", params={"batch": batch_id, "limit": 100}).json()["data"]
    return sorted(
        ("|".join(message["content"] for message in each["messages"]), each["reasoning"], each["response"])
        for each in found
    )


def test_every_format_comes_back_as_the_same_text(client, take, url, tmp_path: Path):
    sealed = [orjson.loads(line) for line in client.get(url, params={"format": "jsonl"}).content.splitlines()]
    expected = sorted(
        ("|".join(message["content"] for message in row["prompt"]), row["reasoning"], row["response"]) for row in sealed
    )
    assert set(BACK) == set(FORMATS) - {"preference"}
    for name, how in BACK.items():
        batch = take(client.get(url, params={"format": name}).content, **how)
        assert texts(client, batch["id"]) == expected, name
    (tmp_path / "sums.zip").write_bytes(client.get(url).content)
    unpack(tmp_path / "sums.zip", tmp_path / "sums")
    check_export(tmp_path / "sums")
    (path,) = (tmp_path / "sums" / "data").glob("train-*.parquet")
    assert texts(client, take(path.read_bytes(), format="retort")["id"]) == expected


@ON_SQLITE
def test_a_wrong_answer_becomes_the_worse_one_of_a_pair(client, url):
    pairs = [orjson.loads(line) for line in client.get(url, params={"format": "preference"}).content.splitlines()]
    with zipfile.ZipFile(io.BytesIO(client.get(url).content)) as packed:
        manifest = orjson.loads(packed.read("sums-v1/manifest.json"))
    assert len(pairs) == sum(part["rows"] for part in manifest["splits"]["train"])
    assert {pair["rejected"][0]["content"] for pair in pairs} == {"0.5"}
    assert all(pair["chosen"][0]["content"] != "0.5" for pair in pairs)
