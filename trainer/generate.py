"""Asking a student in batches, with transformers alone: enough to measure it, no server needed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from trainer.dialect import Dialect
from trainer.errors import TrainerError

BATCH_MAX = 256
MEMORY_SHARE = 0.4
"""Of the free memory, for keys and values; the rest is for activations and the logits of large vocabularies."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model answered."""

    reasoning: str
    response: str
    tokens: int
    """Reasoning, response and the tags around them, without the token that stops."""
    truncated: bool
    """It had not ended when its tokens were spent."""
    ids: list[int] = field(default_factory=list)
    """The tokens, without the one that stops."""


@dataclass(frozen=True, slots=True)
class Asking:
    """How replies are drawn."""

    stop_tokens: list[int]
    tokens_max: int
    temperature: float
    """0 is greedy: always the likeliest token."""
    seed: int = 0
    batch_size: int | None = None
    """None: as many as the memory holds, at most `BATCH_MAX`."""


def limit_reply(asked: int | None, reply_longest: int, prompt_longest: int, positions_max: int | None) -> int:
    """Return the tokens a reply may have: as asked, or half as much again as the longest in the data, if there is room.

    Raises TrainerError `no_room_to_reply` where the model has fewer positions than prompt and reply need.
    """
    room = positions_max - prompt_longest if positions_max else None
    if room is not None and (room < 1 or (asked or 1) > room):
        raise TrainerError(
            "no_room_to_reply",
            f"the longest prompt has {prompt_longest} tokens and the model {positions_max} positions: {max(0, room)} "
            f"are left for a reply, {asked or 'at least 1'} asked for. Ask for fewer, or reject such prompts (filter "
            "`length`)",
        )
    wanted = asked or reply_longest * 3 // 2
    return wanted if room is None else min(wanted, room)


def generate(
    model: Any,
    tokenizer: Any,
    dialect: Dialect,
    conversations: Sequence[list[dict[str, Any]]],
    asking: Asking,
    on_progress: Callable[[int], None] = lambda done: None,
) -> list[Reply]:
    """Answer every conversation once, in the order given. `on_progress` hears how many are done."""
    import torch

    prompts = encode(tokenizer, dialect, conversations)
    # Longest first: what does not fit in memory shows at once, and little is padded.
    order = sorted(range(len(prompts)), key=lambda place: len(prompts[place]), reverse=True)
    replies: dict[int, Reply] = {}
    size = asking.batch_size or _batch_size(model, max(map(len, prompts), default=0) + asking.tokens_max)
    torch.manual_seed(asking.seed)
    while len(replies) < len(order):
        batch = order[len(replies) : len(replies) + size]
        try:
            outputs = _generate(model, tokenizer, [prompts[place] for place in batch], asking)
        except torch.OutOfMemoryError:
            if size == 1:
                raise
            size //= 2
            continue
        for place, tokens in zip(batch, outputs, strict=True):
            replies[place] = read_reply(tokenizer, dialect, tokens, asking.stop_tokens)
        on_progress(len(replies))
    return [replies[place] for place in range(len(prompts))]


def encode(tokenizer: Any, dialect: Dialect, conversations: Sequence[list[dict[str, Any]]]) -> list[list[int]]:
    """Return the tokens of each prompt, up to where the reply begins."""
    texts = [dialect.render(tokenizer, messages, prompt=True) for messages in conversations]
    return tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else []


def _generate(model: Any, tokenizer: Any, prompts: list[list[int]], asking: Asking) -> list[list[int]]:
    import torch
    from transformers import GenerationConfig

    longest = max(map(len, prompts))
    rows = [[tokenizer.pad_token_id] * (longest - len(prompt)) + prompt for prompt in prompts]
    mask = [[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts]
    # The model's own generation settings (top-k, penalties) would measure them and not the model; they are replaced.
    model.generation_config = GenerationConfig(
        max_new_tokens=asking.tokens_max,
        do_sample=asking.temperature > 0,
        eos_token_id=asking.stop_tokens,
        pad_token_id=tokenizer.pad_token_id,
        **({"temperature": asking.temperature, "top_k": 0, "top_p": 1.0} if asking.temperature > 0 else {}),
    )
    with torch.inference_mode():
        output = model.generate(
            input_ids=torch.tensor(rows, device=model.device), attention_mask=torch.tensor(mask, device=model.device)
        )
    return output[:, longest:].tolist()


def read_reply(tokenizer: Any, dialect: Dialect, tokens: list[int], stop_tokens: list[int]) -> Reply:
    """Return the reply that generated tokens are; what follows the first stop token is none of it."""
    end = next((place for place, token in enumerate(tokens) if token in stop_tokens), None)
    # Tags of reasoning may be special tokens, so these are dropped only once the reply is split.
    text = tokenizer.decode(tokens[:end], skip_special_tokens=False)
    reasoning, response = dialect.split(text)
    for special in tokenizer.all_special_tokens:
        reasoning, response = reasoning.replace(special, ""), response.replace(special, "")
    ids = tokens[:end]
    return Reply(reasoning.strip(), response.strip(), len(ids), truncated=end is None, ids=ids)


def _batch_size(model: Any, tokens: int) -> int:
    import torch

    config = model.config.get_text_config()
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    bytes_each = 2 * config.num_hidden_layers * heads * width * model.dtype.itemsize * tokens
    free = torch.cuda.mem_get_info()[0] if model.device.type == "cuda" else _free_memory()
    return max(1, min(BATCH_MAX, int(free * MEMORY_SHARE / max(1, bytes_each))))


def _free_memory() -> int:
    import psutil  # accelerate brings it

    return psutil.virtual_memory().available
