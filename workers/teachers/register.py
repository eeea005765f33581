"""The command that makes a server known to Retort, printed by whatever starts one."""

import re
import shlex


def register_command(
    served: str, base_url: str, model: str, api_key_env: str | None = None, tokenizer: str | None = None
) -> str:
    """Return a `retort teacher add` line; `served` is made into a name that registering accepts.

    `tokenizer` is a folder or a hub name: with its hash, token ids that are stored keep their meaning.
    """
    name = re.sub(r"[^a-z0-9._-]+", "-", served.lower()).lstrip("._-")[:64] or "teacher"
    key = ["--api-key-env", api_key_env] if api_key_env else []
    known = ["--tokenizer", tokenizer] if tokenizer else []
    return shlex.join(["retort", "teacher", "add", name, base_url, model, *key, *known, "--license", "LICENCE"])
