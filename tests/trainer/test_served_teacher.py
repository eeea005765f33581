"""A teacher on a server that scores what the student says: which of its models, and what stands in its way."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import ValidationError
from urllib3.util import Retry

from trainer.base import Base
from trainer.errors import TrainerError
from trainer.on_policy import Config

pytestmark = [pytest.mark.train, pytest.mark.filterwarnings("ignore")]  # of vLLM, which TRL imports with its client
SERVER = {"student": "s", "teacher": "t", "teacher_server": "http://127.0.0.1:9"}
NOBODY = "http://127.0.0.1:9/v1"


@pytest.fixture(scope="module")
def fake() -> Iterator[Callable[..., str]]:
    """A running fake teacher; called with a scenario it behaves so, and returns its address."""
    command = [sys.executable, "-m", "workers.teachers.fake", "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout
        base_url = json.loads(process.stdout.readline())["base_url"]

        def play(**scenario: Any) -> str:
            url = base_url.replace("/v1", "/fake/scenario")
            httpx.put(url, json=scenario, trust_env=False).raise_for_status()
            return base_url

        yield play
        process.kill()


def refused(address: str, positions: int = 10, temperature: float = 1.0) -> TrainerError:
    from trainer.served_teacher import open_served

    try:
        open_served(address, Base("fake", Path(), None, {}), positions, Retry(0)).probe([1, 2], 2, temperature)
    except TrainerError as error:
        return error
    raise AssertionError("the teacher was taken")


def test_the_only_model_of_a_server_scores_whatever_it_is_called(fake: Callable[..., str]) -> None:
    from trainer.served_teacher import open_served

    served = open_served(fake(), Base("Qwen/Qwen3-32B", Path(), None, {}), 10)
    served.probe([1, 2, 3], 2, 1.0)
    found = served.get_sequence_logprobs([[5, 6, 7], [8, 9]], [1, 1], top_logprobs=2)
    assert found["logprob_token_ids"] == [[[6, 7], [7, 8]], [[9, 10]]]
    assert found["actual_logprobs"][0] == [[-0.006], [-0.007]]


def test_a_key_is_sent_and_its_lack_is_told(fake: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    from trainer.served_teacher import open_served

    address = fake(api_key="secret")
    assert "Put its key into RETORT_TEACHER_API_KEY" in str(refused(address))
    monkeypatch.setenv("RETORT_TEACHER_API_KEY", "secret")
    open_served(address, Base("fake", Path(), None, {}), 10).probe([1, 2], 1, 1.0)


def test_a_server_that_keeps_to_temperature_1_is_not_asked_for_another(fake: Callable[..., str]) -> None:
    error = refused(fake(), temperature=2.0)
    assert (error.reason, "processed_logprobs" in str(error)) == ("teacher_temperature", True)


def test_room_for_prompt_reply_and_one_token_is_enough(fake: Callable[..., str]) -> None:
    from trainer.served_teacher import open_served

    address, teacher = fake(context_tokens=20), Base("fake", Path(), None, {})
    open_served(address, teacher, 19)
    assert refused(address, positions=20).reason == "teacher_too_short"


def test_a_server_that_is_away_is_named() -> None:
    error = refused(NOBODY)
    assert (error.reason, "127.0.0.1:9" in str(error)) == ("teacher_unreachable", True)


def test_a_server_in_trouble_is_asked_again_and_then_quoted(fake: Callable[..., str]) -> None:
    from trainer.served_teacher import RETRIES, open_served

    once = {"kind": "server_error", "tries": 1}
    teacher = open_served(fake(faults=[once]), Base("fake", Path(), None, {}), 10, RETRIES.new(backoff_factor=0))
    teacher.probe([1, 2], 2, 1.0)
    error = refused(fake(faults=[{"kind": "server_error"}]))
    assert (error.reason, "answers 500" in str(error)) == ("teacher_refused", True)


def test_a_server_that_does_not_score_is_named_instead_of_a_crash(fake: Callable[..., str]) -> None:
    error = refused(fake(faults=[{"kind": "wrong_shape"}]))
    assert (error.reason, "only a vLLM server" in str(error)) == ("teacher_not_scoring", True)


@pytest.mark.parametrize(
    ("knobs", "told"),
    [({"top_k": 5}, "needs `beta: 0`"), ({"top_k": 5, "beta": 0, "teacher_server": None}, "a teacher on a server")],
)
def test_entries_that_nobody_can_tell_are_refused(knobs: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        Config.model_validate(SERVER | knobs)


@pytest.mark.parametrize(("knobs", "entries"), [({"beta": 0}, 20), ({}, 1), ({"beta": 0, "top_k": 5}, 5)])
def test_a_server_is_asked_for_as_many_entries_as_the_loss_takes(knobs: dict[str, Any], entries: int) -> None:
    assert Config.model_validate(SERVER | knobs).entries == entries
