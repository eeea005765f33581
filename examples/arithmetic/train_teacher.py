"""Train the teacher: a Qwen3 of 0.85M parameters that reasons in <think> and is right most of the time, not always.

python examples/arithmetic/train_teacher.py --out examples/arithmetic/teacher
"""

import argparse
import logging
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from evaluation import heldout, measure
from problems import CATEGORIES, Problem, problems
from tokenizer import build_tokenizer
from training import IGNORED, Example, bare_equations, build_model, log, save, train, write_json
from transformers import PreTrainedTokenizerFast

EQUATIONS = 0.25
"""Share of bare equations in the stream: arithmetic at its densest."""
NO_THINK = 0.04
"""Share of problems answered at once after an empty think block, so that `enable_thinking: false` yields an answer."""


def main() -> None:
    options = parse_options()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    tokenizer = build_tokenizer()
    model = build_model(tokenizer, hidden=128, layers=4, heads=4, kv_heads=2, mlp=384)
    log.info("%d parameters", model.num_parameters())
    started, recent = time.process_time(), 0.0
    for step, loss in train(model, lessons(tokenizer, options.seed), steps=options.steps, seed=options.seed):
        recent = loss if step == 1 else 0.98 * recent + 0.02 * loss
        if step % options.checkpoint_every == 0 or step == options.steps:
            last = step == options.steps
            report = {"step": step, "cpu_s": round(time.process_time() - started), "loss": round(recent, 4)}
            count, temperatures = (600, (0.0, 1.0)) if last else (60, (1.0,))
            report |= measure(model, tokenizer, heldout(count, CATEGORIES), temperatures)
            log.info("%s", report)
            folder = options.out if last else options.checkpoints / f"step-{step}"
            save(model, tokenizer, folder)
            write_json(folder / "accuracy.json", report)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the finished model")
    unfinished = Path(tempfile.gettempdir()) / "teacher-checkpoints"
    parser.add_argument("--checkpoints", type=Path, default=unfinished, help="folder of the unfinished ones")
    parser.add_argument("--checkpoint-every", type=int, default=300, metavar="STEPS")
    parser.add_argument("--steps", type=int, default=2400)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def lessons(tokenizer: PreTrainedTokenizerFast, seed: int) -> Iterator[Example]:
    """Endless training examples; prompts of the held-out class never occur."""
    rng = random.Random(seed)
    drawn = problems(seed, CATEGORIES, heldout=False)
    while True:
        if rng.random() < EQUATIONS:
            yield bare_equations(rng, tokenizer)
        else:
            yield conversation(next(drawn), tokenizer, think=rng.random() >= NO_THINK)


def conversation(problem: Problem, tokenizer: PreTrainedTokenizerFast, *, think: bool) -> Example:
    """The problem as a chat; only what the assistant writes is learnt, and an empty think block is not its own."""
    asked = [{"role": "user", "content": problem.prompt}]
    reply = {"role": "assistant", "reasoning": problem.reasoning, "content": problem.response}
    prompt = tokenizer.apply_chat_template(asked, tokenize=False, add_generation_prompt=True, enable_thinking=think)
    whole = tokenizer.apply_chat_template([*asked, reply], tokenize=False, enable_thinking=think).removesuffix("\n")
    given, ids = tokenizer(prompt).input_ids, tokenizer(whole).input_ids
    return Example(ids, [IGNORED] * len(given) + ids[len(given) :])


if __name__ == "__main__":
    main()
