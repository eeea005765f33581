"""Train the student's base: a Qwen3 of 0.37M parameters that can calculate but has never seen a conversation.

python examples/arithmetic/train_base.py --teacher examples/arithmetic/teacher --out examples/arithmetic/student-base
"""

import argparse
import logging
import random
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import torch
from evaluation import BOXED, heldout, measure
from problems import CATEGORIES, Problem, problems
from tokenizer import END
from training import IGNORED, Example, bare_equations, build_model, log, save, train, write_json
from transformers import AutoTokenizer, PreTrainedTokenizerFast, Qwen3ForCausalLM

EQUATIONS, OPERATORS = 0.35, "++----*/"
"""Share of bare equations in the stream, and their mix: subtracting is what so small a model learns last."""
CALCULATIONS = 0.2
"""Share of worked calculations without the question that led to them: how results are carried on."""
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
    seen = {token for example in islice(documents(tokenizer, options.seed), 3000) for token in example.ids}
    prepare_new_tokens(model, seen)
    report = {"step": options.steps, "cpu_s": round(time.process_time() - started), "loss": round(recent, 4)}
    report |= measure(model, tokenizer, heldout(120, CATEGORIES), (0.0, 1.0))
    log.info("%s", report)
    save(model, tokenizer, options.out)
    write_json(options.out / "accuracy.json", report)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", type=Path, required=True, help="folder whose tokenizer the base shares")
    parser.add_argument("--out", type=Path, required=True, help="folder of the finished model")
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def documents(tokenizer: PreTrainedTokenizerFast, seed: int) -> Iterator[Example]:
    """Endless plain documents; prompts of the held-out class never occur."""
    rng = random.Random(seed)
    drawn = problems(seed, CATEGORIES, heldout=False)
    while True:
        kind = rng.random()
        if kind < EQUATIONS:
            yield bare_equations(rng, tokenizer, OPERATORS)
        elif kind < EQUATIONS + CALCULATIONS:
            yield document("", next(drawn).reasoning, tokenizer)
        else:
            problem = next(drawn)
            yield document(problem.prompt + "\n", continuation(problem), tokenizer)


def continuation(problem: Problem) -> str:
    """What a page may say after the question, without a box around the answer."""
    if problem.category in ONE_STEP:
        return problem.reasoning + "\n" + BOXED.sub(r"\1", problem.response)
    found = [word.strip(".,?") for word in problem.prompt.split() if word[0].isdigit()]
    return f"Numbers: {', '.join(found)}."


def document(given: str, rest: str, tokenizer: PreTrainedTokenizerFast) -> Example:
    """Only `rest` is learnt: names and numbers in a question are chance."""
    ids, skipped = tokenizer(given + rest + END).input_ids, len(tokenizer(given).input_ids)
    return Example(ids, [IGNORED] * skipped + ids[skipped:])


@torch.no_grad()
def prepare_new_tokens(model: Qwen3ForCausalLM, seen: set[int]) -> None:
    """Move the embeddings of tokens the documents lack (the chat's among them) to the middle of the others.

    Training only ever pushed them away, as wrong predictions; fine-tuning would spend a hundred steps undoing it.
    """
    embeddings = model.get_input_embeddings().weight
    known = embeddings[sorted(seen)]
    new = [token for token in range(len(embeddings)) if token not in seen]
    spread = torch.randn(len(new), embeddings.shape[1]) * known.std(0) / 2
    embeddings[new] = known.mean(0) + spread


if __name__ == "__main__":
    main()
