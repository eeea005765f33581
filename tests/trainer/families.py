"""Students of six families: a tiny tokenizer that has a family's special tokens, under a template in its manner.

The templates in `data/templates` are written for these tests: they behave as the family's do, in words of their own.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from tests.trainer.tiny import make_row

TEMPLATES = Path(__file__).parent / "data" / "templates"


@dataclass(frozen=True)
class Family:
    """What a family's tokenizer has, and what its template does with reasoning."""

    key: str | None
    """Under which the template reads reasoning; None if it drops it."""
    eos: str
    bos: str | None = None
    markers: tuple[str, ...] = ()
    stops: tuple[str, ...] = ()
    """That `generation_config.json` names beside the tokenizer's own."""


CHATML = ("<|im_start|>", "<|im_end|>")
FAMILIES = {
    "qwen3": Family("reasoning_content", "<|im_end|>", None, CHATML, ("<|endoftext|>",)),
    # RUF001: its bars are not the keyboard's, and must be as they are.
    "r1_distill": Family(None, "<｜end▁of▁sentence｜>", "<｜begin▁of▁sentence｜>", ("<｜User｜>", "<｜Assistant｜>")),  # noqa: RUF001
    "llama3": Family(
        "content", "<|eot_id|>", "<|begin_of_text|>", ("<|start_header_id|>", "<|end_header_id|>"), ("<|eom_id|>",)
    ),
    "gpt_oss": Family(
        "thinking", "<|return|>", None, ("<|start|>", "<|end|>", "<|message|>", "<|channel|>"), ("<|call|>",)
    ),
    "gemma": Family("content", "<eos>", "<bos>", ("<start_of_turn>",), ("<end_of_turn>",)),
    "chatml": Family("content", "<|im_end|>", None, CHATML),
}


def make_family(student: Path, name: str, folder: Path) -> Path:
    """Copy a tiny student and give it a family's tokens and template."""
    family = FAMILIES[name]
    shutil.copytree(student, folder)
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    tokens = [token for token in (family.eos, family.bos, *family.markers, *family.stops) if token]
    tokenizer.add_tokens(tokens, special_tokens=True)
    tokenizer.eos_token, tokenizer.bos_token = family.eos, family.bos
    tokenizer.chat_template = (TEMPLATES / f"{name}.jinja").read_text(encoding="utf-8")
    tokenizer.save_pretrained(folder)
    stops = tokenizer.convert_tokens_to_ids([family.eos, *family.stops])
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": stops}))
    return folder


def conversations() -> list[dict[str, Any]]:
    """With and without reasoning, a system prompt, several turns, an earlier turn that thought aloud, a long one."""
    system = {"role": "system", "content": "Answer  briefly.\n"}
    turns = [
        {"role": "user", "content": "Hello! What is 6 · 7?"},
        {"role": "assistant", "content": "<think>\nSix sevens.\n</think>\n\n42"},
    ]
    rows = [make_row(number) for number in range(8)]
    rows[1] = make_row(1, reasoning="")
    rows[2]["prompt"] = [system, *rows[2]["prompt"]]
    rows[3]["prompt"] = [*turns, *rows[3]["prompt"]]
    rows[4]["prompt"] = [system, *turns, *turns, *rows[4]["prompt"]]
    rows[5] = make_row(5, reasoning="She counts.\n\nÄpfel 🍎, one by one. " * 40)
    rows[6]["prompt"] = [{"role": "user", "content": "7 " * 300}]
    rows[7] = make_row(7, reasoning="", response=" A line.\n\n  Another: 100 %. \n")
    return rows
