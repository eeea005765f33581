"""A real vLLM in front of the example's teacher: answers, soft labels then and later, and nothing left afterwards.

One file, because each server takes a minute to start, and tests of one file share it.
"""

import asyncio
import subprocess
import sys
import time

import numpy as np
import orjson
import pytest
import zstandard

from service.soft_labels import NO_TOKEN
from service.store.rescoring import Unlabelled
from service.teachers.protocol import Sampling, TeacherRefused
from tests.trainer.tiny import make_row, write_dataset
from tests.workers.teachers.served import TEACHER, serve_teacher
from workers.teachers.openai_http import OpenAITeacher
from workers.teachers.scoring import CannotScore, Scorer
from workers.teachers.serve import guard

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(900)]
PROMPT = "There are 23 red cards and 117 blue cards. How many cards are there?"
MESSAGES = [{"role": "user", "content": PROMPT}]


def ask(served, n=1, sampling=None, **teacher):
    async def once():
        async with OpenAITeacher(served.base_url, teacher.pop("model", served.model), **teacher) as asked:
            return await asked.complete(MESSAGES, Sampling(sampling or {}), n)

    return asyncio.run(once())


def test_two_samples_arrive_with_reasoning_response_and_exact_counts(teacher_server):
    assert teacher_server.model == TEACHER.name
    sampling = {"temperature": 0.8, "seed": 1, "max_tokens": 200}
    completions = ask(teacher_server, n=2, sampling=sampling, token_ids=True)
    assert len(completions) == 2
    for each in completions:
        assert each.reasoning
        assert "think>" not in each.reasoning + each.response
        assert each.completion_tokens
        assert each.prompt_tokens
        assert orjson.loads(each.raw)["message"]["role"] == "assistant"
    assert any("\\boxed{" in each.response for each in completions)


def test_logprobs_cover_every_token_of_the_completion(teacher_server):
    (completion,) = ask(teacher_server, sampling={"temperature": 0, "top_logprobs": 4, "max_tokens": 200})
    assert completion.logprobs is not None
    assert len(completion.logprobs["content"]) == completion.completion_tokens
    assert {len(each["top_logprobs"]) for each in completion.logprobs["content"]} == {4}


def test_without_thinking_the_answer_is_the_response(teacher_server):
    off = {"chat_template_kwargs": {"enable_thinking": False}, "temperature": 0, "max_tokens": 60}
    (completion,) = ask(teacher_server, sampling=off)
    assert completion.response
    assert completion.reasoning == ""


def test_a_reply_cut_short_is_all_reasoning(teacher_server):
    (completion,) = ask(teacher_server, sampling={"temperature": 0, "max_tokens": 6})
    assert (completion.finish_reason, completion.response) == ("length", "")
    assert completion.completion_tokens == 6


@pytest.mark.parametrize(
    ("options", "sampling", "reason"),
    [
        ({"model": "another"}, {}, "unknown_model"),
        ({}, {"max_tokens": 100_000}, "max_tokens_too_large"),
        ({}, {"temperature": -1}, "bad_request"),
    ],
)
def test_its_refusals_are_understood(teacher_server, options, sampling, reason):
    with pytest.raises(TeacherRefused) as caught:
        ask(teacher_server, sampling=sampling, **options)
    assert caught.value.reason == reason


def again(served, sampling, k, *, trusts_ids=False, **changes):
    """Ask, then score what came; return both completions' labels, or raise why not."""

    async def both():
        async with OpenAITeacher(served.base_url, served.model, token_ids=True) as asked:
            (answer,) = await asked.complete(MESSAGES, Sampling(sampling | {"top_logprobs": k}))
            values = {
                "trace_id": 1,
                "messages": MESSAGES,
                "asked": sampling,
                "raw": zstandard.compress(answer.raw),
                "finish_reason": answer.finish_reason,
                "prompt_tokens": answer.prompt_tokens,
                "completion_tokens": answer.completion_tokens,
            } | changes
            return answer, await Scorer(asked, trusts_ids=trusts_ids).labels(Unlabelled(**values), k)

    return asyncio.run(both())


@pytest.mark.parametrize(
    "sampling",
    [
        {"temperature": 0, "max_tokens": 200},
        {"temperature": 1.0, "seed": 3, "max_tokens": 200},
        {"temperature": 0, "max_tokens": 6},
        {"temperature": 0, "max_tokens": 60, "chat_template_kwargs": {"enable_thinking": False}},
    ],
    ids=["reasoned", "sampled", "cut off", "without thinking"],
)
@pytest.mark.parametrize("k", [1, 8, 64])
def test_labels_added_later_are_those_that_came_with_the_answer(teacher_server, sampling, k):
    answer, later = again(teacher_server, sampling, k)
    assert answer.labels is not None
    assert b"logprobs" not in answer.raw
    assert answer.labels.ids.shape == later.ids.shape == (answer.completion_tokens, k)
    assert np.array_equal(answer.labels.ids[:, 0], later.ids[:, 0])
    assert not (later.ids == NO_TOKEN).any()
    assert np.abs(answer.labels.logprobs - later.logprobs).max() < 0.02
    same = answer.labels.ids == later.ids
    # Two tokens as likely as each other to the last bit of a float may change places.
    assert same.mean() > 0.98


def test_kept_token_ids_are_scored_without_splitting_the_text_again(teacher_server):
    sampling = {"temperature": 1.0, "seed": 5, "max_tokens": 100, "return_token_ids": True}
    answer, later = again(teacher_server, sampling, 8, trusts_ids=True)
    assert answer.labels is not None
    assert np.array_equal(answer.labels.ids[:, 0], later.ids[:, 0])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"completion_tokens": 5}, "retokenized_differently"), ({"prompt_tokens": 5}, "prompt_retokenized_differently")],
)
def test_other_counts_than_those_of_the_answer_are_not_scored(teacher_server, changes, reason):
    with pytest.raises(CannotScore) as caught:
        again(teacher_server, {"temperature": 0, "max_tokens": 100}, 4, **changes)
    assert caught.value.reason == reason


@pytest.mark.train
def test_it_scores_what_a_student_says_while_that_is_trained(teacher_server, tmp_path):
    # A student that is the teacher itself has nothing to learn; what little is left is rounding.
    dataset = write_dataset(tmp_path / "dataset", [make_row(number) for number in range(8)])
    base = TEACHER.with_name("student-base")
    assert scored(teacher_server, dataset, TEACHER, tmp_path / "itself") < 0.001
    assert scored(teacher_server, dataset, base, tmp_path / "another") > 0.1


def scored(served, dataset, student, out):
    """Train a student for one step and return the loss, the teacher's first 20 tokens against its own."""
    command = [sys.executable, "-m", "trainer", "on_policy", str(dataset), "--student", str(student), "--out", str(out)]
    knobs = {"teacher": TEACHER, "teacher_server": served.base_url, "teacher_license": "apache-2.0", "beta": 0}
    knobs |= {"max_steps": 1, "batch_size": 4, "gradient_accumulation": 1, "reply_tokens_max": 16}
    knobs |= {"evaluation.prompts_max": 1, "evaluation.tokens_max": 1, "evaluation.base": False}
    command += [part for knob, value in knobs.items() for part in ("--set", f"{knob}={value}")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = [orjson.loads(line) for line in done.stdout.splitlines()]
    return next(event["loss"] for event in told if event["event"] == "step")


def test_stopping_it_while_it_loads_ends_well_and_leaves_nothing():
    command = [sys.executable, "-m", "workers.teachers.serve", str(TEACHER), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        # The guard, and the engine that it started.
        while len(pids := guard.descendants(process.pid)) < 2:
            time.sleep(0.1)
        process.terminate()
        assert process.wait(60) == 0
        assert process.stderr is not None
        assert "stopping teacher" in process.stderr.read()
    assert not pids & {each.pid for each in guard.processes()}


def test_killing_the_command_that_serves_leaves_no_engine_behind():
    served = serve_teacher()
    assert len(served.left()) >= 4
    served.process.kill()
    served.process.wait(10)
    assert served.gone_within(20)
    assert served.process.stdout is not None
    served.process.stdout.close()
