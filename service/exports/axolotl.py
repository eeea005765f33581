"""`axolotl`: conversations for its data type `chat_template`, each message saying whether it is trained on."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from service.exports import answer
from service.exports.form import ExportFormat, Reasoning, Wish
from service.exports.sealed import Sealed

SECTIONS = {"train": "datasets", "eval": "test_datasets"}
"""Where its configuration names the files of a split; it has no place for a third one."""


def _rows(sealed: Sealed, split: str, wish: Wish) -> Iterator[dict[str, Any]]:
    for row in sealed.kept(split):
        # Earlier answers of a conversation are part of the prompt: the teacher did not give them.
        asked = [message | {"train": False} for message in row["prompt"]]
        yield {"messages": [*asked, answer.message(row, wish) | {"train": True}], **answer.ids(row)}


def _settings(name: str, files: Mapping[str, str], wish: Wish) -> tuple[str, str]:
    lines = [f"# {name}: put this into your configuration, and the paths as seen from where you start."]
    for split, file in files.items():
        if split not in SECTIONS:
            continue
        lines += [
            f"{SECTIONS[split]}:",
            f"  - path: {json.dumps(file)}",
            "    ds_type: json",
            "    split: train",
            "    type: chat_template",
            "    field_messages: messages",
            "    roles_to_train: []",
            "    message_field_training: train",
        ]
        if wish.reasoning == Reasoning.FIELD:
            # Where it looks for reasoning, and what it calls it for the template.
            lines += [f"    {name}: {wish.reasoning_key}" for name in ("field_thinking", "template_thinking_key")]
        elif wish.reasoning == Reasoning.INLINE:
            lines.append("    split_thinking: true")
    return "axolotl.yaml", "\n".join(lines) + "\n"


FORMAT = ExportFormat("axolotl", "Axolotl (chat_template)", _rows, settings=_settings)
