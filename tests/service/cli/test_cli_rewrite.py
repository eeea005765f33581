"""`retort rewrite`: a batch rewritten by one command, followed to its end, and once only."""

import json

import pytest


@pytest.fixture
def batch(call, teacher, worker, tmp_path):
    file = tmp_path / "prompts.jsonl"
    file.write_text("\n".join(json.dumps({"prompt": f"What is {n} + {n}?"}) for n in range(3)))
    return json.loads(call("submit", str(file), "--teacher", "tiny", "--follow", "--json").stdout.splitlines()[-1])


def test_traces_are_compacted_and_stripped_by_one_command_each(call, client, batch):
    told = call("rewrite", batch["id"], "--compact", "--teacher", "tiny", "--follow", "--json")
    assert told.exit_code == 0, told.output
    short = json.loads(told.stdout.splitlines()[-1])
    assert (short["state"], short["counts"]["stored"], short["rewrite"]["batches"]) == ("completed", 3, [batch["id"]])
    old = {trace.id: trace for trace in client.each_trace(batch=batch["id"])}
    for trace in client.each_trace(batch=short["id"]):
        parent = old[trace.parent_id]
        assert (trace.response, trace.rewriter) == (parent.response, "tiny")
        assert 0 < len(trace.reasoning) < len(parent.reasoning)
    assert f"rewritten from trace {trace.parent_id} by tiny" in call("trace", str(trace.id)).stdout
    assert f"compact: traces of {batch['id']}" in call("status", short["id"]).stdout

    bare = json.loads(call("rewrite", batch["id"], "--answer-only", "--follow", "--json").stdout.splitlines()[-1])
    assert {trace.reasoning for trace in client.each_trace(batch=bare["id"])} == {""}
    told = call("rewrite", batch["id"], "--answer-only")
    assert f"rewritten before, as {bare['id']}" in told.stderr


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("b",), "either --compact"),
        (("b", "--compact"), "--compact needs --teacher"),
        (("sums@one", "--answer-only"), "names no dataset version"),
        (("b", "--compact", "--teacher", "t", "--instruction", "missing.txt"), "cannot read missing.txt"),
        (("batch_none", "--answer-only"), "no batch has the id"),
    ],
)
def test_what_makes_no_sense_is_refused(call, arguments, why):
    told = call("rewrite", *arguments)
    assert told.exit_code == 2
    assert why in told.stderr
