"""The trainer's methods and their knobs, as people name them. Nothing here imports the trainer.

A misspelt method is refused before a run is ordered; what the knobs of each may be, the trainer alone knows.
"""

import json
from typing import Any, Literal

TrainingMethod = Literal["sft", "soft_label", "on_policy", "staged", "self", "preference"]
METHODS: dict[TrainingMethod, str] = {
    "sft": "Supervised fine-tuning on the teacher's traces.",
    "soft_label": "Learning the teacher's distribution over each token.",
    "on_policy": "The student answers, and a teacher scores every token, here or on a vLLM server.",
    "staged": "The teacher's answers train an assistant, its answers the student.",
    "self": "Generations of the student, each on the last one's answers.",
    "preference": "Right answers before wrong ones to the same prompt.",
}
"""Those of `trainer.methods`, word for word (a test sees to it)."""


def set_knob(knobs: dict[str, Any], text: str) -> None:
    """Set one knob as KEY=VALUE says, a nested one as `lora.rank=8`; the value is JSON where it is that, else text.

    Raises ValueError.
    """
    name, equals, value = (part.strip() for part in text.partition("="))
    if not (name and equals):
        raise ValueError(f"{text!r}: expected KEY=VALUE, such as learning_rate=1e-4")
    *outer, last = name.split(".")
    for key in outer:
        inner = knobs.setdefault(key, {})
        if not isinstance(inner, dict):
            raise ValueError(f"{text!r}: {key} holds {inner!r}, no knobs of its own")
        knobs = inner
    try:
        knobs[last] = json.loads(value)
    except ValueError:
        knobs[last] = value


def read_knobs(text: str) -> dict[str, Any]:
    """Return the knobs that a text sets, KEY=VALUE, one a line. Raises ValueError."""
    knobs: dict[str, Any] = {}
    for line in text.split("\n"):
        if line.strip():
            set_knob(knobs, line)
    return knobs


def knob_texts(knobs: dict[str, Any], prefix: str = "") -> list[str]:
    """Return the KEY=VALUE of each knob: what `read_knobs` makes the same knobs of."""
    texts = []
    for name, value in knobs.items():
        if isinstance(value, dict) and value:
            texts += knob_texts(value, f"{prefix}{name}.")
        else:
            texts.append(f"{prefix}{name}={_plain(value)}")
    return texts


def _plain(value: Any) -> str:
    """Return a value without the quotes that it can do without."""
    text = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, str) or value != value.strip() or "\n" in value or "\r" in value:
        return text
    try:
        json.loads(value)
    except ValueError:
        return value
    return text
