"""What is trained on is, token for token, what TRL's SFTTrainer makes of the same rows, whatever the template."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.trainer.families import FAMILIES, conversations, make_family
from trainer.base import load_tokenizer, stop_tokens
from trainer.dialect import Completion, Dialect
from trainer.gate import find_or_show
from trainer.render import Renderer
from trainer.unfit import judge

LENGTH = 160


def load(student: Path, name: str, folder: Path, completion: Completion = "cot") -> tuple[Renderer, bool]:
    path = make_family(student, name, folder / name)
    tokenizer: Any = load_tokenizer(path)
    dialect, survives = find_or_show(tokenizer, completion)
    return Renderer(tokenizer, dialect, stop_tokens(path, tokenizer)), survives


def columns(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in ("prompt", "completion")}


def as_trl_reads(rows: list[dict[str, Any]], dialect: Dialect) -> list[dict[str, Any]]:
    made = []
    for row in rows:
        (reply,) = row["completion"]
        message = dialect.message(reply["reasoning_content"], reply["content"])
        made.append({"prompt": row["prompt"], "completion": [message], "chat_template_kwargs": dialect.template_kwargs})
    return made


@pytest.mark.filterwarnings("ignore:The `'keep_end'` truncation mode is deprecated:FutureWarning")
@pytest.mark.parametrize("completion", ["cot", "answer_only"])
@pytest.mark.parametrize("name", FAMILIES)
def test_tokens_and_labels_are_trls_and_what_trl_would_cut_is_named(
    name: str, completion: Completion, student: Path, tmp_path: Path
) -> None:
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer  # pyright: ignore[reportPrivateImportUsage]

    made, _ = load(student, name, tmp_path, completion)
    rows = conversations()
    ours = made(columns(rows))
    assert not any(ours["detail"])
    source = Dataset.from_list(as_trl_reads(rows, made.dialect))
    arguments = SFTConfig(str(tmp_path / "trl"), bf16=False, use_cpu=True, report_to="none", max_length=None)
    options = {"processing_class": made.tokenizer, "train_dataset": source}
    trainer: Any = SFTTrainer(str(tmp_path / name), args=arguments, **options)
    whole = trainer.train_dataset
    assert list(whole["input_ids"]) == ours["input_ids"]
    assert list(whole["labels"]) == ours["labels"]
    padded = trainer.data_collator([whole[place] for place in (0, 5)])
    pairs = zip(ours["input_ids"], ours["labels"], strict=True)
    examples = [{"input_ids": ids, "labels": labels} for ids, labels in pairs]
    mine = trainer.data_collator([examples[0], examples[5]])
    assert set(padded) == set(mine)
    assert all(padded[key].equal(mine[key]) for key in padded)

    facts = zip(ours["tokens"], ours["reply_tokens"], strict=True)
    cut = [judge([], "", *fact, LENGTH) is not None for fact in facts]
    assert 0 < sum(cut) < len(cut)
    for mode in ("keep_start", "keep_end"):
        shorter = replace(arguments, max_length=LENGTH, truncation_mode=mode)
        theirs: Any = SFTTrainer(str(tmp_path / name), args=shorter, **options).train_dataset
        left = iter([{"input_ids": row["input_ids"], "labels": row["labels"]} for row in theirs])
        side = slice(None, LENGTH) if mode == "keep_start" else slice(-LENGTH, None)
        for example, is_cut in zip(examples, cut, strict=True):
            if not is_cut:
                assert next(left) == example
            elif any(label != -100 for label in example["labels"][side]):
                assert next(left)["input_ids"] == example["input_ids"][side] != example["input_ids"]
        assert next(left, None) is None  # TRL drops without a word what its cut leaves nothing to learn of


@pytest.mark.parametrize("name", FAMILIES)
def test_reasoning_goes_where_the_family_reads_it_or_its_loss_is_told(name: str, student: Path, tmp_path: Path) -> None:
    family = FAMILIES[name]
    made, survives = load(student, name, tmp_path)
    rows = conversations()
    problems = made(columns(rows))["problems"]
    assert (made.dialect.key if survives else None) == family.key
    if survives:
        assert problems == [[]] * len(rows)
        return
    assert [row["id"] for row, found in zip(rows, problems, strict=True) if "reasoning_lost" not in found] == [1, 7]
    assert all("prompt_not_prefix" in found for found in problems)


def test_a_row_that_the_template_refuses_is_named_with_its_words(student: Path, tmp_path: Path) -> None:
    made, _ = load(student, "gemma", tmp_path)
    rows = conversations()[:2]
    rows[0]["prompt"] = [*rows[0]["prompt"], *rows[0]["prompt"]]
    rendered = made(columns(rows))
    assert rendered["problems"] == [["template_refused"], []]
    assert "turns must alternate" in rendered["detail"][0]


def test_a_reply_that_quotes_the_stop_token_is_named(student: Path, tmp_path: Path) -> None:
    made, _ = load(student, "chatml", tmp_path)
    row = conversations()[0]
    row["completion"][0]["content"] = "A turn ends with <|im_end|> in this format, and here the answer goes on."
    assert made(columns([row]))["problems"] == [["stops_early"]]
