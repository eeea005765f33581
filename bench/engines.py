"""The same prompts answered by vLLM and by transformers, as `evaluation.engine` chooses: are the answers the same?

python -m bench.engines                  # the tiny teacher, 40 prompts, greedy in both and sampled in vLLM
"""

import time
from pathlib import Path
from typing import Any

from trainer.base import load_model, load_tokenizer, stop_tokens
from trainer.dialect import find_dialect
from trainer.generate import Asking, encode, generate, read_reply
from trainer.vllm_engine import generate_with_vllm

MODEL = Path(__file__).parents[1] / "examples" / "arithmetic" / "teacher"
TOKENS_MAX = 128


def main() -> None:
    tokenizer: Any = load_tokenizer(MODEL)
    dialect, stops = find_dialect(tokenizer, "cot"), stop_tokens(MODEL, tokenizer)
    asked = [
        f"Ann has {first} apples and finds {second}. How many now?" for first in range(10, 30) for second in (3, 5)
    ]
    conversations = [[{"role": "user", "content": text}] for text in asked]
    parts = [(encode(tokenizer, dialect, conversations), Asking(stops, TOKENS_MAX, heat, 1)) for heat in (0.0, 1.0)]
    began = time.monotonic()
    found = generate_with_vllm(MODEL, parts, lambda part, done: print(f"part {part}: {done} answered"))
    print(f"vLLM, its start included: {time.monotonic() - began:.1f} s")
    greedy, sampled = ([read_reply(tokenizer, dialect, ids, stops) for ids in part] for part in found)
    model = load_model(MODEL, "float32", "cpu")
    began = time.monotonic()
    plain = generate(model, tokenizer, dialect, conversations, Asking(stops, TOKENS_MAX, 0.0))
    print(f"transformers, greedy alone: {time.monotonic() - began:.1f} s")
    same = sum(one == other for one, other in zip(greedy, plain, strict=True))
    print(f"same greedy answer, token for token: {same} of {len(plain)}")
    cut = sum(reply.truncated for reply in (*greedy, *sampled, *plain))
    print(f"cut off: {cut}; different sampled answers: {len({reply.reasoning for reply in sampled})}")


if __name__ == "__main__":
    main()
