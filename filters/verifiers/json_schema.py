"""Does the response's JSON fit the reference, a JSON schema?

The JSON is the last fenced block (one marked `json` before others), else the whole response. Schemas refer to
themselves and to the published drafts; nothing is ever fetched.
"""

import json
import re
from functools import lru_cache
from typing import Any

from filters.verdict import KEEP, Verdict, abstain, reject
from filters.verifiers.answer import EVIDENCE_CHARS_MAX, no_answer

EXAMPLE = ("{}", '{"type": "object", "properties": {"a": {"$ref": "#"}}}')
"""What a fresh process judges first, so that no item pays for loading the drafts."""
SCHEMA_CHARS_MAX = 20_000
DEPTH_MAX = 40
"""Of a schema: deeper ones are nobody's."""
_FENCE = re.compile(r"^[ \t]*```[ \t]*(?P<tag>[\w+-]*)[^\n]*$", re.MULTILINE)
_TYPES = {"null", "boolean", "object", "array", "number", "string", "integer", "any"}
_DATA = {"const", "enum", "default", "examples"}
"""What stands under these is no schema, whatever it looks like."""
_WORDS = {
    "type",
    "properties",
    "required",
    "items",
    "enum",
    "const",
    "allOf",
    "anyOf",
    "oneOf",
    "not",
    "$ref",
    "format",
}
_WORDS |= {"minimum", "maximum", "pattern", "minItems", "maxItems", "minLength", "maxLength", "additionalProperties"}
_WORDS |= {"if", "contains", "prefixItems", "patternProperties", "propertyNames", "uniqueItems", "multipleOf"}
_WORDS |= {"exclusiveMinimum", "exclusiveMaximum", "minProperties", "maxProperties", "dependentRequired", "$dynamicRef"}


def gradable(reference: str) -> bool:
    """Tell whether the reference is a schema that says something and refers to nothing that would have to be fetched.

    Looks at its JSON and types alone, in linear time; that it keeps to its draft is for `verify`, in the pool.
    """
    schema = _schema(reference)
    return isinstance(schema, dict) and not _WORDS.isdisjoint(schema) and _is_sound(schema)


def quick(response: str, reference: str) -> Verdict | str:
    """Say where there is no JSON at all; else return the JSON, for patterns in a schema may take any time."""
    if not gradable(reference):
        return _not_gradable("the reference is no JSON schema", reference)
    text = _found(response)
    try:
        json.loads(text)
    except (ValueError, RecursionError) as error:
        return no_answer(f"the response holds no JSON: {str(error)[:100]}", reference, extracted=text[:200])
    return text


def verify(response: str, reference: str) -> Verdict:
    """Keep where the JSON is valid; reject as `schema_mismatch` with the first error and where it is."""
    from jsonschema.exceptions import SchemaError, best_match
    from referencing.exceptions import Unresolvable

    part = quick(response, reference)
    if isinstance(part, Verdict):
        return part
    try:
        error: Any = best_match(_validator(reference).iter_errors(json.loads(part)))
    except SchemaError as broken:
        return _not_gradable(f"the schema breaks its own draft: {broken.message[:150]}", reference)
    except (Unresolvable, re.error, RecursionError) as broken:
        return _not_gradable(f"the schema cannot be applied: {str(broken)[:150]}", reference)
    if error is None:
        return KEEP
    return reject(
        "schema_mismatch",
        error.message[:EVIDENCE_CHARS_MAX],
        at=error.json_path[:EVIDENCE_CHARS_MAX],
        rule=str(error.validator),
        extracted=part[:EVIDENCE_CHARS_MAX],
    )


@lru_cache(maxsize=64)
def _schema(reference: str) -> Any:
    if len(reference) > SCHEMA_CHARS_MAX:
        return None
    try:
        return json.loads(reference)
    except (ValueError, RecursionError):
        return None


@lru_cache(maxsize=64)
def _validator(reference: str) -> Any:
    from jsonschema.validators import Draft202012Validator, validator_for
    from jsonschema_specifications import REGISTRY

    schema = _schema(reference)
    draft = validator_for(schema, default=Draft202012Validator)
    draft.check_schema(schema)
    # With a registry given, what is not in it is an error; without one jsonschema would fetch it.
    return draft(schema, registry=REGISTRY, format_checker=draft.FORMAT_CHECKER)


def _is_sound(schema: Any) -> bool:
    """Whether types exist, every reference stays within the schema or the drafts, and nothing lies too deep."""
    level = [schema]
    for _ in range(DEPTH_MAX):
        deeper: list[Any] = []
        for node in level:
            if isinstance(node, dict):
                target, type_ = node.get("$ref"), node.get("type")
                if isinstance(target, str) and not target.startswith(("#", "https://json-schema.org/draft")):
                    return False
                if isinstance(type_, str) and type_ not in _TYPES:
                    return False
                deeper.extend(value for key, value in node.items() if key not in _DATA)
            elif isinstance(node, list):
                deeper.extend(node)
        level = deeper
        if not level:
            return True
    return False


def _found(response: str) -> str:
    """Return the last fenced block, of those marked `json` if there are any; else the whole response."""
    fences = list(_FENCE.finditer(response))
    blocks = [
        (fences[at]["tag"].casefold(), response[fences[at].end() : fences[at + 1].start()])
        for at in range(0, len(fences) - 1, 2)
    ]
    marked = [text for tag, text in blocks if tag in {"json", "jsonc", "json5"}]
    chosen = marked or [text for _, text in blocks]
    return (chosen[-1] if chosen else response).strip()


def _not_gradable(detail: str, reference: str) -> Verdict:
    return abstain("reference_not_gradable", detail, expected=reference[:EVIDENCE_CHARS_MAX])
