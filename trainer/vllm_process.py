"""`python -m trainer.vllm_process FOLDER`: answers `job.json` into `replies.json` with vLLM's offline engine.

Tells on stdout, a JSON object a line, how far it is; ends when its standard input does.
"""

import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

POSITIONS_SPARE = 1
CHUNK = 512
"""Prompts given to the engine at once, between two words on how far it is."""


def main(folder: Path) -> None:
    """Answer the job in a folder."""
    told = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # vLLM prints to stdout
    threading.Thread(target=_end_with_parent, daemon=True).start()
    job = json.loads((folder / "job.json").read_bytes())
    engine = _engine(job)
    replies = []
    for number, part in enumerate(job["parts"]):
        found: list[list[int]] = []
        for start in range(0, len(part["prompts"]), CHUNK):
            found += _answer(engine, part, part["prompts"][start : start + CHUNK])
            print(json.dumps({"part": number, "done": len(found)}), file=told, flush=True)
        replies.append(found)
    partial = folder / "replies.partial"
    partial.write_text(json.dumps(replies), encoding="utf-8")
    partial.rename(folder / "replies.json")


def _engine(job: dict[str, Any]) -> Any:
    from vllm import LLM  # pyright: ignore[reportMissingImports] - an extra

    longest = max(len(prompt) + part["tokens_max"] for part in job["parts"] for prompt in part["prompts"])
    return LLM(
        model=job["model"],
        skip_tokenizer_init=True,  # prompts and replies are tokens
        dtype=job["dtype"],
        load_format="safetensors",
        # The model's own generation settings (top-k, penalties) would measure them and not the model.
        generation_config="vllm",
        max_model_len=longest + POSITIONS_SPARE,
        enforce_eager=job["on_cpu"],
        seed=0,
    )


def _answer(engine: Any, part: dict[str, Any], prompts: list[list[int]]) -> list[list[int]]:
    from vllm import SamplingParams  # pyright: ignore[reportMissingImports] - an extra

    sampling = SamplingParams(
        temperature=part["temperature"],
        top_p=1.0,
        top_k=0,
        max_tokens=part["tokens_max"],
        stop_token_ids=part["stop_tokens"],
        seed=part["seed"],
        detokenize=False,
    )
    # A seed of a request's own: with one for all, equal prompts would get equal answers.
    drawn = [sampling.clone() for _ in prompts]
    for place, each in enumerate(drawn):
        each.seed = part["seed"] * 1_000_003 + place
    outputs = engine.generate([{"prompt_token_ids": prompt} for prompt in prompts], drawn, use_tqdm=False)
    return [_tokens(output.outputs[0]) for output in outputs]


def _tokens(output: Any) -> list[int]:
    """Return the generated tokens with the one that stopped them, which vLLM may name apart."""
    tokens = list(output.token_ids)
    stopped = output.stop_reason if isinstance(output.stop_reason, int) else None
    return tokens if stopped is None or tokens[-1:] == [stopped] else [*tokens, stopped]


def _end_with_parent() -> None:
    sys.stdin.read()
    os.killpg(0, signal.SIGKILL)  # the engine's own processes with us: we lead the group


if __name__ == "__main__":
    main(Path(sys.argv[1]))
