"""The fake teacher keeps to its orders."""

import asyncio
import json
import subprocess
import sys
from collections import Counter

import httpx
import pytest

from service.teachers.protocol import Sampling, TeacherBusy, TeacherError
from workers.teachers.fake.fate import Fate
from workers.teachers.fake.scenario import NAMED, Kind, Scenario, ScenarioError, load, parse
from workers.teachers.openai_http import OpenAITeacher


def test_every_call_is_counted_outside_of_any_database(fake, ask):
    before = fake.calls()
    ask("first", n=3)
    fake.play("server_error")
    with pytest.raises(TeacherBusy):
        ask("second")
    after = fake.calls()
    assert (after["calls"] - before["calls"], after["choices"] - before["choices"]) == (2, 3)
    lines = [json.loads(line) for line in fake.calls_file.read_text().splitlines()]
    assert len(lines) == after["calls"]
    assert [(line["prompt"], line["n"], line["outcome"], line["choices"]) for line in lines[-2:]] == [
        ("first", 3, "ok", 3),
        ("second", 1, "server_error", 0),
    ]


def test_answers_are_a_function_of_prompt_seed_and_index(fake, ask):
    first = ask("a prompt", n=2)
    assert [each.response for each in ask("a prompt", n=2)] == [each.response for each in first]
    assert first[0].response != first[1].response
    assert ask("a prompt", sampling={"seed": 1})[0].response != first[0].response
    assert ask("another")[0].response != first[0].response
    fake.play({"seed": 1})
    assert ask("a prompt")[0].response != first[0].response


def test_echo_and_scripted_answers(fake, ask):
    fake.play({"answer": "echo", "reasoning_words": 0, "answers": [{"match": "2 \\+ 3", "responses": ["4", "5"]}]})
    assert ask("The answer is \\boxed{7}.")[0].response == "The answer is \\boxed{7}."
    assert [each.response for each in ask("2 + 3", n=3)] == ["4", "5", "4"]


def test_a_fault_for_the_first_tries_lets_later_ones_through(fake, ask):
    fake.play({"faults": [{"kind": "dropped", "tries": 2, "match": "fragile"}]})
    outcomes = []
    for prompt in ["fragile", "fragile", "fragile", "sturdy"]:
        try:
            ask(prompt)
            outcomes.append("ok")
        except TeacherBusy as error:
            outcomes.append(error.reason)
    assert outcomes == ["connection_lost", "connection_lost", "ok", "ok"]


def test_faults_strike_by_order_and_by_a_seeded_chance():
    scenario = Scenario.model_validate({"faults": [{"kind": "server_error", "requests": [2, 3]}]})
    fate = Fate(scenario)
    assert [fault and fault.kind for fault in (fate.of(k, "x") for k in range(1, 5))] == [
        None,
        Kind.SERVER_ERROR,
        Kind.SERVER_ERROR,
        None,
    ]
    fates = [Fate(NAMED["flaky"]) for _ in range(2)]
    drawn = [[fault.kind if fault else "" for fault in (fate.of(k, "x") for k in range(20_000))] for fate in fates]
    assert drawn[0] == drawn[1]
    shares = {kind: count / 20_000 for kind, count in Counter(drawn[0]).items()}
    assert shares == pytest.approx({"": 0.90, "rate_limited": 0.05, "server_error": 0.03, "dropped": 0.02}, abs=0.005)


def test_down_means_that_nothing_answers(fake):
    fake.play("down")
    for path in ("/health", "/v1/models"):
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.get(fake.url(path))


def test_it_lists_its_model_and_refuses_others(fake, ask):
    assert httpx.get(fake.url("/v1/models")).json()["data"][0]["id"] == "fake"
    assert httpx.get(fake.url("/health")).status_code == 200
    with pytest.raises(TeacherError, match="unknown_model"):
        ask(model="other")
    with pytest.raises(TeacherError, match="prompt_too_long"):
        ask("word " * 40_000)


@pytest.mark.parametrize("body", [b"{", b"3", b"{}", b'{"messages": []}', b'{"messages": ["x"]}'])
def test_a_malformed_request_is_a_400(fake, body):
    assert httpx.post(fake.url("/v1/chat/completions"), content=body).status_code == 400


def test_latency_is_lognormal_with_the_median_given(fake):
    fake.play({"latency_ms": 100, "latency_sigma": 0.5})

    async def crowd():
        async with OpenAITeacher(fake.base_url, "fake") as teacher:
            asked = [teacher.complete([{"role": "user", "content": f"{k}"}], Sampling()) for k in range(300)]
            return sorted(each[0].latency_ms for each in await asyncio.gather(*asked))

    waits = asyncio.run(crowd())
    # Upper bounds would measure the machine; a tail there must be, and a spread that a fixed wait has not.
    assert waits[150] >= 80
    assert waits[297] - waits[3] > 100


@pytest.mark.parametrize("name", sorted(NAMED))
def test_every_named_scenario_loads(name):
    assert load(name) == NAMED[name]
    assert parse(NAMED[name].model_dump_json()) == NAMED[name]


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ('{"latency": 3}', "latency: Extra inputs"),
        ('{"faults": [{"kind": "dropped", "probability": 2}]}', "faults.0.probability"),
        ('{"faults": [{"kind": "explode"}]}', "faults.0.kind"),
        ('{"faults": [{"kind": "dropped", "match": "("}]}', "faults.0.match: Value error, no regular expression"),
        ('{"answers": [{"match": "x", "responses": []}]}', "answers.0.responses"),
        ("not json", "file: Invalid JSON"),
    ],
)
def test_a_bad_scenario_names_the_file_and_the_field(tmp_path, text, field):
    file = tmp_path / "scenario.json"
    file.write_text(text)
    with pytest.raises(ScenarioError) as caught:
        load(str(file))
    assert str(file) in str(caught.value)
    assert field in str(caught.value)


@pytest.mark.parametrize("option", [["--scenario", "nonsense"], ["--port", "PORT"]])
def test_what_cannot_work_ends_with_status_2_and_a_sentence(fake, option):
    port = fake.base_url.rpartition(":")[2].removesuffix("/v1")
    command = [sys.executable, "-m", "workers.teachers.fake", *(part.replace("PORT", port) for part in option)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: ")
    assert "Traceback" not in ended.stderr
