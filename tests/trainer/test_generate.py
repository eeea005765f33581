"""Asking in batches gives what asking one by one gives."""

from pathlib import Path
from typing import Any

import pytest

from tests.trainer.tiny import make_row
from trainer.base import load_model, load_tokenizer, stop_tokens
from trainer.dialect import find_dialect
from trainer.generate import Asking, Reply, generate

PROMPTS = [make_row(number)["prompt"] for number in range(6)] + [[{"role": "user", "content": "How many?"}]]


class Student:
    def __init__(self, folder: Path) -> None:
        self.tokenizer: Any = load_tokenizer(folder)
        self.model: Any = load_model(folder, "float32", "cpu")
        self.dialect = find_dialect(self.tokenizer, "cot")
        self.stops = stop_tokens(folder, self.tokenizer)

    def ask(self, prompts: list[Any], **asking: Any) -> list[Reply]:
        asked = Asking(**{"stop_tokens": self.stops, "tokens_max": 8, "temperature": 0.0, **asking})
        return generate(self.model, self.tokenizer, self.dialect, prompts, asked)


@pytest.fixture(scope="module")
def tiny(student: Path) -> Student:
    return Student(student)


def test_a_batch_answers_as_its_prompts_alone_do(tiny: Student) -> None:
    together = tiny.ask(PROMPTS)
    assert together == [tiny.ask([prompt])[0] for prompt in PROMPTS]
    assert together == tiny.ask(PROMPTS, batch_size=2)
    assert {reply.tokens for reply in together} == {8}
    assert all(reply.truncated for reply in together)


def test_sampling_follows_its_seed(tiny: Student) -> None:
    first, again, other = (tiny.ask(PROMPTS, temperature=1.0, seed=seed) for seed in (1, 1, 2))
    assert first == again != other


def test_a_reply_ends_before_its_stop_token(tiny: Student) -> None:
    assert tiny.ask(PROMPTS[:1], stop_tokens=list(range(512))) == [Reply("", "", 0, truncated=False)]


def test_the_models_own_sampling_wishes_do_not_count(tiny: Student) -> None:
    from transformers import GenerationConfig

    plain = tiny.ask(PROMPTS, temperature=1.0)
    tiny.model.generation_config = GenerationConfig(do_sample=True, top_k=1, repetition_penalty=3.0)
    assert tiny.ask(PROMPTS, temperature=1.0) == plain


def test_no_prompt_is_no_reply(tiny: Student) -> None:
    assert tiny.ask([]) == []


def test_what_does_not_fit_in_memory_is_asked_in_smaller_batches(
    tiny: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    sizes: list[int] = []
    whole = tiny.model.generate

    def narrow(**inputs: Any) -> Any:
        sizes.append(len(inputs["input_ids"]))
        if sizes[-1] > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return whole(**inputs)

    expected = tiny.ask(PROMPTS)
    monkeypatch.setattr(tiny.model, "generate", narrow)
    assert tiny.ask(PROMPTS, batch_size=7) == expected
    assert sizes == [7, 3, 1, 1, 1, 1, 1, 1, 1]
