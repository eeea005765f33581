"""The hash of a teacher's tokenizer: token ids mean nothing without knowing which one they are of."""

import hashlib
from pathlib import Path

from service.cli.terminal import Refused

FILE = "tokenizer.json"


def tokenizer_sha256(given: str, revision: str | None = None) -> str:
    """Return the SHA-256 of the `tokenizer.json` in a folder, at a path, or of a hub name `owner/name`.

    Of a hub name it comes out of the local cache, or from the hub where that can be reached. Raises Refused.
    """
    path = Path(given).expanduser()
    if path.is_dir():
        path /= FILE
    elif not path.is_file():
        path = _of_hub(given, revision)
    if not path.is_file():
        raise Refused(f"--tokenizer: {path.parent} holds no {FILE}; expected a model's folder, or a hub name")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _of_hub(name: str, revision: str | None) -> Path:
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import HFValidationError
    except ImportError as error:
        why = "a hub name needs the package huggingface_hub here; give the folder of the model instead"
        raise Refused(f"--tokenizer: there is no folder {name}, and {why}") from error
    try:
        return Path(hf_hub_download(name, FILE, revision=revision))
    except HFValidationError as error:
        raise Refused(f"--tokenizer: there is no folder {name}, and it is no hub name such as Qwen/Qwen3-4B") from error
    except (OSError, ValueError) as error:
        first = str(error).strip().partition("\n")[0]
        raise Refused(f"--tokenizer: no {FILE} of {name} in the cache or on the hub: {first}") from error
