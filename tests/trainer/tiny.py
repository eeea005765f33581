"""A tiny random student and small dataset folders, made on the spot: no download, no trained weights."""

import hashlib
import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

TEMPLATE = """\
{%- for message in messages %}
{%- if message.role == 'assistant' %}
{{- '<|im_start|>assistant\\n' }}
{%- if message.KEY %}{{- '<think>\\n' + message.KEY + '\\n</think>\\n\\n' }}{% endif %}
{{- message.content + '<|im_end|>\\n' }}
{%- else %}
{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{% endif %}"""
"""In the manner of Qwen3; KEY stands for the name under which it reads the reasoning."""

ITEMS = ["apples", "pens", "coins", "books", "shells"]
PLACES = ["in a box", "on a shelf", "in a bag"]


def make_row(number: int, **changes: Any) -> dict[str, Any]:
    """A row as the service exports it: a sum or a difference, its answer boxed."""
    dice = random.Random(number)
    first, second = dice.randint(10, 99), dice.randint(1, 9)
    category = "add" if number % 2 else "subtract"
    result = first + second if category == "add" else first - second
    verb, sign = ("finds", "+") if category == "add" else ("loses", "-")
    row: dict[str, Any] = {
        "prompt": f"Ann has {first} {dice.choice(ITEMS)} {dice.choice(PLACES)} and {verb} {second}. How many now?",
        "reasoning": f"She starts with {first}. {first} {sign} {second} = {result}.",
        "response": f"The answer is \\boxed{{{result}}}.",
        "reference": str(result),
    } | changes
    tokens = len(row["prompt"].split())
    return {
        "prompt": [{"role": "user", "content": row["prompt"]}],
        "completion": [
            {"role": "assistant", "reasoning_content": row["reasoning"] or None, "content": row["response"]}
        ],
        "id": number,
        "prompt_id": number,
        "category": category,
        "teacher": "tiny-teacher",
        "license": "apache-2.0",
        "reasoning": row["reasoning"],
        "response": row["response"],
        "reference": row["reference"],
        "verifier": "math",
        "source": "test",
        "sample_index": 0,
        "finish_reason": "stop",
        "prompt_tokens": tokens,
        "completion_tokens": 2 * tokens,
        "batch": "batch-1",
    }


def write_part(folder: Path, path: str, rows: list[dict[str, Any]], schema: pa.Schema) -> dict[str, Any]:
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), target)
    data = target.read_bytes()
    return {"path": path, "sha256": hashlib.sha256(data).hexdigest(), "rows": len(rows), "bytes": len(data)}


def write_dataset(
    folder: Path,
    train: list[dict[str, Any]],
    evaluate: list[dict[str, Any]] = [],  # noqa: B006
    test: list[dict[str, Any]] = [],  # noqa: B006
    rejected: list[dict[str, Any]] = [],  # noqa: B006
    decision: str = "allowed_with_duties",
) -> Path:
    """A sealed dataset version as a folder, its manifest counting what is in it."""
    schema = pa.Table.from_pylist([make_row(1)]).schema
    extra = [pa.field(name, pa.string()) for name in ("filter", "reason", "detail", "evidence", "split")]
    rejected_schema = pa.schema([*schema, *extra])
    splits = {"train": train, "eval": evaluate, "test": test}
    kept = len(train) + len(evaluate) + len(test)
    total = kept + len(rejected)
    manifest = {
        "dataset": "tiny-sums",
        "version": 3,
        "sha256": hashlib.sha256(json.dumps(train).encode()).hexdigest(),
        "batches": ["batch-1"],
        "recipe": {"filters": [{"kind": "verified"}], "on_abstain": "reject"},
        "teachers": [{"name": "tiny-teacher", "model": "tiny/teacher", "license": "apache-2.0"}],
        "input": total,
        "kept": kept,
        "funnel": [
            {
                "kind": "verified",
                "version": 1,
                "knobs": {},
                "input": total,
                "kept": kept,
                "rejected": len(rejected),
                "abstained": 0,
                "reasons": {"wrong_answer": len(rejected)} if rejected else {},
            }
        ],
        "splits": {
            name: [write_part(folder, f"data/{name}-00000.parquet", rows, schema)]
            for name, rows in splits.items()
            if rows
        },
        "rejected": write_part(folder, "rejected.parquet", rejected, rejected_schema),
        "licence": {"decision": decision, "intended_use": "research", "duties": ["Name the teacher."]},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2))
    return folder


def write_student(
    folder: Path,
    key: str = "reasoning_content",
    hidden: int = 32,
    layers: int = 2,
    positions: int = 512,
    template: str | None = None,
) -> Path:
    """A Qwen3 of random weights with a byte-level BPE tokenizer trained on the rows above."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    texts = [
        f"{row['prompt'][0]['content']}\n{row['reasoning']}\n{row['response']}" for row in map(make_row, range(99))
    ]
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=420,
            special_tokens=special,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    fast: Any = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    fast.add_tokens(["<think>", "</think>"])
    fast.chat_template = template or TEMPLATE.replace("KEY", key)
    torch.manual_seed(7)
    model = Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=512,
            hidden_size=hidden,
            num_hidden_layers=layers,
            intermediate_size=3 * hidden,
            num_attention_heads=max(1, hidden // 32),
            num_key_value_heads=1,
            head_dim=32,
            max_position_embeddings=positions,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=fast.eos_token_id,
            pad_token_id=fast.pad_token_id,
        )
    )
    model.save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


def weights_of(folder: Path) -> dict[str, Any]:
    """The tensors of a model's folder, by name."""
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def are_equal(first: dict[str, Any], second: dict[str, Any]) -> bool:
    """Whether both have the same tensors, bit for bit."""
    import torch

    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
