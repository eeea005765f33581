"""Rewriters over the API: what they take, what they refuse, and what of a reply may stand for the old reasoning."""

import pytest

from service.rewrites import Unusable, ask, question, read
from tests.workers.made import add_batch, questions


@pytest.fixture
def source(client):
    return add_batch(client.app.state.database, questions(3))


def test_a_batch_is_rewritten_into_a_new_one_and_the_same_order_is_one_batch(client, teacher, source):
    body = {"kind": "compact", "teacher": "tiny", "max_tokens": 99, "thinking": False, "instruction": "Be brief."}
    path, headers = f"/api/batches/{source}/rewrites", {"Idempotency-Key": "a"}
    made = client.post(path, json=body, headers=headers)
    assert made.status_code == 202, made.text
    batch = made.json()
    how = {"kind": "compact", "batches": [source], "version": None, "teacher": "tiny"}
    assert batch["rewrite"] == how | {"instruction": "Be brief.", "share_max": 0.9}
    assert batch["sampling"] == {"max_tokens": 99, "chat_template_kwargs": {"enable_thinking": False}}
    assert (batch["state"], batch["teachers"], batch["counts"]["pending"]) == ("in_progress", ["tiny"], 6)
    same = client.post(path, json=body, headers=headers)
    assert (same.status_code, same.json()["id"], same.json()["new"]) == (200, batch["id"], False)
    assert client.post(path, json=body | {"seed": 1}, headers=headers).status_code == 409
    assert client.post(path, json={"kind": "answer_only"}).json()["teachers"] == ["fake"]
    assert client.post(f"/api/batches/{batch['id']}/cancel").json()["counts"]["cancelled"] == 6


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"kind": "compact"}, 422),
        ({"kind": "compact", "teacher": "nobody"}, 404),
        ({"kind": "compact", "teacher": "tiny", "share_max": 1.5}, 422),
        ({"kind": "answer_only", "teacher": "tiny"}, 422),
        ({"kind": "shuffle"}, 422),
    ],
)
def test_an_order_that_makes_no_sense_is_refused(client, teacher, source, body, status):
    assert client.post(f"/api/batches/{source}/rewrites", json=body).status_code == status


def test_only_what_is_there_and_done_is_rewritten(client, submit):
    running = submit([{"prompt": "a"}]).json()["id"]
    body = {"kind": "answer_only"}
    assert client.post(f"/api/batches/{running}/rewrites", json=body).status_code == 409
    assert client.post("/api/batches/none/rewrites", json=body).status_code == 404
    assert client.post("/api/datasets/none/versions/1/rewrites", json=body).status_code == 404


def test_the_teacher_is_shown_question_reasoning_and_answer_under_any_instruction():
    messages = [{"role": "user", "content": [{"type": "text", "text": "Six times {seven}?"}]}]
    asked = ask(messages, "6 * 7 = 42", "42", None)[0]["content"]
    assert asked.index("Write the reasoning anew") < asked.index("Six times {seven}?") < asked.index("6 * 7 = 42")
    assert ask(messages, "x", "y", "Say {it} in Latin.")[0]["content"].startswith("Say {it} in Latin.\n\n<question>")
    assert question([{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]) == "system:\ns\n\nuser:\nu"


@pytest.mark.parametrize(
    ("reply", "finish_reason", "expected"),
    [
        ("6 * 7 = 42", "stop", "6 * 7 = 42"),
        ("<reasoning>\n6 * 7 = 42\n</reasoning>", "stop", "6 * 7 = 42"),
        ("6 * 7 = 42", "length", "truncated"),
        (" \n", "stop", "empty"),
        ("multiplying seven and six " * 4, "stop", "not_shorter"),
        ("Certainly! Here comes 6.", "stop", "unrelated"),
    ],
)
def test_a_reply_stands_for_the_reasoning_or_says_why_not(reply, finish_reason, expected):
    about = {"messages": [{"role": "user", "content": "What is six times seven?"}], "response": "42", "share_max": 0.9}
    found = read(reply, finish_reason, old="Multiplying seven by six: 6 * 7 = 42. " * 2, **about)
    assert (found.reason if isinstance(found, Unusable) else found) == expected


def test_scripts_without_spaces_are_compared_by_their_letters():
    about = {"messages": [{"role": "user", "content": "六乘七是多少?"}], "response": "四十二", "share_max": 0.9}
    old = "首先,六乘七就是把七加六次。所以六乘七等于四十二,让我再检查一遍,没错。"
    assert read("把七加六次,等于四十二。", "stop", old=old, **about) == "把七加六次,等于四十二。"
