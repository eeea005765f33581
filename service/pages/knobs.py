"""A filter's knobs as fields of a form, made of its JSON schema, and what a form holds turned back into knobs.

No filter has a form of its own: a new one is edited here as soon as it stands in `FILTERS`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from filters.recipe import FILTERS

Widget = Literal["choice", "choices", "number", "line", "text", "lines", "json"]
LONG_CHARS = 2000
"""A text that may be longer than this gets a field of several lines."""
BOOLEANS = ("true", "false")


@dataclass(frozen=True, slots=True)
class Knob:
    """One field: how it is entered, between which bounds, and what it is for."""

    name: str
    reason: str
    widget: Widget
    choices: tuple[str, ...]
    least: float | None
    most: float | None
    whole: bool
    required: bool
    default: Any

    def shown(self, value: Any) -> list[str]:
        """Return the texts that the field holds for a value: several where several choices are ticked."""
        if value is None:
            return []
        if self.widget == "json":
            return [json.dumps(value, ensure_ascii=False, indent=1)] if value else []
        if isinstance(value, bool):
            return [str(value).lower()]
        if isinstance(value, list | tuple):
            return [str(part) for part in value]
        return [str(value)]

    def read(self, texts: Sequence[str]) -> Any:
        """Return the value of what a form sent. What cannot be read stays text: the recipe says what it expected."""
        said = [text.strip() for text in texts if text.strip()]
        if self.widget == "choices":
            return said
        if self.widget == "lines":
            return [line.strip() for text in said for line in text.splitlines() if line.strip()]
        if not said:
            return [] if self.widget == "json" and not self.required else None
        if self.choices == BOOLEANS:
            return said[0] == "true"
        if self.widget in ("number", "json"):
            return _json(said[0])
        return said[0]


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


@cache
def knobs(kind: str) -> tuple[Knob, ...]:
    """Return the knobs of a filter in the order in which it declares them."""
    schema = FILTERS[kind].model_json_schema()
    required = schema.get("required", ())
    return tuple(_knob(name, said, name in required) for name, said in schema["properties"].items() if name != "kind")


@cache
def purpose(kind: str) -> str:
    """Return what a filter does: the first paragraph of its description."""
    return " ".join((FILTERS[kind].__doc__ or "").partition("\n\n")[0].split())


def _knob(name: str, said: dict[str, Any], required: bool) -> Knob:
    shape = next((part for part in said.get("anyOf", ()) if part.get("type") != "null"), said)
    widget, choices = _widget(shape)
    whole = shape.get("type") == "integer"
    least = shape.get("minimum", shape.get("exclusiveMinimum"))
    if whole and "exclusiveMinimum" in shape:
        least = shape["exclusiveMinimum"] + 1
    return Knob(
        name,
        said.get("description", ""),
        widget,
        choices,
        least,
        shape.get("maximum", shape.get("exclusiveMaximum")),
        whole,
        required,
        said.get("default"),
    )


def _widget(shape: dict[str, Any]) -> tuple[Widget, tuple[str, ...]]:
    kind, items = shape.get("type"), shape.get("items", {})
    if "enum" in shape:
        return "choice", tuple(map(str, shape["enum"]))
    if kind == "boolean":
        return "choice", BOOLEANS
    if kind in ("integer", "number"):
        return "number", ()
    if kind == "array" and "enum" in items:
        return "choices", tuple(map(str, items["enum"]))
    if kind == "array" and items.get("type") == "string":
        return "lines", ()
    if kind == "string":
        return ("text" if shape.get("maxLength", 0) > LONG_CHARS else "line"), ()
    return "json", ()


def from_form(kind: str, texts: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Return a filter of a recipe from the texts of its fields; what is as it would be by itself is left out."""
    found: dict[str, Any] = {"kind": kind}
    for knob in knobs(kind):
        if knob.name not in texts:
            continue
        value = knob.read(texts[knob.name])
        if value != knob.default and not (knob.required and value in (None, [])):
            found[knob.name] = value
    return found
