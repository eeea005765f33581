"""What can be told of a model before it is loaded: where it is, how large, and how it marks its reasoning."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
FILES = ("config.json", "tokenizer_config.json", "chat_template.jinja")

PARSERS = {
    "gpt_oss": "openai_gptoss",
    "glm4": "glm45",
    "seed_oss": "seed_oss",
    "minimax_m2": "minimax_m2",
    "kimi_k2": "kimi_k2",
    "nemotron_h": "nemotron_v3",
    "ernie4_5": "ernie45",
    "gemma4": "gemma4",
    "olmo3": "olmo3",
}
"""vLLM's reasoning parsers by the start of `model_type`, for families that do not simply write `<think>`."""


class ServeError(Exception):
    """Why a teacher cannot be served; the message is for the person who asked."""


@dataclass(frozen=True, slots=True)
class Model:
    """A folder, or a model of the hub of which only what is in the local cache is known."""

    path: str
    """As vLLM is given it: an absolute folder or a hub name."""
    name: str
    local: bool
    config: dict[str, Any] = field(default_factory=dict)
    chat_template: str = ""
    weights_bytes: int = 0
    """Of the safetensors files in the folder; 0 where it is not known."""

    @property
    def quantized(self) -> bool:
        """Whether its weights have fewer bits than what is computed with."""
        return bool(self.config.get("quantization_config"))

    @property
    def context_tokens(self) -> int | None:
        """The longest context that the model's configuration names."""
        text = self.config.get("text_config") or {}
        value = self.config.get("max_position_embeddings", text.get("max_position_embeddings"))
        return value if isinstance(value, int) else None


def find(given: str) -> Model:
    """Return the model in a folder, or of a hub name `owner/name`. Raises ServeError."""
    folder = Path(given).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise ServeError(f"{folder} holds no config.json, so it is no model folder")
        if not any(folder.glob("*.safetensors")):
            raise ServeError(f"{folder} holds no *.safetensors weights; other formats can hide code and are not loaded")
        size = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
        path = folder.resolve()
        return Model(str(path), path.name, True, *_read({name: folder / name for name in FILES}), size)
    if folder.exists() or not HUB_NAME.fullmatch(given):
        raise ServeError(
            f"no model folder {given}; expected a folder with config.json, or a hub name like Qwen/Qwen3-4B"
        )
    return Model(given, given.rpartition("/")[2], False, *_read(_cached(given)))


def reasoning_parser(model: Model) -> str | None:
    """Return vLLM's parser that takes this model's replies apart; None where it has no reasoning to take apart.

    Families that write `<think>` get `qwen3` where the template can switch thinking off: it then leaves the reply in
    `content`, where `deepseek_r1` files it as reasoning, and it keeps text before the tag, which `deepseek_r1` drops.
    Where the template has no such switch the tags are DeepSeek-R1's.
    """
    family = str(model.config.get("model_type") or "")
    for start, parser in PARSERS.items():
        if family.startswith(start):
            return parser
    template = model.chat_template or _GUESSES.get("qwen3" if "qwen3" in model.name.lower() else "", "")
    opening = template.rpartition("add_generation_prompt")[2]
    if "enable_thinking" in template:
        return "qwen3"
    if "<think>" in opening:
        return "deepseek_r1"
    # Such templates only cut old thoughts from the history. R1's distillations write the tag themselves; the newer
    # instruct models of Qwen3 never think, and a parser would file all they say as reasoning.
    return "deepseek_r1" if "</think>" in template and not family.startswith("qwen3") else None


_GUESSES = {"qwen3": "enable_thinking"}
"""For a hub model that is not downloaded yet its name has to do."""


def _read(files: dict[str, Path]) -> tuple[dict[str, Any], str]:
    """Return config and chat template; an unreadable file counts as an empty one, vLLM will say more about it."""
    loaded: dict[str, Any] = {}
    for name in FILES[:2]:
        try:
            loaded[name] = json.loads(files[name].read_text())
        except (KeyError, OSError, ValueError):
            loaded[name] = {}
    config, tokenizer = ({} if not isinstance(each, dict) else each for each in loaded.values())
    template = files.get(FILES[2])
    text = template.read_text() if template and template.is_file() else tokenizer.get("chat_template") or ""
    # Several templates in one file: a list of {name, template}.
    return config, text if isinstance(text, str) else json.dumps(text)


def _cached(hub_name: str) -> dict[str, Path]:
    """Return those of the model's small files that an earlier download left in the cache."""
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:
        return {}
    found = {name: try_to_load_from_cache(hub_name, name) for name in FILES}
    return {name: Path(path) for name, path in found.items() if isinstance(path, str)}
