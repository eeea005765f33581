"""Train the student's base: a Qwen3 of 0.37M parameters that can calculate but has never seen a conversation.

python examples/arithmetic/train_base.py --teacher examples/arithmetic/teacher --out examples/arithmetic/student-base
"""

import argparse
import logging
import random
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from evaluation import heldout, measure
from problems import CATEGORIES, Problem, problems
from tokenizer import END
from training import IGNORED, Example, bare_equations, build_model, log, save, train, write_json
from transformers import AutoTokenizer, PreTrainedTokenizerFast

EQUATIONS = 0.5
"""Share of bare equations in the stream: what limits a student this small is adding and subtracting, not reading."""
ONE_STEP = ("add_subtract", "multiply", "share")
"""Worked in full; of the other categories the base reads the question and the numbers in it, never a solution."""


def main() -> None:
    options = parse_options()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    tokenizer = AutoTokenizer.from_pretrained(options.teacher)
    model = build_model(tokenizer, hidden=96, layers=3, heads=3, kv_heads=1, mlp=288)
    log.info("%d parameters", model.num_parameters())
    started, recent = time.process_time(), 0.0
    for step, loss in train(model, documents(tokenizer, options.seed), steps=options.steps, seed=options.seed):
        recent = loss if step == 1 else 0.98 * recent + 0.02 * loss
        if step % 100 == 0:
            log.info("step %d, loss %.4f", step, recent)
    report = {"step": options.steps, "cpu_s": round(time.process_time() - started), "loss": round(recent, 4)}
    report |= measure(model, tokenizer, heldout(120, CATEGORIES), (0.0, 1.0))
    log.info("%s", report)
    save(model, tokenizer, options.out)
    write_json(options.out / "accuracy.json", report)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", type=Path, required=True, help="folder whose tokenizer the base shares")
    parser.add_argument("--out", type=Path, required=True, help="folder of the finished model")
    parser.add_argument("--steps", type=int, default=2400)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def documents(tokenizer: PreTrainedTokenizerFast, seed: int) -> Iterator[Example]:
    """Endless plain documents; prompts of the held-out class never occur."""
    rng = random.Random(seed)
    drawn = problems(seed, CATEGORIES, heldout=False)
    while True:
        if rng.random() < EQUATIONS:
            yield bare_equations(rng, tokenizer)
        else:
            yield document(next(drawn), tokenizer)


def document(problem: Problem, tokenizer: PreTrainedTokenizerFast) -> Example:
    """The question and a continuation; only the latter is learnt, for names and numbers in a question are chance."""
    found = [word.strip(".,?") for word in problem.prompt.split() if word[0].isdigit()]
    continuation = problem.reasoning if problem.category in ONE_STEP else f"Numbers: {', '.join(found)}."
    given, ids = (tokenizer(problem.prompt + rest).input_ids for rest in ("\n", f"\n{continuation}{END}"))
    return Example(ids, [IGNORED] * len(given) + ids[len(given) :])


if __name__ == "__main__":
    main()
