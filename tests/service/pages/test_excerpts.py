"""Excerpts: what is marked, how much stands around it, and that nothing is shown twice."""

from types import SimpleNamespace
from typing import Any

import pytest

from service.pages.excerpts import AROUND_CHARS, PER_PART_MAX, excerpts
from service.store.search import read


def found(query: str, **parts: Any) -> list[tuple[str, str, str, str]]:
    prompt = [{"role": "user", "content": parts.pop("prompt", "")}]
    trace = SimpleNamespace(**{"messages": prompt, "reasoning": "", "response": ""} | parts)
    return [tuple(excerpt) for excerpt in excerpts(trace, read(query))]


def test_a_word_is_marked_in_whichever_part_it_is() -> None:
    assert found("cat", prompt="A Cat?", reasoning="cats", response="the cat.") == [
        ("prompt", "A ", "Cat", "?"),
        ("response", "the ", "cat", "."),
    ]


@pytest.mark.parametrize(
    ("query", "text", "marked"),
    [
        ('"two words"', "two  words", "two  words"),
        ('"two words"', "two other words", None),
        ("cat*", "a category", "category"),
        ("a+b", "a - b", "a - b"),
        ("naïve", "so naïve", "naïve"),
        ("(.*", "anything", None),
    ],
)
def test_words_are_read_as_the_search_reads_them(query: str, text: str, marked: str | None) -> None:
    shown = found(query, response=text)
    assert [each[2] for each in shown] == ([] if marked is None else [marked])


def test_a_long_text_is_cut_around_and_a_few_places_are_enough() -> None:
    text = "x " * 500 + "cat " + "y " * 20 + "cat " + "z " * 500 + "cat " * 50
    shown = found("cat", reasoning=text)
    assert len(shown) == PER_PART_MAX
    assert all(len(before) <= AROUND_CHARS + 1 and len(after) <= AROUND_CHARS + 1 for _, before, _, after in shown)
    assert shown[0][1].startswith("…")
    assert shown[0][3].endswith("…")
    assert "cat" in shown[0][3], "the second one stands in the first stretch"
    assert shown[1][3].startswith(" cat cat")
