"""The site is built without a warning, and nothing that a person can set or call goes undocumented."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main

from filters.recipe import FILTERS
from filters.sample import Sample
from service.cli import app
from tests.docs.blocks import ROOT, blocks
from trainer.methods import METHODS

DOCUMENT = json.loads((ROOT / "docs" / "openapi.json").read_bytes())
ROUTES = [(verb, path) for path, verbs in DOCUMENT["paths"].items() for verb in verbs if verb != "parameters"]


def commands(command: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    below = getattr(command, "commands", {})
    found = {} if below else {path: command}
    for name, each in below.items():
        found |= commands(each, (*path, name))
    return found


COMMANDS = commands(typer.main.get_command(app))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(folder)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return folder


def test_the_site_is_built_and_loads_nothing_from_elsewhere(site):
    page = (site / "index.html").read_text()
    assert "Tutorial: a tiny teacher" in page
    for tag in ('src="http', 'stylesheet" href="http'):
        assert tag not in page


def test_every_route_is_in_the_reference(site):
    page = (site / "reference" / "api" / "index.html").read_text()
    assert len(ROUTES) > 50
    assert not [path for verb, path in ROUTES if f"<code>{verb.upper()} {path}</code>" not in page]


def test_every_command_is_in_the_reference(site):
    page = (site / "reference" / "command-line" / "index.html").read_text()
    assert len(COMMANDS) > 30
    assert not [path for path in COMMANDS if f"<code>retort {' '.join(path)}</code>" not in page]


@pytest.mark.parametrize(("verb", "path"), ROUTES)
def test_every_route_says_what_it_does(verb, path):
    assert DOCUMENT["paths"][path][verb].get("description")


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_says_what_it_does_and_every_option_what_it_means(path):
    command = COMMANDS[path]
    assert command.help
    assert not [each.name for each in command.params if each.name != "help" and not getattr(each, "help", None)]


@pytest.mark.parametrize("kind", FILTERS)
def test_every_knob_of_a_filter_says_why(kind):
    knobs = FILTERS[kind].model_json_schema()["properties"]
    assert not [name for name, knob in knobs.items() if name != "kind" and not knob.get("description")]


@pytest.mark.parametrize("name", METHODS)
def test_every_knob_of_a_method_says_why(name):
    knobs = METHODS[name].config.model_json_schema()["properties"]
    assert not [knob for knob, field in knobs.items() if not field.get("description")]


def test_the_filter_of_the_how_to_works_as_it_stands():
    (code,) = blocks("docs/how-to/add-a-filter.md", "python")
    made: dict[str, Any] = {"__name__": "filters.shouting"}
    exec(code, made)  # noqa: S102  the page's own code is what is tested
    shouting = made["Shouting"]()

    def said(response: str) -> str:
        return shouting.check(Sample(id=1, prompt_id=1, messages=[], response=response)).reason

    assert said("THIS IS LOUD") == "shouting"
    assert said("NASA sent a probe.") == ""
    assert said("") == ""
