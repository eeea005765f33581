"""The README's commands, typed in their order, with the fake teacher in the real one's place."""

import json
import re
import shutil
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from tests.conftest import leave_out
from tests.docs.blocks import ROOT, blocks, play
from tests.processes import free_ports

PAGE = "README.md"
NOT_HERE = {
    "make demo": "a test of its own plays it, tests/chain/test_demo.py",
    "make test": "is what runs this",
    "docker compose up": "no Docker here; tests/service/test_compose.py checks the file",
}
"""Commands that are left out, with the reason."""
pytestmark = [pytest.mark.train, pytest.mark.timeout(600)]


def scripted(number: int) -> dict[str, object]:
    right, wrong = rf"That makes \boxed{{{number + 30}}}.", rf"That makes \boxed{{{number + 31}}}."
    reasoning = f"{number} + 30 = {number + 30}, step by step, first the tens and then the ones."
    return {"match": rf"What is {number} \+ 30\?", "reasoning": reasoning, "responses": [right, right, wrong, right]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the README takes to be there: prompts, documents, traces from elsewhere, a student."""
    if not shutil.which("jq"):
        leave_out("the README's commands: jq is not installed")
    made = tmp_path_factory.mktemp("readme")
    prompt, recipe = blocks(PAGE, "json")
    lines = [
        json.loads(prompt) | {"id": f"p{number}", "prompt": f"What is {number} + 30?", "reference": str(number + 30)}
        for number in range(12, 42)
    ]
    (made / "prompts.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (made / "recipe.json").write_text(recipe)
    columns = {"question": ["What is 3 + 4?", "What is 5 + 6?"], "answer": ["7", "11"], "hint": ["add", "add"]}
    parquet.write_table(pa.table(columns), made / "gsm8k.parquet")
    parquet.write_table(pa.table({"question": columns["question"]}), made / "gsm8k-test.parquet")
    (made / "docs").mkdir()
    (made / "docs" / "rivers.txt").write_text("The Elbe is a river that carries sand past nine mills to the sea.\n")
    (made / "generated").mkdir()
    traces = {"problem": ["2 + 2?"], "generation": ["<think>Two and two.</think>4"], "source": ["elsewhere"]}
    parquet.write_table(pa.table(traces), made / "generated" / "train.parquet")
    body = {"model": "qwen", "messages": [{"role": "user", "content": "What is 12 + 30?"}]}
    line = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": body}
    (made / "batch.jsonl").write_text(json.dumps(line) + "\n")
    river = {"match": "Elbe", "responses": ['{"question": "How many mills does the Elbe pass?", "answer": "9"}']}
    scenario = {"answers": [river, *map(scripted, range(12, 42))]}
    (made / "scenario.json").write_text(json.dumps(scenario))
    (made / "student").symlink_to(ROOT / "examples" / "arithmetic" / "student-base")
    return made


def as_here(line: str, port: int) -> str:
    """Return a line of the README as it can be typed here: smaller, on this machine, with ids that exist."""
    changes = {
        r"^retort up\b.*": f"retort up --port {port} --data-dir data > up.log &",
        r"^retort teacher serve .*": f"retort teacher fake --scenario scenario.json --model qwen --port {port + 1} &",
        r"http://127\.0\.0\.1:8000|http://10\.0\.0\.1:8000": f"http://127.0.0.1:{port + 1}",
        r"http://10\.0\.0\.2:8000": f"http://localhost:{port + 1}",
        r"hf://datasets/ORG/mathset": "file://$PWD/pushed",
        r"Qwen/Qwen3-1\.7B-Base": "./student",
        r"^(retort train \S+)": r"\1 --set-knob max_steps=2 --set-knob evaluation.base=false",
        r"\bBATCH\b": "$(newest batches)",
        r"\bRUN\b": "$(newest runs)",
        r"\bRUN_B\b": "$(newest runs 1)",
        r"\b4711\b": "$(newest traces)",
        r"^(retort delete mathset@1)": r"! \1 --yes",
    }
    for written, instead in changes.items():
        line = re.sub(written, instead, line)
    return line


NEWEST = """
newest() {
  [ "$1" = traces ] && found=$(retort traces --limit 1 --json) || found=$(retort status --json | jq ".$1")
  plain='.imported == null and .rewrite == null and .sampling.top_logprobs == null'
  ended='(.state // "completed" | IN("completed", "succeeded"))'
  jq -r "map(select($plain and $ended))[${2:-0}].id" <<<"$found"
}
"""
"""The id of the newest run that ended well, or of the one before it; of a trace; of a batch of plain questions."""


@pytest.fixture(scope="module")
def printed(folder: Path) -> str:
    port = free_ports(2)
    lines = [line for block in blocks(PAGE, "bash") for line in block.replace("\\\n", " ").splitlines()]
    typed = [as_here(line, port) for line in lines if not any(left_out in line for left_out in NOT_HERE)]
    (python,) = blocks(PAGE, "python")
    (folder / "openai_sdk.py").write_text(python.replace("127.0.0.1:8080", f"127.0.0.1:{port}"))
    script = "\n".join([NEWEST, "set -v", *typed, "python openai_sdk.py"])
    environment = {
        "RETORT_URL": f"http://127.0.0.1:{port}",
        "RETORT_TEACHER_NETWORKS": "127.0.0.0/8,::1/128",
        "RETORT_DRAIN_S": "5",
        "HF_HUB_OFFLINE": "1",
    }
    return play(script, folder, environment, timeout_s=500)


def test_every_command_of_the_readme_does_what_it_says(printed, folder):
    for told in (
        "mathset@1 sealed",
        "1 questions written to prompts.jsonl",
        "succeeded",
    ):
        assert told in printed
    assert (folder / "pushed" / "manifest.json").is_file()
    assert (folder / "mathset-v1-render").is_dir()


def test_what_is_left_out_is_still_in_the_readme():
    script = "\n".join(blocks(PAGE, "bash"))
    assert not [command for command in NOT_HERE if command not in script]
