"""CSV, Parquet and column maps over REST: what is stored, and how a mistake in the file is named."""

import decimal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlmodel import select

from service.models import Prompt
from service.store.database import Database

CSV, PARQUET = "text/csv", "application/vnd.apache.parquet"
GSM = [("What is 2 + 2?", "4"), ('Say "hi",\nthen stop', "hi")]


@pytest.fixture
def post(client, teacher):
    """Return a function that submits a body of some kind."""

    def submit(body: bytes, kind: str | None = None, **query: Any) -> Any:
        headers = {"Content-Type": kind} if kind else {}
        return client.post("/api/batches", params={"teacher": "tiny"} | query, content=body, headers=headers)

    return submit


@pytest.fixture
def prompts(settings):
    """Return a function that gives all stored prompts by line."""

    def stored() -> list[Prompt]:
        database = Database(settings.url())
        with database.read() as session:
            found = session.exec(select(Prompt).order_by(Prompt.line)).all()
        database.close()
        return list(found)

    return stored


def parquet(path: Path, **columns: list[Any]) -> bytes:
    pq.write_table(pa.table(columns), path / "made.parquet", row_group_size=2)
    return (path / "made.parquet").read_bytes()


def first_error(answer: Any) -> dict[str, Any]:
    assert answer.status_code == 422, answer.text
    assert "nothing of the batch was stored" in answer.json()["detail"]
    return answer.json()["errors"][0]


def test_json_lines_may_begin_with_a_byte_order_mark(post, prompts):
    assert post('\ufeff{"prompt": "a"}\r\n\r\n{"prompt": "b"}\r\n'.encode()).json()["prompts"] == 2
    assert [each.messages[0]["content"] for each in prompts()] == ["a", "b"]
    assert first_error(post('{"prompt": "a"}\n\ufeff{"prompt": "b"}'.encode()))["line"] == 2, "nowhere else"


def test_a_csv_row_may_span_lines_and_an_empty_cell_is_not_given(post, prompts):
    body = '\ufeffid,prompt,reference,messages,meta\na,"one,\ntwo ""three""",4,,\n'
    body += 'b,,,"[{""role"": ""user"", ""content"": ""x""}]","{""level"": 3}"\n\n'
    assert post(body.encode(), CSV + "; charset=utf-8").json()["prompts"] == 2
    first, second = prompts()
    assert (first.key, first.messages[0]["content"], first.reference) == ("a", 'one,\ntwo "three"', "4")
    assert (second.line, second.messages[0]["content"], second.meta) == (4, "x", {"level": 3})


@pytest.mark.parametrize(
    ("body", "line", "field", "said"),
    [
        ("prompt\nfine\n", None, None, ""),
        ("prompt,verifier\nfine,\nx,maths\n", 3, None, "did you mean 'math'?"),
        ('prompt,meta\n"two\nlines",\nx,{\n', 4, "meta", "not valid JSON"),
        ("prompt,reference\nx\n", 2, None, "expected 2 cells, as in the header, found 1"),
        ('prompt\n"x"y\n', 2, None, "not valid CSV"),
        ('prompt\nfine\n"never closed\n' + "x\n" * 100, 3, None, "not valid CSV: unexpected end of data"),
        ("prompt\nfine\na\0b\n", 3, "prompt", "NUL"),
        ('prompt,meta\nfine,"{""a"": ""\\u0000""}"\n', 2, "meta", "NUL"),
        ("prompt\nfine\n\udce4\n", 3, None, "not valid UTF-8"),
        ("id,prompt\na,x\nb,y\na,z\n", 4, "id", "the id 'a' stands on line 2 too"),
    ],
)
def test_a_bad_csv_row_is_named_with_its_line_and_column(client, post, body, line, field, said):
    answer = post(body.encode(errors="surrogateescape"), CSV)
    if line is None:
        assert answer.status_code == 201
        return
    error = first_error(answer)
    assert (error["line"], error.get("field")) == (line, field)
    assert said in error["message"]
    assert client.get("/api/batches").json()["data"] == []


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("promt", "column 'promt': unknown column; did you mean 'prompt'?"),
        ("prompt;reference", "columns are parted by commas"),
        ("prompt,prompt", "two columns are called 'prompt'"),
        ("prompt,level", "keep it with map=*:meta, or drop it with map=*:"),
        ("id,reference", "neither it nor another one is the prompt; say which with map=COLUMN:prompt"),
    ],
)
def test_a_csv_header_that_fits_nothing_is_refused_once(post, header, said):
    answer = post(f"{header}\nx,y\n".encode(), CSV)
    assert answer.status_code == 422
    assert said in answer.json()["detail"]


def test_a_quote_left_open_cannot_fill_the_memory(settings, post):
    settings.row_bytes_max = 1000
    error = first_error(post(b'prompt\nfine\n"open\n' + b"more\n" * 1000, CSV))
    assert (error["line"], "is a quote left open?" in error["message"]) == (3, True)


def test_parquet_keeps_numbers_lists_and_nulls_apart(tmp_path, post, prompts):
    messages = [[{"role": "user", "content": "a", "name": None}], None, [{"role": "system", "content": "b"}] * 2]
    columns = {
        "prompt": [None, "x", None],
        "messages": messages,
        "id": [7, 8, 9],
        "reference": [0.5, float("nan"), 2.0],
    }
    body = parquet(tmp_path, **columns)
    assert post(body, PARQUET).json()["prompts"] == 3
    first, second, third = prompts()
    assert (first.key, first.line, first.messages, first.reference) == (
        "7",
        1,
        [{"role": "user", "content": "a"}],
        "0.5",
    )
    assert (second.messages, second.reference) == ([{"role": "user", "content": "x"}], None)
    assert (third.line, len(third.messages)) == (3, 2)


def test_parquet_is_known_by_its_first_bytes_and_by_its_name(client, tmp_path, post):
    body = parquet(tmp_path, prompt=["x"])
    assert post(body).status_code == 201
    for name in ("p.parquet", "p"):
        answer = client.post("/api/batches", params={"teacher": "tiny"}, files={"file": (name, body)})
        assert (answer.status_code, answer.json()["prompts"]) == (201, 1)
    named = client.post("/api/batches", params={"teacher": "tiny"}, files={"file": ("p.csv", b"prompt\nx\ny\n")})
    assert named.json()["prompts"] == 2


@pytest.mark.parametrize(
    ("columns", "row", "field", "said"),
    [
        ({"prompt": ["x", "x", ""]}, 3, "prompt", "at least 1 character"),
        ({"prompt": ["x", "x", b"x".decode()], "id": [1, 2, 1]}, 3, "id", "the id '1' stands in row 1 too"),
        ({"prompt": ["x", "y", "z"], "reference": [None, None, b"\xff"]}, 3, "reference", "found bytes"),
        ({"prompt": ["x", "a\0b", "z"]}, 2, "prompt", "NUL"),
    ],
)
def test_a_bad_parquet_row_is_named_with_its_number_and_column(tmp_path, post, columns, row, field, said):
    error = first_error(post(parquet(tmp_path, **columns), PARQUET))
    assert (error["row"], error["field"]) == (row, field)
    assert said in error["message"]


def test_a_parquet_file_with_rows_beyond_the_limit_is_refused(tmp_path, settings, post):
    settings.row_bytes_max = 1000
    body = parquet(tmp_path, prompt=["x", "x", "".join(map(str, range(1000)))])
    assert "at most 1,000 are taken" in post(body, PARQUET).json()["detail"]
    settings.row_bytes_max = 2500
    error = first_error(post(body, PARQUET))
    assert (error["row"], error["message"]) == (3, "the row is longer than 2,500 characters")


@pytest.mark.parametrize(
    ("body", "kind", "status", "said"),
    [
        (b'{"prompt": "x"}\n', PARQUET, 422, "was called parquet and is no Parquet file"),
        (b"PAR1 and then nothing", "application/jsonl", 422, "was called jsonl and is Parquet"),
        (b"PAR1 and then nothing", None, 422, "the Parquet file cannot be read"),
        (b"\x1f\x8b\x08\x00", None, 415, "packed with gzip; send it unpacked"),
        (b'{"prompt": "x"}\n', "application/xml", 415, "known: application/jsonl, text/csv"),
        (b'{"prompt": "x"}\n', "application/x-www-form-urlencoded", 201, None),
    ],
)
def test_a_body_that_is_not_what_it_is_called_is_refused(post, body, kind, status, said):
    answer = post(body, kind)
    assert answer.status_code == status
    assert said is None or said in answer.json()["detail"]


def test_a_map_names_the_columns_of_a_foreign_file(tmp_path, post, prompts):
    told = {"map": ["question:prompt", "answer:reference", "level:meta.level", "*:"]}
    table = {"question": [q for q, _ in GSM], "answer": [a for _, a in GSM], "level": [1, 2], "junk": [b"", b"\0"]}
    assert post(parquet(tmp_path, **table), PARQUET, **told).status_code == 201
    assert [(p.messages[0]["content"], p.reference, p.meta) for p in prompts()] == [
        (*GSM[0], {"level": 1}),
        (*GSM[1], {"level": 2}),
    ]


def test_all_other_columns_can_be_kept_beside_the_prompt(tmp_path, post, prompts):
    body = parquet(tmp_path, prompt=["x"], source=["book"], price=[decimal.Decimal("1.50")], gone=[None])
    assert post(body, map="*:meta").status_code == 201
    assert (prompts()[0].source, prompts()[0].meta) == ("book", {"price": "1.50"})


def test_a_map_serves_json_lines_too_and_mistakes_speak_the_files_words(post, prompts):
    assert post(b'{"q": "x", "extra": [1]}\n', map=["q:prompt", "*:meta"]).status_code == 201
    assert prompts()[0].meta == {"extra": [1]}
    assert first_error(post(b'{"q": ""}\n', map="q:prompt"))["field"] == "q"
    both = first_error(post(b'{"q": "x", "prompt": "y"}\n', map="q:prompt"))
    assert both["message"] == "'q' and 'prompt' would both be the prompt"


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("question", "expected COLUMN:FIELD, found 'question'"),
        ("question:promt", "no field is called 'promt'; did you mean 'prompt'?"),
        ("*:prompt", "can go to meta or nowhere"),
        ("qestion:prompt", "the file has no such column; did you mean 'question'?"),
    ],
)
def test_a_map_that_fits_nothing_is_refused(post, entry, said):
    answer = post(b"question\nx\n", CSV, map=entry)
    assert answer.status_code == 422
    assert said in answer.json()["detail"]


def test_a_map_is_part_of_what_a_key_stands_for(client, teacher):
    def submit(**query: Any) -> int:
        given = {"params": {"teacher": "tiny"} | query, "headers": {"Idempotency-Key": "k", "Content-Type": CSV}}
        return client.post("/api/batches", content=b"prompt,a\nx,y\n", **given).status_code

    assert [submit(map="a:meta.a"), submit(map="a:meta.a"), submit(map="a:")] == [201, 200, 409]


def test_meta_is_bounded(post):
    error = first_error(post(b'{"prompt": "x", "meta": {"a": "' + b"x" * 20_000 + b'"}}\n'))
    assert (error["field"], "at most 16,384 are kept" in error["message"]) == ("meta", True)
    assert first_error(post(b'{"prompt": "x", "meta": [1]}\n'))["field"] == "meta"


def test_what_reads_tables_is_loaded_when_the_first_table_comes():
    look = "import sys, service.app; print([m for m in ('pyarrow', 'semantic_text_splitter') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True).stdout == "[]\n"
