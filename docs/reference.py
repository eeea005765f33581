"""The reference pages, written from the code while mkdocs builds the site: nothing kept that could go stale."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from filters.manifest import Manifest
from filters.recipe import FILTERS, Recipe
from service.cli import app
from service.settings import Settings
from trainer.methods import METHODS

ROOT = Path(__file__).parent
VERBS = ("get", "post", "put", "patch", "delete")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages to the site; called by mkdocs."""
    for name, write in PAGES.items():
        files.append(File.generated(config, f"reference/{name}.md", content="\n".join(write()) + "\n"))
    return files


def settings() -> Iterator[str]:
    """Yield the page of every setting."""
    yield "# Settings\n"
    yield "Read from the environment once, when a process starts.\n"
    yield "| variable | default | meaning |\n|---|---|---|"
    for name, field in Settings.model_fields.items():
        default = "none" if field.default is None else f"`{field.default}`" if field.default != "" else "empty"
        yield f"| `RETORT_{name.upper()}` | {default} | {_cell(field.description)} |"


def command_line() -> Iterator[str]:
    """Yield the page of every command of `retort`, with its arguments and options."""
    root = typer.main.get_command(app)
    yield f"# Command line\n\n```text\n{_help(root)}\n```\n"
    for path, command in _commands(root, ["retort"]):
        yield f"## `{' '.join(path)}`\n\n{_help(command)}\n"
        told = [_option(parameter) for parameter in command.params if parameter.name != "help"]
        if told:
            yield "| argument or option | default | meaning |\n|---|---|---|"
            yield from told
            yield ""


def recipe() -> Iterator[str]:
    """Yield the page of recipes: every filter with its knobs."""
    yield "# Recipes and filters\n\nA recipe is an ordered list of filters; the first rejection wins.\n"
    yield from _table(Recipe.model_json_schema())
    for kind, filter_ in FILTERS.items():
        yield f"## `{kind}`\n\n{_text(filter_.__doc__)}\n\nVersion {filter_.version}.\n"
        yield from _table(filter_.model_json_schema(), skip={"kind"})


def methods() -> Iterator[str]:
    """Yield the page of training methods: every one with its knobs."""
    yield "# Training methods\n\n`retort train … --method NAME --set-knob KNOB=VALUE`\n"
    for name, method in METHODS.items():
        yield f"## `{name}`\n\n{method.summary}\n"
        schema = method.config.model_json_schema()
        yield from _table(schema)
        yield from _definitions(schema, level=3)


def manifest() -> Iterator[str]:
    """Yield the page of `manifest.json`."""
    schema = Manifest.model_json_schema()
    yield f"# `manifest.json`\n\n{_text(schema.get('description'))}\n"
    yield "The JSON Schema itself: [manifest.schema.json](../manifest.schema.json).\n"
    yield from _table(schema)
    yield from _definitions(schema, level=2)


def api() -> Iterator[str]:
    """Yield the page of every route, from the OpenAPI file."""
    document = json.loads((ROOT / "openapi.json").read_bytes())
    yield "# HTTP API\n\nThe OpenAPI file itself: [openapi.json](../openapi.json).\n"
    routes = [(verb, path, route) for path, verbs in document["paths"].items() for verb, route in verbs.items()]
    for tag in dict.fromkeys(route.get("tags", ["other"])[0] for verb, _, route in routes if verb in VERBS):
        yield f"## {tag}\n"
        for verb, path, route in routes:
            if verb in VERBS and route.get("tags", ["other"])[0] == tag:
                yield from _route(verb, path, route)
    yield "## Shapes\n"
    for name, schema in document["components"]["schemas"].items():
        yield f"### {name}\n\n{_text(schema.get('description'))}\n"
        yield from _table(schema)


def _route(verb: str, path: str, route: dict[str, Any]) -> Iterator[str]:
    yield f"### `{verb.upper()} {path}`\n\n{_text(route.get('description'))}\n"
    if route.get("parameters"):
        yield "| parameter | in | type | meaning |\n|---|---|---|---|"
        for given in route["parameters"]:
            name = f"`{given['name']}`" + ("" if given.get("required") else ", optional")
            yield f"| {name} | {given['in']} | {_kind(given['schema'])} | {_cell(given.get('description'))} |"
        yield ""
    for kind, body in route.get("requestBody", {}).get("content", {}).items():
        yield f"Body: {_kind(body.get('schema', {}))} (`{kind}`)\n"
    for code, answer in route["responses"].items():
        shapes = [_kind(content["schema"]) for content in answer.get("content", {}).values() if content.get("schema")]
        if code.startswith("2") and shapes:
            yield f"Returns {code}: {', '.join(shapes)}\n"


def _commands(command: Any, path: list[str]) -> Iterator[tuple[list[str], Any]]:
    for name, below in sorted(getattr(command, "commands", {}).items()):
        if getattr(below, "commands", None):
            yield from _commands(below, [*path, name])
        else:
            yield [*path, name], below


def _help(command: Any) -> str:
    return (command.help or "").replace("\b", "").strip()


def _option(parameter: Any) -> str:
    names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
    if parameter.param_type_name == "argument":
        names = f"`{(parameter.name or '').upper()}`"
    default = parameter.default if parameter.default not in (None, (), [], False) else None
    default = "required" if parameter.required else "" if default is None or callable(default) else f"`{default}`"
    return f"| {names} | {default} | {_cell(getattr(parameter, 'help', None))} |"


def _definitions(schema: dict[str, Any], level: int) -> Iterator[str]:
    for name, definition in schema.get("$defs", {}).items():
        yield f"{'#' * level} {name}\n\n{_text(definition.get('description'))}\n"
        yield from _table(definition)


def _table(schema: dict[str, Any], skip: frozenset[str] | set[str] = frozenset()) -> Iterator[str]:
    fields = {name: field for name, field in schema.get("properties", {}).items() if name not in skip}
    if not fields:
        if schema.get("enum"):
            yield "One of " + ", ".join(f"`{value}`" for value in schema["enum"]) + ".\n"
        return
    yield "| name | type | default | meaning |\n|---|---|---|---|"
    for name, field in fields.items():
        default = "required" if name in schema.get("required", []) else _default(field)
        yield f"| `{name}` | {_kind(field)} | {default} | {_cell(field.get('description'))} |"
    yield ""


def _default(field: dict[str, Any]) -> str:
    if "default" not in field:
        return ""
    value = field["default"]
    return "none" if value is None else f"`{json.dumps(value)}`".replace("|", "\\|")


def _kind(schema: dict[str, Any]) -> str:
    """Return a schema's type in a few words."""
    if "$ref" in schema:
        return schema["$ref"].rpartition("/")[2]
    for several in ("anyOf", "oneOf", "allOf"):
        if several in schema:
            return " or ".join(dict.fromkeys(_kind(part) for part in schema[several]))
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    bounds = [f"{sign} {schema[key]}" for key, sign in BOUNDS.items() if key in schema]
    return " ".join([schema.get("type", "any"), *bounds])


BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


def _text(words: str | None) -> str:
    return "\n".join(line.strip() for line in (words or "").strip().splitlines())


def _cell(words: str | None) -> str:
    return " ".join((words or "").split()).replace("|", "\\|")


PAGES = {
    "settings": settings,
    "command-line": command_line,
    "recipe": recipe,
    "methods": methods,
    "manifest": manifest,
    "api": api,
}
"""The generated pages by file name."""
