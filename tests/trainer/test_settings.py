"""Settings are checked before anything is loaded; a misspelt one is named with the one that was meant."""

from pathlib import Path
from typing import Any

import pytest

from service.methods import METHODS as KNOWN
from trainer.config import pick_learning_rate
from trainer.errors import TrainerError
from trainer.methods import METHODS
from trainer.settings import read_file, read_settings


@pytest.mark.parametrize(
    ("settings", "changes", "reason", "told"),
    [
        ({"learning_rat": 1e-4}, [], "unknown_knob", "did you mean learning_rate?"),
        ({"lora": {"rnak": 8}}, [], "unknown_knob", "lora.rnak is not a setting of sft; did you mean lora.rank?"),
        ({}, ["evaluation.token_max=9"], "unknown_knob", "did you mean evaluation.tokens_max?"),
        ({"epochs": -1}, [], "invalid_knob", "epochs: Input should be greater than 0"),
        ({"learning_rate": "fast"}, [], "invalid_knob", "learning_rate"),
        ({}, ["epochs"], "invalid_knob", "KNOB=VALUE"),
        ({"method": "soft_label"}, [], "other_method", "soft_label"),
    ],
)
def test_a_wrong_setting_is_named(settings: dict[str, Any], changes: list[str], reason: str, told: str) -> None:
    with pytest.raises(TrainerError) as refused:
        read_settings("sft", settings, changes, "a/b")
    assert refused.value.reason == reason
    assert told in str(refused.value)


def test_a_run_needs_a_student() -> None:
    with pytest.raises(TrainerError, match="--student"):
        read_settings("sft", {})


def test_changes_win_over_the_file_and_the_option_over_both() -> None:
    config = read_settings(
        "sft", {"student": "a", "epochs": 2, "method": "sft"}, ["epochs=5", "lora.rank=8", "learning_rate=1e-4"], "b"
    )
    assert (config.student, config.epochs, config.learning_rate) == ("b", 5, 1e-4)
    assert config.lora is not None
    assert config.lora.rank == 8


@pytest.mark.parametrize("text", ["epochs: 2\nlora: {rank: 4}\n", '{"epochs": 2, "lora": {"rank": 4}}'])
def test_yaml_and_json_are_read_alike(tmp_path: Path, text: str) -> None:
    (tmp_path / "config").write_text(text)
    assert read_file(tmp_path / "config") == {"epochs": 2, "lora": {"rank": 4}}


@pytest.mark.parametrize("text", ["a: [", "just words", None])
def test_an_unreadable_file_is_refused(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "config").write_text(text)
    with pytest.raises(TrainerError) as refused:
        read_file(tmp_path / "config")
    assert refused.value.reason == "config_unreadable"


@pytest.mark.parametrize(
    ("parameters", "lora", "rate"),
    [
        (370_000, False, 2e-3),
        (1_000_000, False, 2e-3),
        (31_622_777, False, 2e-4),
        (1_000_000_000, False, 2e-5),
        (70_000_000_000, False, 2e-5),
        (8_000_000_000, True, 2e-4),
        (370_000, True, 2e-3),
    ],
)
def test_the_learning_rate_falls_with_size(parameters: int, lora: bool, rate: float) -> None:
    assert pick_learning_rate("auto", parameters, lora=lora) == rate


def test_a_stated_learning_rate_stands() -> None:
    assert pick_learning_rate(0.5, 10**9, lora=True) == 0.5


def test_the_service_knows_the_methods_word_for_word():
    assert {name: method.summary for name, method in METHODS.items()} == KNOWN
