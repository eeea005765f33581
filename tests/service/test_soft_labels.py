"""Soft labels over the API: asked for with a batch, shown before and after, read token by token."""

import numpy as np
import pytest
from sqlmodel import select

from service.models import Batch, BatchState, Prompt, Trace
from service.soft_labels import NO_TOKEN, TopK, bytes_max
from service.store import completions as stored
from service.store import soft_labels
from service.store.database import insert_new
from service.teachers.logprobs import of_choice, of_prompt
from service.teachers.openai_reply import completions
from tests.workers.made import trace


@pytest.fixture
def ended(client, submit):
    """A batch that ended with two traces, the first of which has soft labels."""
    batch = submit([{"prompt": "2 + 2"}], n=2, top_logprobs=3, max_tokens=50).json()
    database = client.app.state.database
    with database.write() as session:
        row = session.get(Batch, batch["id"])
        row.state = BatchState.COMPLETED
        session.add(row)
        prompt_id = session.exec(select(Prompt.id)).one()
        made = [trace(row.id, prompt_id, index, "tiny") for index in range(2)]
        insert_new(session, Trace, made)
        ids = np.array([[5, 6, 7], [8, 9, NO_TOKEN]], np.uint32)
        labels = TopK(ids, np.array([[-0.5, -1, -2], [-0.25, -3, -64]], np.float32))
        about = {name: made[0][name] for name in ("prompt_id", "sample_index", "created_at")}
        soft_labels.keep(session, row.id, "tiny", [about | soft_labels.labels_row(labels)])
    return batch["id"]


def test_a_batch_says_before_its_answers_what_their_labels_will_take(submit):
    known = submit([{"prompt": "a"}, {"prompt": "b"}], n=2, top_logprobs=20, max_tokens=100).json()
    assert known["sampling"] == {"max_tokens": 100, "top_logprobs": 20}
    estimate = known["soft_labels"]["estimate"]
    assert (estimate["answers"], estimate["tokens_max"]) == (4, 400)
    assert estimate["bytes_max"] == bytes_max(20, answers=4, tokens=400)
    unknown = submit([{"prompt": "a"}], top_logprobs=20).json()["soft_labels"]["estimate"]
    assert unknown["bytes_max"] is None
    assert "max_tokens" in unknown["unknown"]
    assert submit([{"prompt": "a"}]).json()["soft_labels"] is None


@pytest.mark.parametrize(("k", "status"), [(0, 422), (1, 201), (256, 201), (257, 422)])
def test_k_has_bounds(submit, k, status):
    assert submit([{"prompt": "a"}], top_logprobs=k).status_code == status


def test_a_trace_shows_its_labels_page_by_page(client, ended):
    shown = client.get("/api/traces/1/soft-labels").json()
    assert (shown["k"], shown["tokens"], shown["source"], shown["tokenizer_sha256"]) == (3, 2, "sampled", "")
    assert shown["ids"] == [[5, 6, 7], [8, 9]]
    assert shown["logprobs"] == [[-0.5, -1.0, -2.0], [-0.25, -3.0]]
    first = client.get("/api/traces/1/soft-labels", params={"limit": 1}).json()
    assert (first["ids"], first["next"]) == ([[5, 6, 7]], 1)
    assert client.get("/api/traces/1/soft-labels", params={"offset": 1}).json()["ids"] == [[8, 9]]
    assert client.get("/api/traces/1/soft-labels", params={"offset": 9}).json()["ids"] == []


@pytest.mark.parametrize(("trace_id", "said"), [(2, "soft-labels adds them"), (99, "no trace has the id 99")])
def test_a_trace_without_labels_says_so(client, ended, trace_id, said):
    answer = client.get(f"/api/traces/{trace_id}/soft-labels")
    assert (answer.status_code, said in answer.json()["detail"]) == (404, True)


def test_labels_are_ordered_for_the_traces_that_have_none_and_can_be_cancelled(client, ended):
    ordered = client.post(f"/api/batches/{ended}/soft-labels", json={"top_logprobs": 4})
    assert ordered.status_code == 202
    shown = ordered.json()
    assert (shown["state"], shown["pending"], shown["tokenizer_sha256"]) == ("in_progress", 1, {"tiny": ""})
    assert shown["estimate"]["bytes_max"] == bytes_max(4, answers=1, tokens=40)
    assert client.post(f"/api/batches/{ended}/soft-labels", json={"top_logprobs": 4}).status_code == 409
    assert client.get(f"/api/batches/{ended}/soft-labels").json()["pending"] == 1
    cancelled = client.post(f"/api/batches/{ended}/soft-labels/cancel").json()
    assert (cancelled["state"], cancelled["pending"]) == ("ended", 0)
    assert client.post(f"/api/batches/{ended}/soft-labels/cancel").status_code == 409


def test_what_cannot_be_ordered_is_refused(client, ended, submit):
    running = submit([{"prompt": "a"}]).json()["id"]
    order = {"top_logprobs": 4}
    assert client.post(f"/api/batches/{running}/soft-labels", json=order).status_code == 409
    assert client.get(f"/api/batches/{running}/soft-labels").json()["state"] == "none"
    assert client.post("/api/batches/none/soft-labels", json=order).status_code == 404
    assert client.post(f"/api/batches/{ended}/soft-labels", json=order | {"teacher": "x"}).status_code == 404
    assert client.post(f"/api/batches/{ended}/soft-labels", json={"top_logprobs": 0}).status_code == 422


def test_a_teacher_is_registered_with_the_hash_of_its_tokenizer(client, teacher):
    assert teacher["tokenizer_sha256"] == ""
    body = {"name": "tiny", "base_url": teacher["base_url"], "model": "teacher", "tokenizer_sha256": "c" * 64}
    assert client.post("/api/teachers", json=body).json()["tokenizer_sha256"] == "c" * 64
    assert client.post("/api/teachers", json=body | {"tokenizer_sha256": "short"}).status_code == 422


def test_a_kept_completion_shows_its_logprobs_by_token_id_again(client, teacher):
    def entry(token, logprob):
        return {"token": f"token_id:{token}", "logprob": logprob, "bytes": [120]}

    content = [{**entry(3, -0.5), "top_logprobs": [entry(3, -0.5), entry(4, -1.25)]}]
    choice = {"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}
    found = completions({"choices": [choice | {"logprobs": {"content": content}}]}, n=1, latency_ms=1, thinking=None)
    with client.app.state.database.write() as session:
        rows = [stored.trace_row(each) for each in found]
        stored.keep(session, "tiny", {"key": "chatcmpl-1", "messages": []}, rows, found)
    assert client.get("/api/traces/1").json()["raw"] == choice
    shown = client.get("/v1/chat/completions/chatcmpl-1").json()["choices"][0]["logprobs"]["content"][0]
    assert [each["token"] for each in shown["top_logprobs"]] == ["token_id:3", "token_id:4"]
    assert shown["logprob"] == -0.5
    assert client.get("/api/batches/batch_stored-tiny").json()["soft_labels"]["stored"] == 1


@pytest.mark.parametrize(
    ("logprobs", "reason"),
    [
        (None, ""),
        ({"content": None}, ""),
        ({"content": [{"token": "a", "logprob": -1, "top_logprobs": []}]}, ""),
        ({"content": [{"token": "a", "logprob": -1, "top_logprobs": [{"token": "a", "logprob": -1}]}]}, "no_token_ids"),
        ({"content": [{"token": "token_id:1", "top_logprobs": [{"token": "token_id:1"}]}]}, "unreadable_logprobs"),
        ({"content": ["x"]}, "unreadable_logprobs"),
    ],
)
def test_logprobs_that_can_be_no_labels_have_a_reason_where_any_were_wanted(logprobs, reason):
    assert of_choice(logprobs) == (None, reason)


def test_a_chosen_token_that_is_not_among_the_likeliest_still_comes_first():
    top = [{"token": f"token_id:{token}", "logprob": -float(token)} for token in (1, 2, 3)]
    labels, _ = of_choice({"content": [{"token": "token_id:9", "logprob": -9.0, "top_logprobs": top}]})
    assert (labels.ids.tolist(), labels.logprobs.tolist()) == ([[9, 1, 2]], [[-9, -1, -2]])


def test_scores_of_a_prompt_are_those_of_the_tokens_asked_about():
    scores = [None, {"5": {"logprob": -1.0}, "7": {"logprob": -0.5}, "8": {"logprob": -3.0}}]
    labels = of_prompt(scores, [4, 5], start=1, k=2)
    assert (labels.ids.tolist(), labels.logprobs.tolist()) == ([[5, 7]], [[-1, -0.5]])
    with pytest.raises(ValueError, match="do not hold itself"):
        of_prompt(scores, [4, 6], start=1, k=2)
    with pytest.raises(ValueError, match="of 3 tokens"):
        of_prompt(scores, [4, 5, 6], start=1, k=2)
