"""Asking until enough answers are right: no more calls than needed, and every try stays on record."""

import pytest

from service.store import pass_rates
from tests.workers.help import check_counts, counts, failures, jobs, prompt, state, submit, traces

SUMS = [
    prompt(1, "easy: 40 + 2 = ?", reference="42", verifier="math"),
    prompt(2, "hard: 20 + 23 = ?", reference="43", verifier="math"),
    prompt(3, "even: 20 + 24 = ?", reference="44", verifier="math"),
]
ANSWERS = [
    {"match": "easy", "responses": ["It is 42."]},
    {"match": "hard", "responses": ["It is 7."]},
    {"match": "even", "responses": ["It is 44.", "It is 45."]},
]


@pytest.fixture
def asked(database, work, fake):
    fake.play(answers=ANSWERS)
    batch = submit(database, fake.base_url, [], rows=SUMS, n=6, accept_k=2)
    work(lambda: state(database, batch) == "completed")
    return batch


def test_a_prompt_is_asked_until_enough_of_its_answers_are_right(database, fake, asked):
    by_prompt = {}
    for trace in traces(database, asked):
        by_prompt.setdefault(trace.prompt_id, []).append(trace.accepted)
    easy, hard, even = by_prompt.values()
    assert easy == [True, True]
    assert hard == [False] * 6, "at most so many tries"
    assert even == [True, False, True]
    assert counts(database, asked) | {"total": 11, "stored": 11, "pending": 0} == counts(database, asked)
    assert check_counts(database, asked)["stored"] == 11
    assert sum(call["n"] for call in fake.calls()) == 11


def test_the_pass_rate_of_each_prompt_and_teacher_is_kept_with_its_interval(database, asked):
    with database.read() as session:
        rates = pass_rates.page(session, asked, after=0, limit=10)
    assert [(rate.key, rate.teacher, rate.right, rate.tries) for rate in rates] == [
        ("1", "fake", 2, 2),
        ("2", "fake", 0, 6),
        ("3", "fake", 2, 3),
    ]
    assert rates[1].rate == 0
    assert rates[1].low == 0
    assert 0.3 < rates[1].high < 0.5


def test_a_budget_of_tokens_ends_the_tries(database, work, fake):
    fake.play(answers=ANSWERS)
    batch = submit(database, fake.base_url, [], rows=SUMS[1:2], n=50, accept_k=1, token_budget=10)
    work(lambda: state(database, batch) == "completed")
    spent = [trace.completion_tokens for trace in traces(database, batch)]
    assert sum(spent[:-1]) < 10 <= sum(spent)
    assert check_counts(database, batch)["total"] == len(spent)


def test_an_answer_that_was_cut_off_is_not_right(database, work, fake):
    fake.play(answers=[{"match": ".", "responses": ["42 " * 30]}])
    batch = submit(database, fake.base_url, [], rows=SUMS[:1], n=2, accept_k=1, sampling={"max_tokens": 5})
    work(lambda: state(database, batch) == "completed")
    assert [(trace.finish_reason, trace.accepted) for trace in traces(database, batch)] == [("length", False)] * 2


def test_a_prompt_that_has_enough_is_not_asked_again_after_a_crash(database, work, fake, asked):
    fake.play(answers=ANSWERS)
    with database.write() as session:
        session.connection().exec_driver_sql("update job set state = 'queued', total = 18")
        session.connection().exec_driver_sql("update batch set state = 'in_progress'")
    work(lambda: state(database, asked) == "completed")
    assert fake.calls() == []
    assert jobs(database, asked)[0].total == 11
    assert failures(database, asked) == []
