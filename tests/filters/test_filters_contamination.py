"""Test questions in traces: each method's side of its boundary, and what the evidence shows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.benchmarks import Line, read, write
from filters.contamination import Contamination
from filters.grams import _runs, words

QUESTION = (
    "A florist has 48 tulips and 36 daffodils. She puts the same number of each kind into every vase, uses all of "
    "them, and fills as many vases as she can. How many tulips are there in each of her vases?"
)
OFF = {"ngram8": "off", "ngram13": "off", "ngram32_digits": "off", "fuzzy": "off"}
WORDS = QUESTION.split()


@pytest.fixture
def judge(tmp_path, sample):
    """Judge a prompt, response alone being empty, against benchmark lines."""

    def run(prompt, lines=(QUESTION,), response="", **knobs):
        written = write([Line(number, text) for number, text in enumerate(lines, start=7)], tmp_path)
        contamination = Contamination(benchmarks=(f"florist@{written.sha256}",), **knobs).with_files(tmp_path)
        messages = [{"role": "user", "content": prompt}]
        return contamination.check(sample(messages=messages, response=response, reasoning=""))

    return run


@pytest.mark.parametrize(
    ("method", "shared", "found"),
    [("ngram8", 7, False), ("ngram8", 8, True), ("ngram13", 12, False), ("ngram13", 13, True)],
)
def test_a_phrase_counts_from_its_length_on(judge, method, shared, found):
    prompt = " ".join(["Say", *WORDS[3 : 3 + shared], "tomorrow"])
    verdict = judge(prompt, **OFF | {method: "exclude"})
    assert verdict.reason == (f"contaminated_{method}" if found else "")


def test_the_evidence_shows_both_texts_and_where_they_are(judge):
    verdict = judge("Tell me. " + QUESTION.upper(), **OFF | {"ngram13": "exclude"})
    (hit,) = verdict.evidence["hits"]
    assert (hit["benchmark"], hit["line"], hit["in"], hit["line_text"]) == ("florist", 7, "prompt", QUESTION)
    assert hit["matched"].startswith("a florist has 48 tulips")
    assert hit["matched"].endswith("in each of her vases")


@pytest.mark.parametrize(
    ("word", "other", "found"), [("48", "48", True), ("48", "1,234.5", True), ("kind", "5", False)]
)
def test_other_figures_hide_nothing_from_the_method_without_digits(judge, word, other, found):
    prompt = QUESTION.replace(word, other)
    assert bool(judge(prompt, **OFF | {"ngram32_digits": "exclude"}).reason) == found


@pytest.mark.parametrize(("prompt", "found"), [("What is 9 plus 4?", True), ("So: what is 9 plus 4?", False)])
def test_a_line_shorter_than_the_phrase_is_found_only_as_a_whole_message(judge, prompt, found):
    verdict = judge(prompt, lines=["What is 9 plus 4?"], **OFF | {"ngram13": "exclude"})
    assert bool(verdict.reason) == found


@pytest.mark.parametrize(("every", "found"), [(6, True), (2, False)])
def test_fuzzy_finds_a_line_with_some_words_changed(judge, every, found):
    changed = ["thing" if place % every == 0 else word for place, word in enumerate(WORDS, start=1)]
    verdict = judge("Please solve this one for me now. " + " ".join(changed), **OFF | {"fuzzy": "exclude"})
    assert bool(verdict.reason) == found
    if found:
        (hit,) = verdict.evidence["hits"]
        assert 0.8 <= hit["similarity"] < 1
        assert "has 48 tulips thing 36 daffodils" in hit["matched"]


def test_fuzzy_finds_a_line_deep_in_a_long_text(judge):
    changed = QUESTION.replace("florist", "baker").replace("vase", "tray")
    text = f"{'well then ' * 3000} {changed} {'and so on ' * 3000}"
    verdict = judge("Hi", response=text, **OFF | {"fuzzy": "exclude"})
    assert verdict.evidence["hits"][0]["in"] == "response"


def test_an_excluding_method_decides_and_every_hit_is_kept_beside_it(judge):
    verdict = judge(QUESTION)
    assert verdict.reason == "contaminated_ngram13"
    assert {hit["method"] for hit in verdict.evidence["hits"]} == {"ngram13", "ngram8", "ngram32_digits", "fuzzy"}


def test_a_noting_method_keeps_and_says_so(judge):
    verdict = judge(QUESTION, **OFF | {"ngram8": "note"})
    assert (verdict.outcome, verdict.reason) == ("keep", "noted_ngram8")
    assert verdict.evidence["hits"]


@pytest.mark.parametrize(("lines", "found"), [(3, True), (4, False)])
def test_a_phrase_in_many_lines_is_the_benchmarks_template(judge, lines, found):
    template = "Answer the following question with one of the letters A to D and nothing else at all:"
    benchmark = [f"{template} item{number}" for number in range(lines)]
    assert bool(judge(f"{template} mine", lines=benchmark, **OFF | {"ngram13": "exclude"}, lines_max=3).reason) == found


def test_text_without_spaces_is_compared_by_its_characters(judge):
    question = "花店有四十八朵郁金香和三十六朵水仙花每个花瓶里各放同样多的花"
    assert judge(f"请问。{question}。", lines=[question]).reason == "contaminated_ngram13"


def test_a_changed_or_missing_file_and_an_unpinned_name_are_errors(tmp_path, sample):
    written = write([Line(1, QUESTION)], tmp_path)
    assert read(tmp_path, f"x@{written.sha256}") == [Line(1, QUESTION)]
    (tmp_path / f"{written.sha256}.jsonl").write_text("{}\n")
    for name, said in (
        (f"x@{written.sha256}", "was changed"),
        (f"x@{'0' * 64}", "is not in"),
        ("x", "expected NAME@SHA256"),
    ):
        with pytest.raises(ValueError, match=said):
            Contamination(benchmarks=(name,)).with_files(tmp_path).check(sample())


@given(st.text(alphabet="aB1,. -_0é字", max_size=80), st.booleans())
def test_plain_texts_have_the_same_words_by_the_short_way(text, digits):
    long_way = words(f"{text} é", digits=digits)
    assert [*words(text, digits=digits).spelt, "é"] == long_way.spelt
    assert words(text, digits=digits).hashes.tolist() == long_way.hashes.tolist()[:-1]


@given(st.lists(st.integers(0, 2**64 - 1), max_size=40), st.sampled_from([1, 2, 8, 13, 32]))
def test_runs_are_hashed_as_polynomials(pieces, length):
    found = _runs(np.array(pieces, dtype=np.uint64), length).tolist()
    base = 0x9E3779B97F4A7C15
    runs = [pieces[start : start + length] for start in range(len(pieces) - length + 1)]
    assert found == [sum(piece * base ** (length - 1 - at) for at, piece in enumerate(run)) % 2**64 for run in runs]


@pytest.mark.parametrize("text", ["{" * 1_000_000, "7" * 1_000_000, "a b " * 250_000, "\ud800 " * 100_000])
def test_a_megabyte_of_anything_is_judged(judge, text):
    assert judge(text, response=text).outcome == "keep"
