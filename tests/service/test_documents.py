"""Documents, their passages, and what a teacher's reply to one is worth."""

import hashlib
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.documents import BadDocument, Document, chosen, files, passages, read
from service.ingest import PromptLine
from service.questions import ANGLES, Question, Unusable, ask
from service.questions import read as read_reply

WORDS = ("the", "river", "carries", "sand", "past", "mill")
PARAGRAPHS = [" ".join(f"{word}{number}" for word in WORDS) for number in range(40)]
TEXT = "\n\n".join(PARAGRAPHS)


def document(text: str = TEXT, **more) -> Document:
    return Document("doc", text, "source", "mit", **more)


def test_passages_are_whole_paragraphs_that_say_where_they_stood():
    found = list(passages(document(), 50))
    assert len(found) == 5
    for passage in found:
        assert TEXT[passage.start : passage.end] == passage.text
        assert set(passage.text.split("\n\n")) <= set(PARAGRAPHS)
    assert "\n\n".join(passage.text for passage in found) == TEXT
    assert found[0].sha256 == hashlib.sha256(found[0].text.encode()).hexdigest()


@given(st.text(alphabet=st.sampled_from("ab é漢😀.\n #"), max_size=600), st.integers(20, 60), st.booleans())
def test_a_passage_is_what_stands_at_its_place_and_no_longer_than_asked(text, words, markdown):
    for passage in passages(document(text, markdown=markdown), words):
        assert text[passage.start : passage.end] == passage.text
        assert len(passage.text.split()) <= words


def test_a_text_without_spaces_is_cut_too():
    assert len(list(passages(document("漢" * 5000), 100))) >= 4


def test_a_heading_alone_is_no_passage_and_a_text_that_stands_twice_is_one():
    assert list(passages(document("# Title\n\nShort."), 100)) == []
    both = [*passages(document(), 50), *passages(document(), 50)]
    assert len(list(chosen(both, None, 0))) == 5


def test_a_draw_is_the_same_for_the_same_seed_and_keeps_the_order():
    found = list(passages(document(), 20))
    first, again, other = (list(chosen(found, 4, seed)) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert [passage.start for passage in first] == sorted(passage.start for passage in first)


def test_every_kind_of_file_gives_documents_with_their_own_licence_first(tmp_path):
    (tmp_path / "a.txt").write_text("\ufeffone", encoding="utf-8")
    (tmp_path / "b.md").write_text("two")
    (tmp_path / "c.jsonl").write_text(json.dumps({"text": "three", "id": 7, "license": "cc0-1.0", "more": 1}) + "\n")
    pq.write_table(pa.table({"body": ["four"], "source": ["web"], "n": [1]}), tmp_path / "d.parquet")
    (tmp_path / "e.pdf").write_bytes(b"%PDF")
    folder = tmp_path.name
    given = list(files([tmp_path]))
    assert [name for _, name in given] == [f"{folder}/{name}" for name in ("a.txt", "b.md", "c.jsonl", "d.parquet")]
    found = [next(read(path, name, license="mit")) for path, name in given[:3]]
    found.append(next(read(*given[3], columns=["body:text"])))
    assert [(doc.text, doc.license, doc.markdown) for doc in found] == [
        ("one", "mit", False),
        ("two", "mit", True),
        ("three", "cc0-1.0", False),
        ("four", "", False),
    ]
    names = (found[0].id, found[2].id, found[3].id, found[3].source)
    assert names == (f"{folder}/a.txt", "7", f"{folder}/d.parquet#1", "web")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.txt", b"\xff", "not valid UTF-8"),
        ("a.txt", b"a\0b", "NUL"),
        ("a.jsonl", b'{"text": "x"}\nno\n', "line 2: not valid JSON"),
        ("a.jsonl", b'{"txt": "x"}\n', "line 1, text: expected a text, found NoneType"),
        ("a.parquet", b"PAR1", "the Parquet file cannot be read"),
        ("a.pdf", b"%PDF", "expected one of .txt, .md"),
    ],
)
def test_a_document_that_cannot_be_used_is_named(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadDocument, match=f"{name}.*{said}"):
        [document for path, said in files([tmp_path / name]) for document in read(path, said)]


def test_a_document_that_is_not_there_is_named(tmp_path):
    with pytest.raises(BadDocument, match=r"none.txt: there is no such file"):
        list(files([tmp_path / "none.txt"]))


def test_a_prompt_notes_where_its_passage_is_from_and_asks_from_several_angles():
    passage = next(passages(document(), 50))
    rows = [ask(passage, number, seed=3, answers=True, category="rivers") for number in range(len(ANGLES))]
    for row in rows:
        PromptLine.model_validate(row)
    assert len({row["id"] for row in rows}) == len({row["meta"]["angle"] for row in rows}) == len(ANGLES)
    origin = {"document": "doc", "start": 0, "end": passage.end, "sha256": passage.sha256, "seed": 3}
    assert rows[0]["meta"]["passage"] == origin
    assert (rows[0]["source"], rows[0]["license"], rows[0]["category"]) == ("source", "mit", "rivers")
    assert passage.text in rows[0]["prompt"]
    assert ask(passage, 0, seed=3, answers=True, category="rivers") == rows[0]


@pytest.mark.parametrize(
    ("reply", "result"),
    [
        ('{"question": "What does the Elbe carry?", "answer": "sand"}', Question("What does the Elbe carry?", "sand")),
        ('Sure!\n```json\n{"question": "What is\n it?", "answer": 7}\n```', Question("What is\n it?", "7")),
        ('{a} {"x": 1} {"question": " Where is it? ", "answer": "there"} {', Question("Where is it?", "there")),
        ("  ", "empty"),
        ("What does it carry?", "not_json"),
        ("[" * 10_000 + "{" * 10_000, "not_json"),
        ('{"question": null, "answer": "x"}', "no_question"),
        ('{"question": "Why?", "answer": "x"}', "too_short"),
        ('{"question": "' + "x" * 3000 + '", "answer": "x"}', "too_long"),
        ('{"question": "What does the author say?", "answer": "x"}', "refers_to_passage"),
        ('{"question": "What does it carry?", "answer": " "}', "no_answer"),
    ],
)
def test_a_reply_is_a_question_or_says_why_not(reply, result):
    found = read_reply(reply, "stop", answers=True)
    assert (found.reason if isinstance(found, Unusable) else found) == result


def test_an_answer_that_was_not_asked_for_is_no_reference_and_a_cut_reply_is_truncated():
    assert read_reply('{"question": "What is it?", "answer": "x"}', "stop", answers=False) == Question(
        "What is it?", None
    )
    cut = read_reply('{"question": "What is', "length", answers=False)
    assert isinstance(cut, Unusable)
    assert cut.reason == "truncated"
