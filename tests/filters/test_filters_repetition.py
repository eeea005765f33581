import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.repetition import Repetition

WORDS = [f"word{number}" for number in range(1200)]
VARIED = " ".join(WORDS)


def judged(sample, **changes):
    return Repetition().check(sample(**changes))


def test_varied_text_is_kept(sample):
    assert judged(sample, reasoning=VARIED, response=VARIED).outcome == "keep"


@pytest.mark.parametrize(("times", "reason"), [(4, ""), (5, "repeated_tail")])
def test_a_piece_repeated_to_the_end_is_a_loop_from_the_fifth_time(sample, times, reason):
    assert judged(sample, reasoning=VARIED + " wait, let me check that again from the start" * times).reason == reason


def test_the_evidence_names_the_piece_its_count_and_its_place(sample):
    verdict = judged(sample, response=VARIED + "\nI think so, or perhaps not. " * 20)
    assert verdict.evidence["count"] in (19, 20)
    assert verdict.evidence["in"] == "response"
    assert sorted(verdict.evidence["piece"].split()) == sorted(["I", "think", "so,", "or", "perhaps", "not."])


def test_a_loop_cut_in_the_middle_of_its_piece_is_found(sample):
    loop = "and then the number is divided by three. " * 30
    assert judged(sample, reasoning=VARIED + loop[:-17]).reason == "repeated_tail"


@pytest.mark.parametrize("unit", ["a", "ab ", "0", "\\", "é"])
def test_a_short_string_repeated_to_the_limit_is_found(sample, unit):
    assert judged(sample, response=VARIED + unit * 5000).reason == "repeated_tail"


@pytest.mark.parametrize("ending", ["-" * 150, "}\n" * 60, "| --- " * 30, "no no no no no no no no"])
def test_rules_brackets_and_tables_are_no_loops(sample, ending):
    assert judged(sample, response=VARIED + "\n" + ending).outcome == "keep"


def lines(share: float) -> str:
    """Return 100 lines of equal length of which this share repeats the first, spread through the text."""
    count = round(share * 100)
    fresh = [f"line number {number:04d} says something of its own" for number in range(100 - count)]
    middle = len(fresh) // 2
    return "\n".join([*fresh[:middle], *[fresh[0]] * count, *fresh[middle:]])


@pytest.mark.parametrize(("share", "reason"), [(0.3, ""), (0.31, "repeated_lines")])
def test_repeated_lines_are_rejected_above_the_share(sample, share, reason):
    repetition = Repetition(ngram_share_max=1)
    assert repetition.check(sample(reasoning=lines(share))).reason == reason


def test_repeated_lines_name_the_line(sample):
    verdict = Repetition(ngram_share_max=1).check(sample(reasoning=lines(0.4)))
    assert verdict.evidence["piece"] == "line number 0000 says something of its own"
    assert verdict.evidence["count"] == 41


def phrases(words: int) -> str:
    """Return 300 words of which this many lie in phrases said before, with new words between the phrases."""
    said = WORDS[:20]
    rest = iter(WORDS[20:])
    text = [*said, next(rest)]
    for _ in range(words // 20):
        text += [*said, next(rest)]
    return " ".join(text + [next(rest) for _ in range(300 - len(text))])


@pytest.mark.parametrize(("words", "reason"), [(80, ""), (100, "repeated_ngrams")])
def test_repeated_phrases_are_rejected_above_the_share(sample, words, reason):
    assert judged(sample, reasoning=phrases(words)).reason == reason


def test_an_answer_said_twice_is_kept(sample):
    assert judged(sample, response="The answer is 42 because six sevens make it so.\n" * 2).outcome == "keep"


def test_both_texts_are_judged_and_the_reasoning_first(sample):
    looped = VARIED + " so again and again" * 40
    assert judged(sample, reasoning=looped, response=looped).evidence["in"] == "reasoning"
    assert judged(sample, response=looped).evidence["in"] == "response"


@given(st.text(alphabet="ab \n", max_size=600))
def test_any_text_gets_a_verdict_with_a_piece_that_is_in_it(sample, text):
    verdict = Repetition(chars_min=20).check(sample(reasoning=text, response=""))
    if verdict.outcome == "reject":
        assert " ".join(verdict.evidence["piece"].split()) in " ".join(text.split())
        assert 0 < verdict.evidence["share"] <= 1


def test_a_megabyte_of_one_character_is_judged_quickly(sample):
    assert judged(sample, response="a" * 1_000_000).reason == "repeated_tail"
