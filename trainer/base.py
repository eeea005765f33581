"""The base model a student grows from: found, checked to be weights and nothing that runs, its tokenizer loaded."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.errors import TrainerError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")
WANTED = ("*.json", "*.safetensors", "*.jinja", "*.model", "*.txt", "README.md")
"""What is fetched from the hub: no pickle, no Python."""
UNWANTED = ("*/*", "consolidated*")
"""Folders, and the second copy of the weights that some repositories carry."""
HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")


@dataclass(frozen=True, slots=True)
class Base:
    """A base model on this machine."""

    name: str
    """As it was asked for: a folder or an id on the hub."""
    path: Path
    commit: str | None
    """Of the hub's repository; None for a folder."""
    config: dict[str, Any]

    @property
    def hub_id(self) -> str | None:
        """The id on the hub, None for a folder."""
        return self.name if self.commit else None

    @property
    def positions_max(self) -> int | None:
        """Longest sequence the model was made for, None if it does not say."""
        return self.config.get("max_position_embeddings") or _text_config(self.config).get("max_position_embeddings")

    @property
    def dtype(self) -> str:
        """Number format the base is stored in, which the student keeps: it is served in it."""
        found = (self.config.get("dtype"), self.config.get("torch_dtype"), _text_config(self.config).get("dtype"))
        return next((str(name) for name in found if name), "float32")

    @property
    def license(self) -> str | None:
        """As the base's own card states it."""
        try:
            card = (self.path / "README.md").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None
        head = card.split("---")[1] if card.startswith("---") and card.count("---") > 1 else ""
        stated = re.search(r"^license:\s*[\"']?([\w.+-]+)", head, re.MULTILINE)
        return stated.group(1) if stated else None


def find_base(name: str, revision: str | None, *, weights: bool = True) -> Base:
    """Find the folder, or fetch the repository from the hub, and check it; without `weights` all but those.

    Raises TrainerError: `student_not_found`, `student_unreadable`, `pickle_weights`, `remote_code`.
    """
    path, commit = Path(name).expanduser(), None
    if not path.is_dir():
        if not HUB_ID.fullmatch(name):
            raise TrainerError(
                "student_not_found", f"{name} is neither a folder here nor an id on the Hugging Face hub"
            )
        path = _fetch(name, revision, weights)
        commit = path.name
    try:
        config = json.loads((path / "config.json").read_bytes())
    except (OSError, ValueError) as error:
        raise TrainerError("student_unreadable", f"{name} has no readable config.json: {error}") from error
    _refuse_code(name, config)
    if weights:
        _refuse_pickles(name, path)
    return Base(name, path, commit, config)


def find_teacher(name: str, revision: str | None, *, weights: bool = True) -> Base:
    """Find a model that teaches during a training, checked as a student's base is.

    Its refusals begin with `teacher_`. `weights=False`: somebody else holds them.
    """
    try:
        return find_base(name, revision, weights=weights)
    except TrainerError as error:
        reason = error.reason.removeprefix("student_")
        raise TrainerError(f"teacher_{reason}", str(error).replace("another student", "another teacher")) from error


def same_vocabulary(student: Base, tokenizer: Any, teacher: str, revision: str | None) -> None:
    """Refuse a teacher, a folder or hub id, to whom the student's tokens mean something else; fetches no weights.

    Raises TrainerError `tokenizer_mismatch`, `teacher_unreadable`.
    """
    from transformers import AutoConfig, AutoTokenizer

    folder = Path(teacher).expanduser()
    place = str(folder) if folder.is_dir() else teacher
    try:
        theirs = AutoTokenizer.from_pretrained(place, revision=revision, trust_remote_code=False).get_vocab()
        size = AutoConfig.from_pretrained(place, revision=revision, trust_remote_code=False).get_text_config()
    except (OSError, ValueError) as error:
        raise TrainerError("teacher_unreadable", f"the tokenizer of {teacher} cannot be loaded: {error}") from error
    mine = tokenizer.get_vocab()
    differing = [token for token, number in mine.items() if theirs.get(token) != number]
    sizes = (_text_config(student.config) or student.config).get("vocab_size"), size.vocab_size
    if differing:
        told = (
            f"{len(differing):,} of the student's {len(mine):,} tokens, such as {differing[0]!r}, have another id there"
        )
    elif sizes[0] != sizes[1]:
        told = f"the tokens are the same, but its weights count {sizes[1]:,} of them and the student's {sizes[0]:,}"
    else:
        return
    raise TrainerError(
        "tokenizer_mismatch",
        f"{teacher} cannot score the answers of {student.name}: {told}. Choose a teacher of the student's own family, "
        "or train on its answers (method `sft`), which any student can",
    )


def count_parameters(base: Base) -> int:
    """Count the parameters from the weights' headers; nothing is loaded, tied weights count once."""
    import math

    from safetensors import safe_open

    total = 0
    files = [file for file in base.path.glob("*.safetensors") if not file.name.startswith("consolidated")]
    for file in files:
        with safe_open(file, "np") as weights:
            total += sum(math.prod(weights.get_slice(name).get_shape()) for name in weights.keys())  # noqa: SIM118
    return total


def load_tokenizer(
    path: Path, chat_template: str | None = None, eos_token: str | None = None
) -> "PreTrainedTokenizerBase":
    """Load a tokenizer with a chat template, its own or that of the given Jinja file.

    Raises TrainerError: `student_unreadable`, `no_chat_template`, `unknown_token`.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(path, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise TrainerError("student_unreadable", f"the tokenizer of {path} cannot be loaded: {error}") from error
    if chat_template is not None:
        try:
            tokenizer.chat_template = Path(chat_template).read_text(encoding="utf-8")
        except OSError as error:
            raise TrainerError("no_chat_template", f"chat_template: {error}") from error
    if not tokenizer.chat_template:
        raise TrainerError(
            "no_chat_template", f"{path} has no chat template: name a Jinja file in `chat_template`, or another student"
        )
    if eos_token is not None:
        if eos_token not in tokenizer.get_vocab():
            raise TrainerError("unknown_token", f"eos_token {eos_token!r} is not in the student's vocabulary")
        tokenizer.eos_token = eos_token
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    return tokenizer


def load_model(path: Path, dtype: str, device: str) -> "PreTrainedModel":
    """Load a checked model's weights, as the class that its config names, onto a device."""
    import torch
    import transformers

    config = transformers.AutoConfig.from_pretrained(path, trust_remote_code=False)
    architecture: Any = getattr(transformers, (config.architectures or [""])[0], transformers.AutoModelForCausalLM)
    model = architecture.from_pretrained(path, dtype=getattr(torch, dtype), use_safetensors=True)
    return model.to(device).eval()


def stop_tokens(path: Path, tokenizer: Any) -> list[int]:
    """Return every token that ends a reply: the tokenizer's, and those of the model's generation settings."""
    try:
        stated = json.loads((path / "generation_config.json").read_bytes()).get("eos_token_id")
    except (OSError, ValueError):
        stated = None
    more = stated if isinstance(stated, list) else [stated]
    return sorted({token for token in [tokenizer.eos_token_id, *more] if isinstance(token, int)})


def _text_config(config: dict[str, Any]) -> dict[str, Any]:
    found = config.get("text_config")
    return found if isinstance(found, dict) else {}


def _fetch(name: str, revision: str | None, weights: bool) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    unwanted = [*UNWANTED, *([] if weights else ["*.safetensors"])]
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=list(WANTED), ignore_patterns=unwanted))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        raise TrainerError(
            "student_not_found", f"{name} is no folder here and cannot be fetched from the hub: {error}"
        ) from error


def _refuse_code(name: str, config: dict[str, Any]) -> None:
    """Refuse a model that needs Python of its own; one that merely brings some, and is known here, runs without it."""
    from transformers import CONFIG_MAPPING

    if config.get("auto_map") and config.get("model_type") not in CONFIG_MAPPING:
        raise TrainerError(
            "remote_code",
            f"{name} brings its own Python (auto_map in config.json), which would run here with your rights. "
            "Retort never runs a model's code: choose a student whose architecture transformers knows",
        )


def _refuse_pickles(name: str, path: Path) -> None:
    if any(path.glob("*.safetensors")):
        return
    pickles = [file.name for pattern in PICKLES for file in path.glob(pattern)]
    if pickles:
        raise TrainerError(
            "pickle_weights",
            f"{name} has its weights as a pickle ({pickles[0]}), which can run any code when it is opened. "
            "Convert it to safetensors on a machine you can lose, or choose another student",
        )
    raise TrainerError("student_unreadable", f"{name} has no *.safetensors: Retort loads no other kind of weights")
