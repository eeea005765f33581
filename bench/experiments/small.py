"""A student smaller than any that the example brings: its base without the last layer, mended for a minute.

Leaving out layers is how DistilBERT was begun (Sanh et al. 2019, arXiv:1910.01108). What is left then reads the
documents of `examples/arithmetic/train_base.py` for a few hundred steps, until it can calculate again.
"""

import sys
from itertools import islice
from pathlib import Path
from typing import Any

from bench.experiments.place import ARITHMETIC

LAYERS, MENDING_STEPS = 2, 400
DOCUMENTS = 3000
"""Read to know which tokens the documents have, as `train_base.py` does."""

CARD = "---\nlicense: apache-2.0\n---\n\n`examples/arithmetic/student-base` without its last layer.\n"
"""The trainer asks a base's card for its licence."""


def make_small(target: Path, steps: int = MENDING_STEPS) -> None:
    """Write the student's folder, unless it is there."""
    if target.exists():
        return
    import torch
    from transformers import AutoTokenizer, Qwen3ForCausalLM

    sys.path.insert(0, str(ARITHMETIC))  # scripts beside each other, no package
    import train_base
    import training

    torch.set_num_threads(1)
    torch.manual_seed(0)
    base = ARITHMETIC / "student-base"
    tokenizer: Any = AutoTokenizer.from_pretrained(base)
    model: Any = Qwen3ForCausalLM.from_pretrained(
        base, num_hidden_layers=LAYERS, layer_types=["full_attention"] * LAYERS, dtype=torch.float32
    )
    for _step, _loss in training.train(model, train_base.documents(tokenizer, 0), steps=steps, seed=0):
        pass
    seen = {token for example in islice(train_base.documents(tokenizer, 0), DOCUMENTS) for token in example.ids}
    train_base.prepare_new_tokens(model, seen)
    partial = target.with_suffix(".partial")
    training.save(model, tokenizer, partial)
    (partial / "README.md").write_text(CARD, encoding="utf-8")
    partial.rename(target)
