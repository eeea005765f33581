"""Prompts of what a base could do before, from a file of one's own: is the student still able to?"""

import json
from pathlib import Path
from typing import Any

from filters.verifiers import VERIFIERS
from trainer.errors import TrainerError
from trainer.questions import UNCATEGORISED, Question

RETAINED_SET = "retained"
KNOWN = {"id", "prompt", "messages", "reference", "verifier", "category", "source", "license", "meta"}


def read_retained(file: Path, default_verifier: str) -> list[Question]:
    """Read a JSONL file of prompts as `retort submit` takes them; each needs a reference that can be compared.

    Raises TrainerError `retained_unreadable`, naming line and field.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise TrainerError("retained_unreadable", f"{file} cannot be read: {error}") from error
    questions = [_read(file, number, line, default_verifier) for number, line in enumerate(lines, 1) if line.strip()]
    if not questions:
        raise TrainerError("retained_unreadable", f"{file} holds no prompt")
    return questions


def _read(file: Path, number: int, line: str, default_verifier: str) -> Question:
    def refused(what: str) -> TrainerError:
        return TrainerError("retained_unreadable", f"{file}, line {number}: {what}")

    try:
        row: Any = json.loads(line)
    except ValueError as error:
        raise refused(f"no JSON: {error}") from None
    if not isinstance(row, dict) or ("prompt" in row) == ("messages" in row):
        raise refused('expected an object with either `prompt` or `messages`, such as {"prompt": …, "reference": …}')
    if unknown := sorted(row.keys() - KNOWN):
        raise refused(f"unknown field {unknown[0]!r}; known are {', '.join(sorted(KNOWN))}")
    messages = row.get("messages") or [{"role": "user", "content": row.get("prompt")}]
    if not all(isinstance(message, dict) and isinstance(message.get("content"), str) for message in messages):
        raise refused("`prompt` must be text, `messages` a list of messages with `role` and `content` as text")
    verifier, reference = row.get("verifier") or default_verifier, str(row.get("reference") or "")
    if verifier not in VERIFIERS:
        raise refused(f"unknown verifier {verifier!r}; there are {', '.join(VERIFIERS)}")
    if not reference.strip() or not VERIFIERS[verifier].gradable(reference):
        raise refused(f"`reference` is {reference!r}, which the verifier {verifier!r} cannot compare an answer with")
    return Question(RETAINED_SET, number, row.get("category") or UNCATEGORISED, messages, reference, verifier)
