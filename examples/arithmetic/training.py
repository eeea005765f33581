"""The training loop both models share: batches of whole examples, Muon for the matrices, AdamW for the rest."""

import copy
import json
import logging
import random
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as functional
from muon import Muon
from problems import calculate, equations
from tokenizer import END, STOP
from transformers import GenerationConfig, PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

IGNORED = -100
BATCH_TOKENS = 2000
"""Padded tokens a step."""
WARM_UP_STEPS = 50
DECAY_FROM = 0.5
"""Constant learning rate up to this share of the steps, then linear to nearly nothing."""
log = logging.getLogger("arithmetic")


class Example(NamedTuple):
    """Token ids and, position by position, the same ids or IGNORED where nothing is to be learnt."""

    ids: list[int]
    labels: list[int]


def build_model(
    tokenizer: PreTrainedTokenizerFast, *, hidden: int, layers: int, heads: int, kv_heads: int, mlp: int
) -> Qwen3ForCausalLM:
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        head_dim=32,
        intermediate_size=mlp,
        max_position_embeddings=512,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        tie_word_embeddings=True,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
        attn_implementation="eager",  # at this size it beats SDPA on a CPU, by little
    )
    model = Qwen3ForCausalLM(config)
    stop, end = tokenizer.convert_tokens_to_ids([STOP, END])
    model.generation_config = GenerationConfig(
        eos_token_id=[stop, end], pad_token_id=end, do_sample=True, temperature=1.0, top_k=0, top_p=1.0
    )
    return model


def bare_equations(rng: random.Random, tokenizer: PreTrainedTokenizerFast, operators: str = "++--**/") -> Example:
    """A line of about eight equations as the problems use them; only their results are learnt, the rest is chance."""
    lines: list[str] = []
    while len(lines) < 7:
        operator = rng.choice(operators)
        left, right = rng.randint(2, 9), rng.randint(2, 79)
        if operator == "/":
            left, right = left * rng.randint(2, 120), left
        elif operator in "+-":
            left, right = rng.randint(2, 599), rng.randint(2, 199)
        if (calculate(left, operator, right) or 0) > 0:
            lines += equations(left, operator, right)
    ids = tokenizer(". ".join(lines) + "." + END).input_ids
    labels, inside = [], False
    for piece in tokenizer.convert_ids_to_tokens(ids):
        labels.append(inside)
        inside = piece == "=" or (inside and piece.isdigit())
    return Example(ids, [i if learnt else IGNORED for i, learnt in zip(ids, labels, strict=True)])


def batches(examples: Iterator[Example], rng: random.Random) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Input ids and labels, both [examples, positions], padded on the right; examples of like length go together."""
    while True:
        pool = sorted((next(examples) for _ in range(1024)), key=lambda e: len(e.ids))
        groups: list[list[Example]] = [[]]
        for example in pool:
            if (len(groups[-1]) + 1) * len(example.ids) > BATCH_TOKENS:
                groups.append([])
            groups[-1].append(example)
        rng.shuffle(groups)
        for group in groups:
            length = len(group[-1].ids)
            ids = [e.ids + [0] * (length - len(e.ids)) for e in group]
            labels = [e.labels + [IGNORED] * (length - len(e.labels)) for e in group]
            yield torch.tensor(ids), torch.tensor(labels)


def train(
    model: Qwen3ForCausalLM, examples: Iterator[Example], *, steps: int, seed: int
) -> Iterable[tuple[int, float]]:
    """Train in place, yielding (step, loss) after every step so that the caller decides when to measure and save."""
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    others = [p for name, p in model.named_parameters() if p.ndim != 2 or "embed" in name]
    optimizers = [Muon(matrices, lr=0.02), torch.optim.AdamW(others, lr=3e-3, betas=(0.9, 0.98), weight_decay=0.01)]
    schedules = [torch.optim.lr_scheduler.LambdaLR(o, lambda step: rate(step, steps)) for o in optimizers]
    stream = batches(examples, random.Random(seed))
    for step in range(1, steps + 1):
        ids, labels = next(stream)
        model.train()
        hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state[:, :-1]
        learnt = labels[:, 1:] != IGNORED
        loss = functional.cross_entropy(model.lm_head(hidden[learnt]), labels[:, 1:][learnt])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(others, 1.0)
        for worker in (*optimizers, *schedules):
            worker.step()
        model.zero_grad()
        yield step, loss.item()


def rate(step: int, steps: int) -> float:
    """Share of the full learning rate at a step counted from 0."""
    left = (1 - step / steps) / (1 - DECAY_FROM)
    return min(1.0, (step + 1) / WARM_UP_STEPS, 0.02 + 0.98 * left)


def save(model: Qwen3ForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write a folder that transformers and vLLM load by its name alone; weights as fp16 safetensors."""
    half = copy.deepcopy(model).to(torch.float16)
    half.save_pretrained(folder)
    tokenizer.backend_tokenizer.no_padding()  # it remembers how the last batch was padded
    tokenizer.save_pretrained(folder)
    settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    settings["tokenizer_class"] = "PreTrainedTokenizerFast"  # the name that transformers before 5 knows too
    write_json(folder / "tokenizer_config.json", settings)
    for file in folder.iterdir():
        file.chmod(0o644)  # safetensors are written for their owner alone; a server may run as another user


def write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
