"""`/docs`: the API's reference, made of its OpenAPI document; no script, nothing from elsewhere."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request, Response

from service.pages.rendering import page

router = APIRouter(include_in_schema=False)

METHODS = ("get", "post", "put", "patch", "delete")
SCHEMA = "#/components/schemas/"


@dataclass(frozen=True, slots=True)
class Field:
    """A parameter, or one field of a body: its type in words, and the schema that the type names, if any."""

    name: str
    place: str
    type: str
    schema: str
    required: bool
    default: Any
    description: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One route."""

    id: str
    method: str
    path: str
    summary: str
    description: str
    parameters: list[Field]
    takes: list[Field]
    gives: list[tuple[str, str, Field | None]]
    """Status, description, and what the body is."""


@router.get("/docs")
def reference(request: Request) -> Response:
    """Show every route with what it takes and gives."""
    document = request.app.openapi()
    rooms: dict[str, list[Operation]] = {}
    for path, said in document["paths"].items():
        for method in METHODS:
            if method in said:
                found = _operation(path, method, said[method])
                rooms.setdefault((said[method].get("tags") or ["other"])[0], []).append(found)
    schemas = document.get("components", {}).get("schemas", {})
    shapes = {name: (shape.get("description", ""), list(_fields(shape))) for name, shape in sorted(schemas.items())}
    info = document["info"]
    return page("reference.html", rooms=rooms, shapes=shapes, title=info["title"], version=info["version"])


def _operation(path: str, method: str, said: dict[str, Any]) -> Operation:
    parameters = [
        _field(each["name"], each["schema"] | each, place=each["in"], required=each.get("required", False))
        for each in said.get("parameters", ())
    ]
    body = said.get("requestBody", {})
    takes = [
        _field(kind, content.get("schema", {}), required=body.get("required", False))
        for kind, content in body.get("content", {}).items()
    ]
    gives = [
        (status, answer.get("description", ""), _body(answer)) for status, answer in said.get("responses", {}).items()
    ]
    text = body.get("description", "")
    description = "\n\n".join(part for part in (said.get("description", ""), text) if part)
    return Operation(
        f"{method}-{path}", method.upper(), path, said.get("summary", ""), description, parameters, takes, gives
    )


def _body(answer: dict[str, Any]) -> Field | None:
    for kind, content in answer.get("content", {}).items():
        return _field(kind, content.get("schema", {}))
    return None


def _fields(shape: dict[str, Any]) -> Iterator[Field]:
    required = shape.get("required", ())
    for name, said in shape.get("properties", {}).items():
        yield _field(name, said, required=name in required)


def _field(name: str, said: dict[str, Any], *, place: str = "", required: bool = False) -> Field:
    words, schema = _type(said)
    return Field(name, place, words, schema, required, said.get("default"), said.get("description", ""))


def _type(said: dict[str, Any]) -> tuple[str, str]:
    """Return a schema in words, and the name of the schema that it refers to."""
    if "$ref" in said:
        name = said["$ref"].removeprefix(SCHEMA)
        return name, name
    for union in ("anyOf", "oneOf", "allOf"):
        if union in said:
            parts = [_type(part) for part in said[union]]
            return " or ".join(dict.fromkeys(words for words, _ in parts)), next(
                (name for _, name in parts if name), ""
            )
    if "enum" in said:
        return " or ".join(f"“{value}”" for value in said["enum"]), ""
    if "const" in said:
        return f"“{said['const']}”", ""
    kind = said.get("type", "any value")
    if kind == "array":
        words, name = _type(said.get("items", {}))
        return f"list of {words}", name
    return f"{kind}{_bounds(said)}", ""


def _bounds(said: dict[str, Any]) -> str:
    named = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    found = [f"{sign} {said[name]:,}" for name, sign in named.items() if name in said]
    if "maxLength" in said:
        found.append(f"at most {said['maxLength']:,} characters")
    return f", {', '.join(found)}" if found else ""
