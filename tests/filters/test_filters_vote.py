import pytest

from filters.recipe import Recipe
from filters.stages import run
from filters.vote import Vote


@pytest.fixture
def vote(sample):
    """Return the reasons for the answers of one prompt."""

    def judged(answers, **knobs):
        samples = [sample(id=at, prompt_id=7, response=answer, reference=None) for at, answer in enumerate(answers)]
        return [verdict.reason for verdict in Vote(**knobs).judge(samples)]

    return judged


@pytest.mark.parametrize(
    ("answers", "knobs", "reasons"),
    [
        ([r"\boxed{42}", "The answer is 42.", "#### 41"], {}, ["", "", "minority"]),
        ([r"\boxed{1/2}", r"\boxed{0.5}", r"\boxed{\frac{2}{4}}", r"\boxed{2}"], {}, ["", "", "", "minority"]),
        (["42", "42"], {}, ["too_few_answers"] * 2),
        (["42", "42", ""], {}, ["too_few_answers"] * 3),
        (["42", "42", ""], {"votes_min": 2}, ["", "", "no_answer"]),
        (["42", "42", "41", "41"], {}, ["no_majority"] * 4),
        (["42", "42", "41"], {"share_min": 0.7}, ["no_majority"] * 3),
        (["42", "42", "42", "41"], {"share_min": 0.75}, ["", "", "", "minority"]),
        (["B", "The answer is (B).", "C. Paris"], {"compare": "choice"}, ["", "", "minority"]),
        (["Paris", " paris.", "Rome"], {"compare": "exact"}, ["", "", "minority"]),
    ],
)
def test_answers_that_disagree_with_the_majority_are_rejected(vote, answers, knobs, reasons):
    assert vote(answers, **knobs) == reasons


def test_answers_spelt_differently_are_compared_as_mathematics(vote):
    spelt = [r"\boxed{x + 1}", r"\boxed{1 + x}", r"\boxed{x - 1}"]
    assert vote(spelt, timeout_s=60) == ["", "", "minority"]


def test_a_minority_shows_the_majoritys_answer_and_the_count(sample):
    samples = [sample(prompt_id=1, response=answer, reference=None) for answer in ("42", "41", "42")]
    verdict = list(Vote().judge(samples))[1]
    assert verdict.evidence == {"majority": "42", "votes": 2, "of": 3, "extracted": "41"}


def test_the_order_of_the_answers_changes_no_verdict(sample):
    answers = ["1", "2", "2.0", "3", "2", "4/2", "5"]
    for turn in range(len(answers)):
        turned = answers[turn:] + answers[:turn]
        samples = [sample(prompt_id=1, response=answer, reference=None) for answer in turned]
        said = {answer: verdict.reason for answer, verdict in zip(turned, Vote().judge(samples), strict=True)}
        assert {answer for answer, reason in said.items() if not reason} == {"2", "2.0", "4/2"}


def test_prompts_vote_apart_and_those_with_a_reference_not_at_all(sample):
    one = [sample(id=at, prompt_id=1, response=answer, reference=None) for at, answer in enumerate(["1", "1", "2"])]
    known = [sample(id=9, prompt_id=2, response="7", reference="8")]
    two = [sample(id=at, prompt_id=3, response=answer, reference=" ") for at, answer in enumerate(["2", "2", "1"])]
    recipe = Recipe.parse({"filters": [{"kind": "vote"}]})
    assert [row.verdict.reason for row in run(recipe, [*one, *known, *two])] == [
        "",
        "",
        "minority",
        "",
        "",
        "",
        "minority",
    ]


def test_a_prompt_is_decided_before_the_next_but_one_is_read(sample):
    read = []

    def samples():
        for at in range(3000):
            read.append(at)
            yield sample(id=at, prompt_id=at // 3, response="1", reference=None)

    verdicts = Vote().judge(samples())
    assert [next(verdicts).reason for _ in range(3)] == [""] * 3
    assert len(read) <= 4
    verdicts.close()
