"""Rows are rendered as the student will read them; what it would learn wrongly from is refused, never cut."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.trainer.tiny import TEMPLATE, make_row
from trainer.base import load_tokenizer, stop_tokens
from trainer.dataset import open_folder
from trainer.dialect import Dialect, find_dialect
from trainer.errors import TrainerError
from trainer.prepare import Prepared, prepare
from trainer.render import IGNORED, PROBLEMS, Renderer
from trainer.sft import Config
from trainer.supervisor import Supervisor

Build = Callable[..., Path]
QWEN3 = TEMPLATE.replace("KEY", "reasoning_content")
SAYS_HELLO_FIRST = QWEN3.replace("'<|im_start|>assistant\\n' }}{% endif %}", "'<|im_start|>model\\n' }}{% endif %}")
NEVER_STOPS = QWEN3.replace("message.content + '<|im_end|>\\n'", "message.content + '\\n'")
SHOUTS = QWEN3.replace("{{- message.content +", "{{- message.content | upper +")
HIDES_REPLIES = "{%- for m in messages if m.role != 'assistant' %}{{- m.content }}{% endfor %}"


def renderer(student: Path, template: str = QWEN3) -> Renderer:
    tokenizer: Any = load_tokenizer(student)
    dialect = find_dialect(tokenizer, "cot")
    tokenizer.chat_template = template
    return Renderer(tokenizer, dialect, stop_tokens(student, tokenizer))


def columns(*rows: dict[str, Any]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in ("prompt", "completion")}


def prepared(student: Path, folder: Path, out: Path, **knobs: Any) -> tuple[Prepared, list[dict[str, Any]]]:
    events: list[dict[str, Any]] = []
    out.mkdir(exist_ok=True)
    config = Config(student=str(student), **knobs)
    return prepare(config, open_folder(folder), out, Supervisor(listener=events.append)), events


def test_only_the_reply_is_in_the_loss(student: Path) -> None:
    row = make_row(5)
    made = renderer(student)
    rendered = made(columns(row))
    tokens, labels = rendered["input_ids"][0], rendered["labels"][0]
    learnt = made.tokenizer.decode([token for token in labels if token != IGNORED])
    assert learnt == f"<think>\n{row['reasoning']}\n</think>\n\n{row['response']}<|im_end|>\n"
    assert len(tokens) == len(labels) == rendered["tokens"][0]
    assert rendered["reply_tokens"][0] == sum(label != IGNORED for label in labels)
    assert rendered["problems"] == [[]]


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        (SAYS_HELLO_FIRST, "prompt_not_prefix"),
        (HIDES_REPLIES, "empty_loss"),
        (TEMPLATE.replace("KEY", "thinking"), "reasoning_lost"),
        (SHOUTS, "response_lost"),
        (NEVER_STOPS, "no_stop_token"),
    ],
)
def test_a_row_that_renders_wrongly_says_how(student: Path, template: str, problem: str) -> None:
    assert renderer(student, template)(columns(make_row(5)))["problems"][0][0] == problem
    assert problem in PROBLEMS


def test_a_response_without_reasoning_is_sound(student: Path) -> None:
    assert renderer(student)(columns(make_row(5, reasoning="")))["problems"] == [[]]


def test_answer_only_leaves_the_reasoning_out(student: Path) -> None:
    made = renderer(student)
    silent = Renderer(made.tokenizer, Dialect(None, "", "", {}), made.stop_tokens)
    rendered = silent(columns(make_row(5)))
    assert rendered["problems"] == [[]]
    assert "starts with" not in made.tokenizer.decode(rendered["input_ids"][0])


def test_tokens_and_labels_are_those_trl_makes(student: Path, dataset: Build, tmp_path: Path) -> None:
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer  # pyright: ignore[reportPrivateImportUsage]

    rows = [make_row(number) for number in range(8)]
    ours, _ = prepared(student, dataset(rows), tmp_path / "out")
    arguments = SFTConfig(str(tmp_path / "trl"), bf16=False, use_cpu=True, report_to="none", max_length=None)
    source = Dataset.from_list([{"prompt": row["prompt"], "completion": row["completion"]} for row in rows])
    theirs: Any = SFTTrainer(str(student), args=arguments, train_dataset=source).train_dataset
    assert list(ours.rows["input_ids"]) == list(theirs["input_ids"])
    assert list(ours.rows["labels"]) == list(theirs["labels"])


def test_a_bad_row_is_named(student: Path, dataset: Build, tmp_path: Path) -> None:
    template = tmp_path / "template.jinja"
    template.write_text(
        QWEN3.replace("message.content + '<|im_end|>", "message.content | replace('63', '') + '<|im_end|>")
    )
    bad = make_row(77, response="The answer is 63.")
    with pytest.raises(TrainerError, match="row 77 cannot be trained on: its response is not") as refused:
        prepared(
            student, dataset([make_row(1, response="It is 5."), bad]), tmp_path / "out", chat_template=str(template)
        )
    assert refused.value.reason == "response_lost"


def test_the_longest_row_sets_the_length(student: Path, dataset: Build, tmp_path: Path) -> None:
    long = make_row(3, reasoning="She counts. " * 20)
    found, events = prepared(student, dataset([make_row(1), long]), tmp_path / "out")
    assert found.tokens_max == max(found.rows["tokens"]) < 512
    assert events[0]["event"] == "rendered"
    assert (events[0]["rows"], events[0]["dropped"]) == (2, 0)


def test_a_row_of_9000_tokens_is_refused_and_not_cut(student: Path, dataset: Build, tmp_path: Path) -> None:
    long = make_row(3, reasoning="7 " * 4500)
    with pytest.raises(TrainerError) as refused:
        prepared(student, dataset([make_row(1), long]), tmp_path / "out")
    assert refused.value.reason == "would_be_cut"
    assert "1 of 2 rows are longer than 512 tokens" in str(refused.value)
    assert "row 3 has 90" in str(refused.value)


def test_a_row_of_just_the_length_fits(student: Path, dataset: Build, tmp_path: Path) -> None:
    rows = [make_row(1), make_row(3, reasoning="She counts. " * 20)]
    tokens = max(renderer(student)(columns(*rows))["tokens"])
    found, _ = prepared(student, dataset(rows), tmp_path / "fits", max_length=tokens)
    assert len(found.rows) == 2
    with pytest.raises(TrainerError, match=f"longer than {tokens - 1} tokens"):
        prepared(student, dataset(rows), tmp_path / "cut", max_length=tokens - 1)


def test_rows_that_do_not_fit_can_be_set_aside_with_the_reason(student: Path, dataset: Build, tmp_path: Path) -> None:
    folder = dataset([make_row(1), make_row(3, reasoning="7 " * 4500)])
    found, events = prepared(student, folder, tmp_path / "out", on_unfit="drop_to_rejected")
    assert list(found.rows["id"]) == [1]
    assert events[0]["dropped"] == 1
    (rejected,) = pq.read_table(tmp_path / "out" / "rejected.parquet").to_pylist()
    assert (rejected["id"], rejected["filter"], rejected["reason"]) == (3, "trainer", "would_be_cut")
    assert rejected["reasoning"] == "7 " * 4500
    assert "at most 512 fit" in rejected["detail"]
    assert json.loads(rejected["evidence"])["problems"] == ["would_be_cut"]


def test_short_rows_can_come_first(student: Path, dataset: Build, tmp_path: Path) -> None:
    rows = [make_row(1, reasoning="She counts. " * times) for times in (9, 1, 5)]
    found, _ = prepared(student, dataset(rows), tmp_path / "out", order="short_first")
    assert list(found.rows["tokens"]) == sorted(found.rows["tokens"])
