"""What a student is called, and the licences that have a say in it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from filters.licences.naming import begins, begun
from trainer.dataset import Folder, open_folder
from trainer.errors import TrainerError
from trainer.naming import student_name
from trainer.sft import Config


@pytest.fixture
def folder(dataset: Callable[..., Path]) -> Folder:
    return open_folder(dataset())


@pytest.mark.parametrize(
    ("knobs", "licences", "name"),
    [
        ({}, ["apache-2.0", ""], "base-tiny-sums-v3"),
        ({"suffix": "try"}, ["mit"], "base-tiny-sums-v3-try"),
        ({}, ["apache-2.0", "llama3.1"], "Llama-base-tiny-sums-v3"),
        ({"suffix": "try"}, ["llama3"], "Llama-3-base-tiny-sums-v3-try"),
        ({"name": "my sums"}, ["mit"], "my sums"),
        ({"name": "llama-3-sums"}, ["llama3", "llama3.1"], "llama-3-sums"),
    ],
)
def test_a_name_begins_as_the_licences_ask(folder: Folder, knobs: dict, licences: list[str], name: str) -> None:
    config = Config.model_validate({"student": "some/base"} | knobs)
    assert student_name(config, folder, licences) == name


def test_a_name_that_a_licence_forbids_is_refused_with_one_that_it_allows(folder: Folder) -> None:
    config = Config(student="some/base", name="sums")
    says = "begin with 'Llama 3', and 'sums' does not: call it 'Llama-3-sums'"
    with pytest.raises(TrainerError, match=says) as error:
        student_name(config, folder, ["mit", "llama3"])
    assert error.value.reason == "name_prefix"


def test_the_beginning_is_compared_as_hubs_spell_it() -> None:
    assert begins("Llama_3-sums", "Llama 3")
    assert not begins("Llama-2-sums", "Llama 3")
    assert begun("Llama-2-sums", ["llama3", "llama3.1"]) == "Llama-3-Llama-2-sums"
