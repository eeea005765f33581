"""Reasoning from a teacher into the trace, as every era of servers sends it; and the alarm when it is lost."""

import os
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.service.openai.conftest import ended, line, rows, submit

ERAS = ("reasoning", "reasoning_content", "both", "inline", "closing_tag")


def traces(server, batch_id: str) -> list[tuple[str, str, str]]:
    found = get(server, f"/api/traces?batch={batch_id}").json()["data"]
    return sorted((trace["key"], trace["reasoning"], trace["response"]) for trace in found)


def get(server, path: str) -> httpx.Response:
    return httpx.get(f"{server.url}{path}", trust_env=False)


def test_every_era_of_servers_leaves_the_same_traces_and_output(sdk, fake, worker, server):
    worker()
    lines = [line(f"id-{number}", f"{number} + 1 = ?") for number in range(3)]
    stored, shown = [], []
    for era in ERAS:
        fake.play(era=era)
        batch = ended(sdk, submit(sdk, *lines).id)
        stored.append(traces(server, batch.id))
        output = rows(sdk, batch.output_file_id)
        shown.append(
            {name: row["response"]["body"]["choices"][0]["message"]["reasoning"] for name, row in output.items()}
        )
    assert [key for key, _, _ in stored[0]] == ["id-0", "id-1", "id-2"]
    assert all(reasoning.startswith("Thought") and answer.startswith("Answer") for _, reasoning, answer in stored[0])
    assert stored == [stored[0]] * len(ERAS)
    assert shown == [shown[0]] * len(ERAS)


@pytest.mark.parametrize("kind", ["half_open_tag", "all_in_reasoning"])
def test_a_parsers_fault_loses_no_text(sdk, fake, worker, server, kind):
    fake.play(faults=[{"kind": kind}])
    worker()
    batch = ended(sdk, submit(sdk, line("a")).id)
    ((_, reasoning, response),) = traces(server, batch.id)
    assert "Thought" in reasoning
    assert response == "", "where the answer begins cannot be told, so nothing is moved"
    assert ("Answer" in reasoning) is (kind == "all_in_reasoning")


def test_lost_reasoning_shows_wherever_a_person_or_a_monitor_looks(sdk, fake, worker, server):
    fake.play(faults=[{"kind": "lost_reasoning", "match": "lost"}])
    worker()
    batch = ended(sdk, submit(sdk, line("a"), line("b", "lost"), line("c", "lost as well")).id)
    assert get(server, f"/api/batches/{batch.id}").json()["reasoning_lost"] == 2
    assert re.search(r'^retort_reasoning_lost_total{teacher="tiny"} 2.0$', get(server, "/metrics").text, re.MULTILINE)
    assert "2 answers came without their reasoning" in page(get(server, f"/batches/{batch.id}").text)
    assert "came without the reasoning they were billed for" in page(get(server, "/").text)
    assert "2 answers lost their reasoning" in retort(server, "status", batch.id)


def page(html: str) -> str:
    """The text of a page without its tags."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", "", html))


def retort(server, *words: str) -> str:
    """What the command line prints."""
    command = [Path(sys.executable).with_name("retort"), *words]
    done = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | {"RETORT_URL": server.url}, check=False
    )
    return re.sub(r"\s+", " ", done.stdout + done.stderr)
