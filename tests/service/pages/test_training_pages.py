"""Ordering a training from a page, ordering it again, and the buttons that stop work or go on with it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.methods import knob_texts, read_knobs
from tests.service.pages.conftest import filled_folder, with_key
from tests.service.pages.ids import ASKING, BROKEN, DONE, TRAINED, TRAINING
from tests.service.pages.reader import Page, fields

ORDER = {"dataset": "arithmetic@1", "student": "some/student", "method": "soft_label"}
WISH = ORDER | {"knobs": "epochs=2\r\n\r\nlora.rank=8\r\ncompletion=answer_only", "evaluation": [DONE, ASKING]}
WISH |= {"processes": "2", "options": "use_fsdp=true"}


@pytest.fixture
def own(tmp_path_factory):
    with with_key(filled_folder(tmp_path_factory, "training")) as client:
        yield client


def test_the_form_orders_what_it_says_and_is_there_to_order_it_again(own):
    path = own.post("/runs/new", data=WISH).headers["location"]
    made = own.get(f"/api{path}").json()
    assert {name: made[name] for name in ("dataset", "version", "student", "method", "evaluation", "state")} == {
        **{"dataset": "arithmetic", "version": 1, "student": "some/student", "method": "soft_label"},
        **{"evaluation": [DONE, ASKING], "state": "queued"},
    }
    assert made["config"] == {"epochs": 2, "lora": {"rank": 8}, "completion": "answer_only"}
    assert made["launch"] == {"processes": 2, "options": {"use_fsdp": True}}
    again = next(link for link in Page(own.get(path).text).links if link.startswith("/runs/new?"))
    kept = fields(own.get(again).text, "training")
    texts = {"knobs": "epochs=2\nlora.rank=8\ncompletion=answer_only", "options": "use_fsdp=true", "processes": "2"}
    assert sorted(kept) == sorted([*(ORDER | texts).items(), ("evaluation", DONE), ("evaluation", ASKING)])


def test_a_single_process_with_no_knobs_leaves_all_to_the_method(own):
    path = own.post("/runs/new", data=ORDER | {"processes": "1", "knobs": "", "options": ""}).headers["location"]
    made = own.get(f"/api{path}").json()
    assert (made["config"], made["launch"], made["evaluation"]) == ({}, None, [])


@pytest.mark.parametrize(
    ("wrong", "status", "said"),
    [
        ({"student": " "}, 422, "student: String should have at least 1 character"),
        ({"method": "sfd"}, 422, "method: Input should be &#39;sft&#39;"),
        ({"knobs": "epochs=2\nrank"}, 422, "knobs: &#39;rank&#39;: expected KEY=VALUE"),
        ({"knobs": "lora=8\nlora.rank=8"}, 422, "lora holds 8, no knobs of its own"),
        ({"options": "shell=true"}, 422, "is not passed on to accelerate"),
        ({"processes": "many"}, 422, "processes: Input should be a valid integer"),
        ({"dataset": "web@1"}, 409, "no licence stated"),
        ({"dataset": "arithmetic@9"}, 404, "has no version 9"),
        ({"evaluation": "batch_gone"}, 404, "batch_gone"),
    ],
)
def test_an_order_that_cannot_be_carried_out_keeps_the_form(own, wrong, status, said):
    before = own.get("/api/runs").json()
    answer = own.post("/runs/new", data=WISH | wrong)
    assert (answer.status_code, own.get("/api/runs").json()) == (status, before)
    assert said in answer.text
    asked = {name: value for name, value in (WISH | wrong).items() if name not in ("evaluation", "method", "knobs")}
    assert asked.items() <= dict(fields(answer.text, "training")).items()


def test_the_pages_of_versions_and_runs_lead_to_the_form(own):
    assert "/runs/new?dataset=arithmetic%401" in Page(own.get("/datasets/arithmetic/1").text).links
    assert not [link for link in Page(own.get("/datasets/web/1").text).links if "/runs/new" in link], "blocked"
    assert "/runs/new" in Page(own.get("/runs").text).links
    assert own.get("/runs/new").text.count('value="arithmetic@1"') == 1


def buttons(html: str) -> set[str]:
    return {action for tag, attributes in Page(html).tags if tag == "form" and (action := attributes.get("action"))}


def test_a_run_is_paused_resumed_and_cancelled_with_buttons(own):
    path = f"/runs/{TRAINING}"
    for act, state, then in (("pause", "paused", {"resume", "cancel"}), ("resume", "queued", {"pause", "cancel"})):
        assert own.post(f"{path}/{act}").headers["location"] == path
        assert own.get(f"/api{path}").json()["state"] == state
        assert buttons(own.get(path).text) == {f"{path}/{each}" for each in then}
    own.post(f"{path}/cancel")
    assert own.get(f"/api{path}").json()["state"] == "cancelled"
    assert buttons(own.get(path).text) == set()
    assert own.get("/api/audit?limit=1").json()["data"][0]["act"] == "run.cancelled"
    assert own.post(f"/runs/{TRAINED}/cancel").status_code == 409
    assert own.post(f"/runs/{BROKEN}/delete").status_code == 422


def test_a_batch_is_cancelled_and_asked_again_with_buttons(own):
    path = f"/batches/{ASKING}"
    for act, state in (("cancel", "cancelled"), ("retry", "in_progress")):
        assert buttons(own.get(path).text) == {f"{path}/{act}"}
        assert own.post(f"{path}/{act}").headers["location"] == path
        assert own.get(f"/api{path}").json()["state"] == state
    assert own.get("/api/audit?limit=1").json()["data"][0]["act"] == "batch.cancelled"


def test_a_key_that_may_only_read_finds_no_buttons_and_changes_nothing(own):
    token = own.post("/api/keys", json={"name": "r", "scope": "read"}).json()["token"]
    own.headers["Authorization"] = f"Bearer {token}"
    assert "needs a key with the scope submit" in own.get("/runs/new").text
    assert [buttons(own.get(path).text) for path in (f"/runs/{TRAINING}", f"/batches/{ASKING}")] == [set(), set()]
    for path in ("/runs/new", f"/runs/{TRAINING}/cancel", f"/batches/{ASKING}/cancel"):
        assert own.post(path, data=WISH).status_code == 403


NAMES = st.text("abcdefgh_", min_size=1, max_size=6)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.lists(st.integers())
KNOBS = st.recursive(LEAVES, lambda inner: st.dictionaries(NAMES, inner, max_size=3), max_leaves=8)


@given(st.dictionaries(NAMES, KNOBS, max_size=4))
def test_knobs_written_out_are_the_same_knobs_again(knobs):
    assert read_knobs("\n".join(knob_texts(knobs))) == knobs
