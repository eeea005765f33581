"""Each verb against a real API; nobody answers here."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from service.client import Client
from service.connection import RetortError

Call = Callable[..., Result]
DOWN = "http://127.0.0.1:9/v1"


@pytest.fixture
def silent(client: Client) -> str:
    """A teacher that is not there."""
    return client.add_teacher("tiny", DOWN, "model", "apache-2.0").name


def prompts(path: Path, count: int = 3) -> str:
    path.write_text("".join(json.dumps({"prompt": f"{n} + {n}?", "category": "sum"}) + "\n" for n in range(count)))
    return str(path)


@pytest.fixture
def batch(call: Call, silent: str, tmp_path: Path) -> str:
    submitted = call("submit", prompts(tmp_path / "prompts.jsonl"), "--teacher", silent, "--set", "held-out", "--json")
    return json.loads(submitted.stdout)["id"]


def test_teachers_are_added_listed_and_probed(call: Call) -> None:
    assert call("teacher", "list").stdout.startswith("no teacher yet")
    added = call("teacher", "add", "tiny", DOWN, "model")
    assert added.exit_code == 0
    assert "licence unknown" in added.stdout
    assert "--license" in added.stdout
    assert json.loads(call("teacher", "list", "--json").stdout)[0]["base_url"] == DOWN
    assert "connection_refused" in call("teacher", "list").stdout
    probed = call("teacher", "probe", "tiny")
    assert probed.exit_code == 1
    assert "start it with `retort teacher serve`" in probed.stdout


def test_a_submission_says_its_id_and_counts(call: Call, silent: str, tmp_path: Path) -> None:
    result = call("submit", prompts(tmp_path / "p.jsonl"), "--teacher", silent, "-n", "2", "--max-tokens", "64")
    assert result.exit_code == 0
    assert "batch_" in result.stdout
    assert "3 prompts to tiny (n=2, max_tokens=64)" in result.stdout
    assert "0 stored, 0 failed, 0 cancelled, 6 pending of 6 answers" in result.stdout


def test_the_set_is_kept_with_the_batch(client: Client, batch: str) -> None:
    assert client.batch(batch).meta == {"set": "held-out"}


def test_stdin_can_be_submitted(call: Call, silent: str) -> None:
    result = call("submit", "-", "--teacher", silent, "--json", input='{"prompt": "1 + 1?"}\n')
    assert json.loads(result.stdout)["prompts"] == 1


def test_one_key_submits_once(call: Call, silent: str, tmp_path: Path) -> None:
    arguments = ("submit", prompts(tmp_path / "p.jsonl"), "--teacher", silent, "--key", "once", "--json")
    first, again = (json.loads(call(*arguments).stdout)["id"] for _ in range(2))
    assert first == again
    other = call("submit", prompts(tmp_path / "q.jsonl", 4), "--teacher", silent, "--key", "once")
    assert other.exit_code == 2
    assert "'once' stands for batch" in other.stderr


def test_refused_lines_are_listed_up_to_twenty(call: Call, silent: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text('{"prompt": "fine"}\n{"promt": "typo"}\n' + "no JSON\n" * 30)
    result = call("submit", str(path), "--teacher", silent)
    assert result.exit_code == 2
    assert "line 2, promt: unknown field; did you mean 'prompt'?" in result.stderr
    assert "line 21: not valid JSON" in result.stderr
    assert "line 22" not in result.stderr
    assert "… and 11 more" in result.stderr
    listed = json.loads(call("submit", str(path), "--teacher", silent, "--json").stdout)["error"]["errors"]
    assert [error["line"] for error in listed] == list(range(2, 33))
    assert call("status").stdout.startswith("nothing submitted yet")


def test_an_unknown_teacher_gets_a_suggestion(call: Call, silent: str, tmp_path: Path) -> None:
    result = call("submit", prompts(tmp_path / "p.jsonl"), "--teacher", "tiyn")
    assert result.exit_code == 2
    assert "did you mean 'tiny'?" in result.stderr


def test_a_missing_file_is_told(call: Call, silent: str) -> None:
    result = call("submit", "none.jsonl", "--teacher", silent)
    assert (result.exit_code, result.stderr) == (2, "there is no file none.jsonl\n")


def test_status_shows_everything_or_one_batch(call: Call, batch: str) -> None:
    overview = call("status")
    assert overview.exit_code == 0
    assert f"{batch}  in_progress  tiny" in overview.stdout
    assert [found["id"] for found in json.loads(call("status", "--json").stdout)["batches"]] == [batch]
    one = call("status", batch)
    assert one.stdout.startswith(f"{batch} in_progress")
    assert json.loads(call("status", batch, "--json").stdout)["counts"]["pending"] == 3


def test_tables_fit_80_columns_with_their_ids_whole_and_pipes_get_no_colours(
    call: Call, client: Client, batch: str, tmp_path: Path
) -> None:
    teachers = [client.add_teacher(f"a-teacher-with-a-long-name-{n}", DOWN, "model").name for n in range(3)]
    many = client.submit(({"prompt": str(n)} for n in range(2000)), teachers)
    told = call("status", env={"COLUMNS": "80"}).stdout
    assert max(map(len, told.splitlines())) <= 80
    assert "\x1b" not in told
    assert batch in told
    assert f"{many.id}  in_progress  a-t" in told
    assert "0/6,000" in told


def test_a_cancelled_batch_is_a_failure_to_wait_for(call: Call, batch: str) -> None:
    assert call("cancel", batch).exit_code == 0
    waited = call("wait", batch)
    assert waited.exit_code == 1
    assert "3 cancelled" in waited.stdout
    assert call("status", batch, "--follow").exit_code == 1
    again = call("cancel", batch)
    assert again.exit_code == 2
    assert "already ended as cancelled" in again.stderr
    assert "3 pending" in call("retry", batch).stdout


def test_waiting_has_a_limit_if_asked(call: Call, batch: str) -> None:
    result = call("wait", batch, "--timeout-s", "0")
    assert result.exit_code == 1
    assert "still in_progress after 0 s; it goes on" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [("status", "batch_none"), ("status", "none@1"), ("status", "run_none"), ("trace", "7"), ("report", "run_none")],
)
def test_what_is_not_there_is_exit_code_2(call: Call, arguments: tuple[str, ...]) -> None:
    result = call(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr


def test_a_licence_check_says_duties_and_blocks_what_is_unknown(call: Call) -> None:
    allowed = call("licence", "check", "--teacher", "apache-2.0", "--base", "apache-2.0", "--use", "commercial")
    assert allowed.exit_code == 0
    assert "licence: allowed with duties for commercial use" in allowed.stdout
    unknown = call("licence", "check", "--teacher", "no-such-licence", "--use", "commercial", "--json")
    assert unknown.exit_code == 1
    assert json.loads(unknown.stdout)["decision"] == "unknown"


def test_a_recipe_is_read_from_json_and_toml(call: Call, batch: str, tmp_path: Path) -> None:
    (tmp_path / "recipe.json").write_text('{"filters": [{"kind": "lenght"}], "on_abstain": "keep"}')
    (tmp_path / "recipe.toml").write_text('on_abstain = "keep"\n[[filters]]\nkind = "lenght"\n')
    for name in ("recipe.json", "recipe.toml"):
        result = call("curate", "sums", "--batch", batch, "--recipe", name, "--use", "research", "--preview")
        assert result.exit_code == 2
        assert "length" in result.stderr


def test_a_batch_still_running_is_not_curated(call: Call, batch: str, tmp_path: Path) -> None:
    (tmp_path / "recipe.json").write_text('{"filters": [{"kind": "length"}], "on_abstain": "keep"}')
    result = call("curate", "sums", "--batch", batch, "--recipe", "recipe.json", "--use", "research")
    assert result.exit_code == 2
    assert "wait until it has ended" in result.stderr


def test_an_override_needs_somebody_who_answers_for_it(call: Call, tmp_path: Path) -> None:
    (tmp_path / "recipe.json").write_text("{}")
    arguments = ("curate", "sums", "--batch", "b", "--recipe", "recipe.json", "--use", "research", "--override", "x=y")
    assert "needs --author" in call(*arguments).stderr


def test_a_big_file_is_streamed_and_its_progress_told(client: Client, silent: str, tmp_path: Path) -> None:
    path = tmp_path / "big.jsonl"
    path.write_text("".join(json.dumps({"prompt": "x" * 1000}) + "\n" for _ in range(2000)))
    seen: list[int] = []
    assert client.submit(path, [silent], progress=seen.append).prompts == 2000
    assert seen[-1] == path.stat().st_size
    assert len(seen) > 4


def test_rows_can_be_submitted_without_a_file(client: Client, silent: str) -> None:
    batch = client.submit(({"prompt": str(n)} for n in range(5)), [silent], n=2, sampling={"temperature": 0.5})
    assert (batch.prompts, batch.counts.total, batch.sampling) == (5, 10, {"temperature": 0.5})


def test_events_of_a_subject_are_told_from_the_beginning_and_resumed(client: Client, batch: str) -> None:
    client.cancel_batch(batch)
    told = client.events(batch)
    first, second = next(told), next(told)
    assert (first.kind, second.kind) == ("batch.in_progress", "batch.cancelled")
    assert first.data["subject"] == batch
    told.close()  # pyright: ignore[reportAttributeAccessIssue]
    resumed = client.events(batch, last_id=first.id)
    assert next(resumed) == second
    resumed.close()  # pyright: ignore[reportAttributeAccessIssue]


def test_an_error_carries_status_and_fields(client: Client) -> None:
    with pytest.raises(RetortError) as refusal:
        client.add_teacher("Not A Name", "nowhere", "model")
    assert refusal.value.status == 422
    assert {error["field"] for error in refusal.value.errors} >= {"name", "base_url"}


def test_keys_are_made_listed_and_revoked(call: Call) -> None:
    made = json.loads(call("key", "make", "alice", "--scope", "read", "--json").stdout)
    assert made["token"]
    assert made["token"] not in call("key", "list").stdout
    assert "valid" in call("key", "list").stdout
    assert call("key", "revoke", made["id"]).exit_code == 0
    assert "revoked" in call("key", "list").stdout
    told = json.loads(call("audit", "--subject", made["id"], "--json").stdout)["data"]
    assert [row["act"] for row in told] == ["key.revoked", "key.made"]
    assert "name=alice" in call("audit", "--act", "key.revoked", env={"COLUMNS": "200"}).stdout
