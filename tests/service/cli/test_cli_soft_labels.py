"""Soft labels on the command line: their size before anything is sent, added later, the tokenizer they are of."""

import hashlib
import json

import pytest

from service.soft_labels import bytes_max


@pytest.fixture
def prompts(tmp_path):
    file = tmp_path / "prompts.jsonl"
    file.write_text("\n".join(json.dumps({"prompt": f"What is {n} + {n}?"}) for n in range(3)) + "\n\n")
    return file


def test_submitting_tells_the_size_first(call, teacher, prompts):
    told = call("submit", str(prompts), "--teacher", "tiny", "-n", "2", "--top-logprobs", "8", "--max-tokens", "100")
    assert told.exit_code == 0, told.output
    most = bytes_max(8, answers=6, tokens=600)
    assert f"at most {most / 1024:.1f} KiB: 3 prompts x 2 x 100 tokens x 36 bytes a token (k = 8)" in told.stderr
    assert "soft labels: 0 stored" in told.stdout


def test_without_max_tokens_it_says_what_is_unknown(call, teacher, prompts):
    told = call("submit", str(prompts), "--teacher", "tiny", "--top-logprobs", "8")
    assert "unknown is how long the answers get: no --max-tokens" in told.stderr


def test_old_traces_get_labels_by_one_command(call, teacher, worker, prompts):
    batch = json.loads(call("submit", str(prompts), "--teacher", "tiny", "--follow", "--json").stdout.splitlines()[-1])
    assert batch["soft_labels"] is None
    told = call("soft-labels", batch["id"], "--top-logprobs", "5", "--follow")
    assert told.exit_code == 0, told.output
    assert "at most" in told.stderr
    assert "3 stored" in told.stdout
    assert "tokenizer of tiny: unknown" in told.stdout
    shown = json.loads(call("soft-labels", batch["id"], "--json").stdout)
    assert (shown["state"], shown["stored"], shown["unavailable"]) == ("ended", 3, {})
    assert "soft labels: 3 stored" in call("status", batch["id"]).stdout


def test_a_teacher_is_added_with_its_tokenizers_hash_and_a_change_of_it_shows(call, tmp_path):
    add = ("teacher", "add", "tiny", "http://127.0.0.1:9/v1", "m", "--tokenizer")
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "tokenizer.json").write_text("{}")
    told = call(*add, str(folder))
    first = hashlib.sha256(b"{}").hexdigest()
    assert f"tokenizer {first[:12]}…" in told.stdout
    (folder / "tokenizer.json").write_text("[]")
    told = call(*add, str(folder))
    assert f"its tokenizer was {first[:12]}…" in told.stdout
    assert "stored keep the hash" in told.stdout
    assert json.loads(call(*add, str(folder), "--json").stdout)["tokenizer_sha256"] == hashlib.sha256(b"[]").hexdigest()
    assert "is unknown now" in call(*add[:-1]).stdout


@pytest.mark.parametrize("given", ["empty", "no/such/thing", "./missing"])
def test_a_tokenizer_that_is_not_there_is_refused(call, tmp_path, monkeypatch, given):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "empty").mkdir()
    told = call("teacher", "add", "tiny", "http://127.0.0.1:9/v1", "m", "--tokenizer", given)
    assert told.exit_code == 2
    assert "--tokenizer:" in told.stderr
