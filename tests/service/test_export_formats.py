"""What each export format writes, held against what its reader documents, and the door it leaves by."""

import importlib
from pathlib import Path
from typing import Any, get_args

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlmodel import Session

from filters.manifest import Manifest
from service.api.shapes.exports import FormatName
from service.errors import NotFound, Problem
from service.exports import FORMATS, PARQUET
from service.exports.form import Reasoning, Wish
from service.exports.sealed import Sealed
from service.models import Dataset, DatasetVersion, VersionState
from service.store.database import Database
from tests.conftest import leave_out
from workers.rows import KEPT, REJECTED

LLAMA_FACTORY_ODD, LLAMA_FACTORY_EVEN = {"human", "observation"}, {"gpt", "function_call"}
"""Its converter refuses a conversation in which others stand at odd and even places."""


def row(number: int, prompt_id: int, **changes: Any) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(KEPT.names)
    row |= {
        "prompt": [{"role": "user", "content": f"Q{prompt_id}"}],
        "completion": [],
        "id": number,
        "prompt_id": prompt_id,
        "teacher": "tiny",
        "reasoning": f"R{number}",
        "response": f"A{number}\n<b>",
        "batch": "batch_1",
    }
    return row | changes


def wrong(number: int, prompt_id: int, **changes: Any) -> dict[str, Any]:
    return row(number, prompt_id) | {"filter": "verified", "reason": "wrong", "split": "train"} | changes


def part(path: Path, folder: Path, rows: list[dict[str, Any]], schema: pa.Schema) -> dict[str, Any]:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path, row_group_size=2)
    return {"path": str(path.relative_to(folder)), "sha256": "0" * 64, "rows": len(rows), "bytes": 1}


def seal(folder: Path, kept: list[dict[str, Any]], rejected: list[dict[str, Any]] | None = None) -> Sealed:
    parts = [part(folder / "data/train-00000.parquet", folder, kept, KEPT)]
    manifest = Manifest.model_validate(
        {
            "dataset": "sums",
            "version": 1,
            "sha256": "a" * 64,
            "batches": ["batch_1"],
            "recipe": {},
            "teachers": [{"name": "tiny", "model": "m", "license": "mit"}],
            "input": len(kept),
            "kept": len(kept),
            "funnel": [],
            "splits": {"train": parts},
            "rejected": part(folder / "rejected.parquet", folder, rejected or [], REJECTED),
            "licence": {"decision": "allowed", "intended_use": "research"},
        }
    )
    (folder / "manifest.json").write_text(manifest.model_dump_json())
    return Sealed(folder)


def lines(sealed: Sealed, name: str, **wish: Any) -> list[dict[str, Any]]:
    form = FORMATS[name]
    found = b"".join(form.lines(sealed, "train", form.settled(Wish(**wish))))
    return [orjson.loads(line) for line in found.splitlines()]


TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "One?"},
    {"role": "user", "content": "Two?"},
    {"role": "assistant", "content": "No."},
    {"role": "user", "content": "Three?"},
]


@pytest.fixture
def sealed(tmp_path: Path) -> Sealed:
    return seal(tmp_path, [row(1, 10), row(2, 11, reasoning="", response="bare"), row(3, 12, prompt=TALK)])


def test_the_door_knows_every_format():
    assert get_args(FormatName) == (PARQUET, *FORMATS)


def test_messages_carry_the_reasoning_in_the_key_that_templates_read_and_null_where_there_is_none(sealed):
    first, bare, _ = lines(sealed, "messages")
    answer = {"role": "assistant", "content": "A1\n<b>", "reasoning_content": "R1"}
    assert first == {"messages": [{"role": "user", "content": "Q10"}, answer], "id": 1, "prompt_id": 10}
    assert bare["messages"][-1] == {"role": "assistant", "content": "bare", "reasoning_content": None}
    assert lines(sealed, "messages", reasoning_key="thinking")[0]["messages"][-1]["thinking"] == "R1"


@pytest.mark.parametrize(
    ("wish", "content"), [(Reasoning.INLINE, "<think>\nR1\n</think>\n\nA1\n<b>"), (Reasoning.DROP, "A1\n<b>")]
)
def test_reasoning_goes_where_it_is_wanted(sealed, wish, content):
    assert lines(sealed, "prompt_completion", reasoning=wish)[0]["completion"] == [
        {"role": "assistant", "content": content}
    ]


def test_a_format_without_a_place_for_a_wish_says_so(sealed):
    with pytest.raises(Problem, match="no place for it as 'field'; take inline or drop"):
        lines(sealed, "openai", reasoning=Reasoning.FIELD)
    with pytest.raises(Problem, match="sealed rows as they are"):
        lines(sealed, "jsonl", reasoning=Reasoning.DROP)


def test_openai_rows_hold_nothing_but_what_its_validator_knows(sealed):
    for each in lines(sealed, "openai"):
        assert set(each) == {"messages"}
        assert each["messages"][-1]["role"] == "assistant"
        assert all(set(message) == {"role", "content"} for message in each["messages"])


def test_sharegpt_speaks_by_turns_as_llama_factory_wants(sealed):
    for each in lines(sealed, "sharegpt"):
        said = [turn["from"] for turn in each["conversations"]]
        assert set(said[::2]) <= LLAMA_FACTORY_ODD
        assert set(said[1::2]) <= LLAMA_FACTORY_EVEN
        assert len(said) % 2 == 0
    assert each["system"] == "Be brief."
    assert each["conversations"][0] == {"from": "human", "value": "One?\n\nTwo?"}


def test_alpaca_keeps_earlier_turns_as_pairs(sealed):
    talk = lines(sealed, "alpaca")[2]
    assert (talk["instruction"], talk["input"], talk["system"]) == ("Three?", "", "Be brief.")
    assert talk["history"] == [["One?\n\nTwo?", "No."]]
    assert talk["output"] == "<think>\nR3\n</think>\n\nA3\n<b>"


def test_dataset_info_names_each_file_and_its_columns(sealed):
    for name in ("sharegpt", "alpaca"):
        form = FORMATS[name]
        assert form.settings
        file, text = form.settings("sums-v1", {"train": "train.jsonl"}, Wish())
        entry = orjson.loads(text)["sums-v1-train"]
        assert (file, entry["file_name"], entry["formatting"]) == ("dataset_info.json", "train.jsonl", name)
        assert set(entry["columns"].values()) <= set(lines(sealed, name)[0])


def test_axolotl_trains_on_the_teachers_answer_alone(sealed):
    import yaml

    talk = lines(sealed, "axolotl")[2]
    assert [message["train"] for message in talk["messages"]] == [False] * 5 + [True]
    form = FORMATS["axolotl"]
    assert form.settings
    _, text = form.settings("sums-v1", {"train": "train.jsonl", "eval": "e.jsonl", "test": "t.jsonl"}, Wish())
    found = yaml.safe_load(text)
    assert found["datasets"][0]["type"] == "chat_template"
    assert found["datasets"][0]["message_field_training"] == "train"
    assert (set(found), found["test_datasets"][0]["path"]) == ({"datasets", "test_datasets"}, "e.jsonl")


@pytest.mark.parametrize(
    ("wish", "told"),
    [
        ({}, {"field_thinking": "reasoning_content", "template_thinking_key": "reasoning_content"}),
        ({"reasoning_key": "thinking"}, {"field_thinking": "thinking", "template_thinking_key": "thinking"}),
        ({"reasoning": Reasoning.INLINE}, {"split_thinking": True}),
        ({"reasoning": Reasoning.DROP}, {}),
    ],
)
def test_axolotl_is_told_where_the_reasoning_is(wish, told):
    import yaml

    form = FORMATS["axolotl"]
    assert form.settings
    _, text = form.settings("sums-v1", {"train": "train.jsonl"}, form.settled(Wish(**wish)))
    (found,) = yaml.safe_load(text)["datasets"]
    assert {name: value for name, value in found.items() if "thinking" in name} == told


def test_a_role_without_a_place_is_refused_before_the_first_row(tmp_path):
    tool = [{"role": "user", "content": "?"}, {"role": "tool", "content": "4"}]
    sealed = seal(tmp_path, [row(1, 10), row(2, 11, prompt=tool)])
    with pytest.raises(Problem, match="'alpaca' has no place for messages of 'tool'; take 'messages'"):
        lines(sealed, "alpaca")
    assert lines(sealed, "sharegpt")[1]["conversations"][0]["value"] == "?\n\n4"


def test_pairs_are_of_one_prompt_and_a_duplicate_is_no_worse_answer(tmp_path):
    kept = [row(1, 10), row(2, 10), row(3, 11), row(9, 4, batch="batch_0")]
    rejected = [
        wrong(4, 10),
        wrong(5, 10, filter="near_duplicate"),
        wrong(6, 10, teacher="nobody_looked_at"),
        wrong(7, 11, split="eval"),
        wrong(8, 11, filter="length"),
        wrong(12, 3, batch="batch_of_none"),
        wrong(10, 4, batch="batch_0"),
    ]
    sealed = seal(tmp_path, kept, rejected)
    found = lines(sealed, "preference")
    assert [(pair["id"], pair["rejected_id"]) for pair in found] == [(1, 4), (2, 4), (9, 10)]
    assert found[0]["reason"] == "verified: wrong"
    assert found[0]["chosen"][0] == {"role": "assistant", "content": "A1\n<b>", "reasoning_content": "R1"}
    assert len(lines(sealed, "preference", pairs_max=1)) == 2
    more = lines(sealed, "preference", worse=("verified", "length"))
    assert (3, 8) in [(pair["id"], pair["rejected_id"]) for pair in more]
    with pytest.raises(Problem, match="'select' does not make an answer worse"):
        lines(sealed, "preference", worse=("select",))


def test_an_empty_split_is_told(sealed):
    with pytest.raises(NotFound, match=r"no rows in its 'test' split; it has train"):
        FORMATS["messages"].lines(sealed, "test", Wish())


@pytest.fixture
def url(client, settings) -> str:
    """Where a sealed version lies; what is under it is the folder of `seal`."""
    seal(settings.data_dir / "sums-v1", [row(1, 10), row(2, 11)])
    values = {"dataset": "sums", "number": 1, "intended_use": "research", "path": "sums-v1", "kept": 2}
    database = Database(settings.url())
    with Session(database.engine) as session:
        session.add(Dataset(name="sums"))
        session.flush()
        licence = {"decision": "allowed", "clauses": []}
        session.add(DatasetVersion(state=VersionState.SEALED, licence=licence, **values))
        session.commit()
    database.close()
    return "/api/datasets/sums/versions/1/download"


def test_a_download_says_what_it_is_and_is_not_sent_twice(client, url):
    answer = client.get(url, params={"format": "messages"})
    assert [orjson.loads(line)["id"] for line in answer.content.splitlines()] == [1, 2]
    assert answer.headers["content-disposition"] == 'attachment; filename="sums-v1.train.messages.jsonl"'
    tag = answer.headers["etag"]
    again = client.get(url, params={"format": "messages"}, headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")
    assert client.get(url, params={"format": "messages", "reasoning": "drop"}).headers["etag"] != tag
    taken = client.get("/api/audit", params={"act": "version.downloaded", "subject": "sums@1"}).json()["data"]
    assert [row["detail"] for row in taken] == [{"format": "messages", "reasoning": "drop"}, {"format": "messages"}]


@pytest.mark.parametrize("format", ["parquet", "messages"])
def test_a_download_that_broke_goes_on_where_it_stopped(client, url, format):
    whole = client.get(url, params={"format": format})
    headers = {"Range": "bytes=100-", "If-Range": whole.headers["etag"]}
    rest = client.get(url, params={"format": format}, headers=headers)
    assert (rest.status_code, rest.content) == (206, whole.content[100:])


def test_settings_name_the_files_as_they_are_downloaded(client, url):
    answer = client.get(f"{url}/settings", params={"format": "sharegpt"})
    assert answer.json()["sums-v1-train"]["file_name"] == "sums-v1.train.sharegpt.jsonl"
    assert client.get(f"{url}/settings", params={"format": "messages"}).status_code == 404
    assert client.get(url, params={"format": "messages", "split": "nope"}).status_code == 422


@pytest.mark.parametrize("reader", ["datasets", "pandas", "polars", "duckdb"])
def test_what_reads_tables_reads_messages_and_the_sealed_folder(sealed, tmp_path, monkeypatch, reader):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    try:
        module = importlib.import_module(reader)
    except ImportError:
        leave_out(f"reading an export: the package '{reader}' is not installed")
    path = tmp_path / "train.jsonl"
    form = FORMATS["messages"]
    path.write_bytes(b"".join(form.lines(sealed, "train", form.settled(Wish()))))
    folder = tmp_path / "data"
    ids = {
        "datasets": lambda: [
            module.load_dataset("json", data_files=str(path), cache_dir=str(tmp_path / "cache"))["train"]["id"],
            module.load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))["train"]["id"],
        ],
        "pandas": lambda: [module.read_json(path, lines=True)["id"], module.read_parquet(folder)["id"]],
        "polars": lambda: [module.read_ndjson(path)["id"], module.read_parquet(folder / "*.parquet")["id"]],
        "duckdb": lambda: [
            [id_ for (id_,) in found.project("id").fetchall()]
            for found in (module.read_json(str(path)), module.read_parquet(str(folder / "*.parquet")))
        ],
    }
    assert [list(found) for found in ids[reader]()] == [[1, 2, 3], [1, 2, 3]]
