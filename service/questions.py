"""Questions from passages: how a teacher is asked for one, and what of its reply becomes a prompt."""

import json
import re
from dataclasses import dataclass
from typing import Any

from service.documents import Passage, draw

ANGLES = (
    "about a fact that is stated there",
    "about why something is so, or what follows from it",
    "about how something is done or works, in its steps",
    "that has to put two statements together",
    "about a number, a date, a place or a name",
    "about how two things differ or what they have in common",
)
"""What is asked for, so that the questions of one text differ; the seed says where in the list a passage begins."""
QUESTION_CHARACTERS = (8, 2000)
TRIES_MAX = 20
"""Opening braces at which an object is looked for in a reply."""
POINTS_BACK = re.compile(
    r"\b(passages?|(the|this|that) (given |above |provided )?"
    r"(text|article|excerpt|document|author|paragraph|section))\b",
    re.IGNORECASE,
)

ASK = """\
Write one question that the text between the lines of dashes answers.

- Somebody who has never seen the text must understand it: name what it is about, and do not speak of a text, \
a passage or an author.
- It has one definite answer, and the text says it or leaves no doubt about it.
- Ask {angle}.
- Write in the language of the text.

Reply with a JSON object and nothing else: {shape}

----------
{text}
----------"""
SHAPE, SHAPE_WITH_ANSWER = '{"question": "..."}', '{"question": "...", "answer": "the answer, as short as it can be"}'


@dataclass(frozen=True, slots=True)
class Question:
    """A usable reply."""

    question: str
    answer: str | None


@dataclass(frozen=True, slots=True)
class Unusable:
    """Why a reply is none: a stable word, and what was seen."""

    reason: str
    detail: str = ""


def ask(passage: Passage, number: int, *, seed: int, answers: bool, category: str = "") -> dict[str, Any]:
    """Return the native prompt line that asks a teacher for the passage's question `number`, from 0."""
    sha256 = passage.sha256
    angle = ANGLES[(draw(seed, sha256) + number) % len(ANGLES)]
    text = ASK.format(angle=angle, shape=SHAPE_WITH_ANSWER if answers else SHAPE, text=passage.text)
    document = passage.document
    origin = {"document": document.id, "start": passage.start, "end": passage.end, "sha256": sha256, "seed": seed}
    return {
        "id": f"{document.id[-400:]}:{passage.start}-{passage.end}.{number}",
        "prompt": text,
        "category": category,
        "source": document.source,
        "license": document.license,
        "meta": {"passage": origin, "angle": angle, "answers": answers},
    }


def read(response: str, finish_reason: str, *, answers: bool) -> Question | Unusable:
    """Return the question that a teacher wrote, with its answer where one was asked for, or why it is unusable."""
    if not response.strip():
        return Unusable("empty")
    found = _object(response)
    if found is None:
        reason = "truncated" if finish_reason == "length" else "not_json"
        return Unusable(reason, response.strip()[:200])
    question = found.get("question")
    if not isinstance(question, str) or not question.strip():
        return Unusable("no_question", str(question)[:200])
    question = question.strip()
    least, most = QUESTION_CHARACTERS
    if not least <= len(question) <= most:
        return Unusable("too_short" if len(question) < least else "too_long", question[:200])
    if back := POINTS_BACK.search(question):
        return Unusable("refers_to_passage", back.group())
    answer = found.get("answer")
    said = "" if answer is None or isinstance(answer, dict | list) else str(answer).strip()
    if answers and not said:
        return Unusable("no_answer", question[:200])
    return Question(question, said if answers else None)


def same(question: str) -> str:
    """Return what two questions share that differ in case and spaces alone."""
    return " ".join(question.casefold().split())


def line(question: Question, asked: dict[str, Any]) -> dict[str, Any]:
    """Return the native prompt line of a question. `asked` is the trace it stands in, with its prompt's columns."""
    meta = asked["meta"] | {"trace": asked["trace"], "batch": asked["batch"], "teacher": asked["teacher"]}
    made: dict[str, Any] = {"id": f"trace-{asked['trace']}", "prompt": question.question}
    if question.answer is not None:
        made["reference"] = question.answer
    return made | {name: asked[name] for name in ("category", "source", "license") if asked[name]} | {"meta": meta}


def _object(response: str) -> dict[str, Any] | None:
    """Return the first JSON object in a reply that has a question; models put words and fences around it."""
    start = -1
    for _ in range(TRIES_MAX):
        start = response.find("{", start + 1)
        if start < 0:
            return None
        try:
            # Not strict: models leave line breaks in their texts.
            found, _ = json.JSONDecoder(strict=False).raw_decode(response, start)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict) and "question" in found:
            return found
    return None
