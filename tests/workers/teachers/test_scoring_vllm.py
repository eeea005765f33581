"""Soft labels by a real vLLM: those that come with an answer and those added later are the same."""

import asyncio

import numpy as np
import pytest
import zstandard

from service.soft_labels import NO_TOKEN
from service.store.soft_labels import Unlabelled
from service.teachers.protocol import Sampling
from workers.teachers.openai_http import OpenAITeacher
from workers.teachers.scoring import CannotScore, Scorer

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(900)]
MESSAGES = [{"role": "user", "content": "There are 23 red cards and 117 blue cards. How many cards are there?"}]


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
