"""Accuracy by category: batched sampling with transformers, graded by the last `\\boxed{}`.

python examples/arithmetic/evaluation.py examples/arithmetic/teacher
"""

import argparse
import re
from collections.abc import Iterable, Sequence
from itertools import islice

import torch
from problems import CATEGORIES, OUT_OF_DISTRIBUTION, Problem, problems
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerFast

BOXED = re.compile(r"\\boxed\{(-?\d+)\}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder of a model with its tokenizer")
    parser.add_argument("--count", type=int, default=100, help="prompts a category")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    categories = (*CATEGORIES, *OUT_OF_DISTRIBUTION)
    found = measure(model, tokenizer, heldout(options.count * len(categories), categories), (0.0, 1.0))
    print("| category |", " | ".join(found), "|")
    print("|---|", "---|" * len(found), sep="")
    for category in categories:
        print(f"| {category} |", " | ".join(f"{by_category[category]:.2f}" for by_category in found.values()), "|")


def heldout(count: int, categories: tuple[str, ...], seed: int = 1000) -> list[Problem]:
    """Held-out problems, the categories in turn."""
    return list(islice(problems(seed, categories, heldout=True), count))


@torch.inference_mode()
def answer(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    prompts: Sequence[str],
    *,
    temperature: float,
    seed: int = 0,
    batch: int = 128,
    tokens_max: int = 256,
    enable_thinking: bool = True,
) -> list[str]:
    """One raw completion a prompt, special tokens left out; temperature 0 is greedy."""
    torch.manual_seed(seed)
    chats = [[{"role": "user", "content": prompt}] for prompt in prompts]
    texts = tokenizer.apply_chat_template(
        chats, tokenize=False, add_generation_prompt=True, enable_thinking=enable_thinking
    )
    sampling = (
        {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0}
        if temperature
        else {"do_sample": False}
    )
    replies: list[str] = []
    model.eval()
    for start in range(0, len(texts), batch):
        inputs = tokenizer(texts[start : start + batch], return_tensors="pt", padding=True, padding_side="left")
        ids = model.generate(
            input_ids=inputs.input_ids, attention_mask=inputs.attention_mask, max_new_tokens=tokens_max, **sampling
        )
        replies += tokenizer.batch_decode(ids[:, inputs.input_ids.shape[1] :], skip_special_tokens=True)
    return replies


def is_right(reply: str, reference: int) -> bool:
    found = BOXED.findall(reply)
    return bool(found) and int(found[-1]) == reference


def accuracy(items: Sequence[Problem], replies: Iterable[str]) -> dict[str, float]:
    """Share of right replies per category and under "all", rounded to three places."""
    marks: dict[str, list[bool]] = {"all": []}
    for item, reply in zip(items, replies, strict=True):
        right = is_right(reply, item.answer)
        marks["all"].append(right)
        marks.setdefault(item.category, []).append(right)
    return {category: round(sum(right) / len(right), 3) for category, right in marks.items()}


def measure(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, items: Sequence[Problem], temperatures: Iterable[float]
) -> dict[str, dict[str, float]]:
    """Accuracy by category for each temperature ("T=0", "T=1")."""
    prompts = [item.prompt for item in items]
    return {f"T={t:g}": accuracy(items, answer(model, tokenizer, prompts, temperature=t)) for t in temperatures}


if __name__ == "__main__":
    main()
