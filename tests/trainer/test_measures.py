"""The figures beside accuracy, against their formulas."""

import itertools
import math
from typing import Any

import numpy as np
import pytest

from trainer.measures.calibration import calibrate, token_probabilities, vote_shares
from trainer.measures.distance import Tally
from trainer.measures.lengths import count_lengths
from trainer.measures.pass_at import count_pass_at, pass_at
from trainer.measures.robustness import count_robustness
from trainer.questions import Question
from trainer.results import Result
from trainer.soft_rows import NO_LABEL


def answer(number: int, right: bool | None, response: str = "", **changes: Any) -> Result:
    question = Question("held-out", number, "add", [], "4", changes.pop("verifier", "math"))
    told: dict[str, Any] = {"model": "student", "mode": "sampled", "reasoning": "", "tokens": 5, "truncated": False}
    return Result(question, response=response, right=right, **told | changes)


@pytest.mark.parametrize(("n", "right", "k"), [(4, 0, 2), (4, 1, 2), (4, 3, 2), (5, 2, 3), (4, 4, 1), (6, 1, 6)])
def test_pass_at_k_is_the_share_of_draws_with_a_right_answer(n: int, right: int, k: int) -> None:
    answers = [place < right for place in range(n)]
    drawn = [any(draw) for draw in itertools.combinations(answers, k)]
    assert pass_at(n, right, k) == pytest.approx(sum(drawn) / len(drawn))


def test_pass_at_k_takes_prompts_with_enough_judged_answers() -> None:
    marks = [[True, False, False, False]] * 5 + [[True, None, None, None]] * 5
    found = count_pass_at(answer(number, right) for number, row in enumerate(marks) for right in row)
    assert found is not None
    assert found.prompts == {1: 10, 2: 5, 4: 5}
    assert found.rate == {1: 0.625, 2: 0.5, 4: 1.0}
    assert count_pass_at(answer(number, True) for number in range(10)) is None, "one answer each says pass@1 alone"


def test_the_calibration_error_is_the_weighted_gap_of_the_bins() -> None:
    found = calibrate([(0.95, True), (0.95, False), (0.25, False), (0.25, False), (1.0, True)])
    assert found is not None
    assert [(each.n, each.accuracy) for each in found.bins] == [(2, 0.0), (3, pytest.approx(2 / 3, abs=1e-6))]
    sure = (0.95 + 0.95 + 1.0) / 3
    assert found.ece == pytest.approx(0.4 * 0.25 + 0.6 * (sure - 2 / 3), abs=1e-5)
    assert found.over == pytest.approx(sum([0.95, 0.95, 0.25, 0.25, 1.0]) / 5 - 0.4, abs=1e-5)
    assert calibrate([]) is None


def test_votes_that_mean_the_same_go_together() -> None:
    said = ["\\boxed{4}", "\\boxed{4.0}", "\\boxed{5}", "I do not know, and here are many words about that: none."]
    shares = vote_shares(answer(1, "4" in text, text) for text in said)
    assert shares == [(0.5, True)]
    assert vote_shares([answer(1, True, "\\boxed{4}")]) == [], "a single answer agrees with nobody"
    assert vote_shares(answer(2, True, "def f(): ...", verifier="code") for _ in range(4)) == []


def test_confidence_counts_where_it_and_the_verdict_are_known() -> None:
    known = [answer(1, True, confidence=0.9), answer(2, None, confidence=0.5), answer(3, False)]
    assert token_probabilities(known) == [(0.9, True)]


def test_lengths_are_told_beside_the_teachers() -> None:
    found = count_lengths([answer(number, True, tokens=10 * number) for number in range(1, 11)], {1: 5, 2: 40, 3: 30})
    assert found is not None
    assert (found.p10, found.p50, found.p90, found.longest, found.to_teacher) == (10, 50, 90, 100, 1.0)
    assert count_lengths([], {}) is None


def test_changed_prompts_are_compared_with_the_same_prompts_unchanged() -> None:
    plain = [answer(number, number < 6) for number in range(8)]
    changed = [answer(number, number < 1 or number == 7) for number in range(1, 8)] + [answer(0, None)]
    found = count_robustness(plain, changed)
    assert found is not None
    assert (found.n, found.right, found.right_changed, found.only_unchanged, found.only_changed) == (7, 5, 1, 5, 1)
    assert found.difference == pytest.approx(-4 / 7, abs=1e-6)
    assert found.p_value == pytest.approx(2 * (1 + 6) / 64)


def test_the_distance_to_the_teacher_is_that_of_the_whole_distributions() -> None:
    import torch

    dice = np.random.default_rng(5)
    student, teacher = (np.exp(each) / np.exp(each).sum(1, keepdims=True) for each in dice.normal(size=(2, 6, 12)))
    chosen = dice.integers(0, 12, 6)
    ids = np.argsort(-teacher, axis=1)
    tally = Tally()
    logprobs = torch.tensor(np.log(np.take_along_axis(teacher, ids, 1)))
    tally.add(torch.tensor(np.log(student)), torch.tensor(chosen), torch.tensor(ids), logprobs)
    found = tally.distance()
    assert found is not None
    assert found.perplexity == pytest.approx(math.exp(-np.log(student[range(6), chosen]).mean()), abs=1e-3)
    assert found.kl == pytest.approx((teacher * np.log(teacher / student)).sum(1).mean(), abs=1e-5)
    assert found.acceptance == pytest.approx(np.minimum(teacher, student).sum(1).mean(), abs=1e-5)
    assert found.agreement == pytest.approx((teacher.argmax(1) == student.argmax(1)).mean(), abs=1e-5)
    a = found.acceptance or 0.0
    assert found.draft[1].sampled == pytest.approx((1 - a**5) / (1 - a), abs=1e-3)


def test_entries_that_are_missing_widen_what_is_told_and_do_not_shift_it() -> None:
    import torch

    logits = torch.tensor([[2.0, 1.0, 0.0, -1.0]] * 2)
    ids = torch.tensor([[0, 1], [NO_LABEL, NO_LABEL]])
    logprobs = logits.log_softmax(1)[:, :2]
    tally = Tally()
    tally.add(logits, torch.tensor([0, 0]), ids, logprobs)
    found = tally.distance()
    assert found is not None
    assert (found.tokens, found.tokens_labelled, found.agreement) == (2, 1, 1.0)
    assert found.kl == pytest.approx(0, abs=1e-6)
    assert found.acceptance == pytest.approx(float(logprobs[0].exp().sum()), abs=1e-5)
    assert found.acceptance_max == 1.0
    assert Tally().distance() is None
