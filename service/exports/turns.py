"""A conversation as LLaMA-Factory wants it: one system text, then strictly by turns."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

Turn = tuple[str, str]
"""Who speaks, `user`, `assistant` or `tool`, and what."""
SYSTEM = frozenset({"system", "developer"})


def by_turns(messages: Sequence[Mapping[str, str]]) -> tuple[str, list[Turn]]:
    """Return the system text and the turns; what stands twice in a row on one side is one turn, a blank line between.

    The sides are those who ask (user, tool) and the assistant; a conversation that the assistant opens gets an empty
    question before it.
    """
    system = "\n\n".join(message["content"] for message in messages if message["role"] in SYSTEM)
    turns: list[Turn] = []
    for message in messages:
        role, said = message["role"], message["content"]
        if role in SYSTEM:
            continue
        if turns and (turns[-1][0] == "assistant") == (role == "assistant"):
            turns[-1] = (turns[-1][0], f"{turns[-1][1]}\n\n{said}")
        else:
            turns += [("user", ""), (role, said)] if not turns and role == "assistant" else [(role, said)]
    return system, turns


def dataset_info(name: str, files: Mapping[str, str], entry: Mapping[str, Any]) -> tuple[str, str]:
    """Return LLaMA-Factory's `dataset_info.json` with one data set for each split's file."""
    sets = {f"{name}-{split}": {"file_name": file, **entry} for split, file in files.items()}
    return "dataset_info.json", json.dumps(sets, indent=2) + "\n"
