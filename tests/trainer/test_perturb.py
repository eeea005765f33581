"""Prompts are changed so that the same answer stays right, and always in the same way."""

import re
from typing import Any

import pytest

from trainer.perturb import PERTURBATIONS, POLITE, Perturbation, perturb

TEXT = "Maria Keller has 128 Apples, weighing 3.5 kg. She gives away 17. How many Apples remain?"


def ask(kind: Perturbation, text: str, system: str = "") -> Any:
    before = [{"role": "system", "content": system}] if system else []
    return perturb(kind, [*before, {"role": "user", "content": text}], 0)


@pytest.mark.parametrize(
    ("kind", "starts"),
    [
        ("whitespace", "\n\nMaria  Keller  has  128"),
        ("case", "maria keller has 128 apples, weighing 3.5 kg."),
        ("polite", POLITE + "Maria"),
        ("moved", "How many Apples remain? Maria Keller"),
    ],
)
def test_a_change_does_what_it_says(kind: Perturbation, starts: str) -> None:
    assert ask(kind, TEXT)[-1]["content"].startswith(starts)


@pytest.mark.parametrize("kind", PERTURBATIONS)
def test_numbers_stay_and_the_same_prompt_changes_in_the_same_way(kind: Perturbation) -> None:
    first, second = (ask(kind, TEXT)[-1]["content"] for _ in range(2))
    assert first == second != TEXT
    assert sorted(re.findall(r"[\d.]*\d", first)) == sorted(re.findall(r"[\d.]*\d", TEXT))
    assert " kg" in first


def test_a_typo_swaps_two_inner_letters() -> None:
    words = zip(TEXT.split(), ask("typos", TEXT)[-1]["content"].split(), strict=True)
    changed = [pair for pair in words if pair[0] != pair[1]]
    assert len(changed) == 1
    (before, after) = changed[0]
    assert sorted(before) == sorted(after)
    assert (before[0], before.rstrip("?.,")[-1]) == (after[0], after.rstrip("?.,")[-1])


@pytest.mark.parametrize("kind", ["whitespace", "case", "typos"])
def test_code_and_formulas_are_left_alone(kind: Perturbation) -> None:
    kept = ["`Return  Value`", "$\\Delta Xyz  Word$", "```py\nclass  Fooling: Pass\n```", "\\boxed"]
    changed = ask(kind, f"Explain Something about {kept[0]} and {kept[1]} here: {kept[2]} in {kept[3]}")
    assert all(part in changed[-1]["content"] for part in kept)


def test_an_instruction_of_the_system_moves_behind_the_question() -> None:
    (only,) = ask("moved", "1 + 1?", system="Answer in one word.")
    assert only == {"role": "user", "content": "1 + 1?\n\nAnswer in one word."}


@pytest.mark.parametrize(
    ("kind", "text"),
    [("moved", "How many?"), ("moved", "A list:\n- one. Two."), ("case", "all of it is low"), ("typos", "12 + 3 = ?")],
)
def test_what_a_change_does_not_reach_is_not_asked_again(kind: Perturbation, text: str) -> None:
    assert ask(kind, text) is None
    assert perturb(kind, [{"role": "assistant", "content": TEXT}], 0) is None
