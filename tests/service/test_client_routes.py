"""The Python client has a method for every native route, or a reason why not."""

import inspect
import io
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from service.client import Client
from service.connection import Connection, RetortError

WITHOUT = {
    ("GET", "/api/events"): "`Client.events` streams it without end; its own tests do",
    ("GET", "/api/runs/{run_id}/events"): "`Client.events(run_id)` tells the same",
}
METHODS = [
    name
    for name, method in inspect.getmembers(Client, inspect.isfunction)
    if not name.startswith("_") and not hasattr(Connection, name)
]


def arguments(method: Any, file: Path) -> dict[str, Any]:
    """Something for each parameter that must be given; nothing of it exists, and the answer is an error mostly."""
    by_kind = {"str": "none", "int": 1, "Path": file, "BinaryIO": io.BytesIO(), "Object": {}, "Prompts": [{}]}
    found: dict[str, Any] = {}
    for name, parameter in list(inspect.signature(method).parameters.items())[1:]:
        if parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD:
            kind = getattr(parameter.annotation, "__name__", str(parameter.annotation))
            found[name] = by_kind.get(kind, by_kind["Object"] if parameter.annotation == dict[str, Any] else ["none"])
            if "Literal" in str(parameter.annotation) or parameter.annotation == str | None:
                found[name] = "none"
    return found


def ask(retort: Client, name: str, file: Path, **changed: Any) -> None:
    method = getattr(retort, name)
    try:
        answer = method(**arguments(getattr(Client, name), file) | changed)
        if inspect.isgenerator(answer):
            next(answer, None)
    except RetortError:
        pass  # nothing is there: what counts is that the route was asked


def asked(client: TestClient) -> set[tuple[str, str]]:
    """The routes that were asked, as the service's own figures tell."""
    families = text_string_to_metric_families(client.get("/metrics").text)
    found = next(family for family in families if family.name == "retort_http_requests")
    return {(sample.labels["method"], sample.labels["route"]) for sample in found.samples}


@pytest.mark.filterwarnings("ignore:You should not use the 'timeout' argument with the TestClient")
def test_every_native_route_has_a_client_method_or_a_reason(client: TestClient, tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text("{}\n")
    retort = Client()
    retort.close()
    retort._http = client
    for name in METHODS:
        ask(retort, name, file)
    ask(retort, "rewrite", file, source="none@1")
    native = {
        (method, route.path)
        for route in client.app.routes  # pyright: ignore[reportAttributeAccessIssue]
        if isinstance(route, APIRoute) and route.path.startswith(("/api/", "/healthz", "/readyz", "/metrics"))
        for method in route.methods
    }
    assert native - asked(client) == set(WITHOUT)


@pytest.mark.parametrize("name", METHODS)
def test_every_client_method_says_what_it_gives_and_names_its_types(name: str) -> None:
    method = getattr(Client, name)
    assert inspect.getdoc(method)
    signature = inspect.signature(method)
    assert signature.return_annotation is not signature.empty
    options = [each for each in signature.parameters.values() if each.kind is each.VAR_KEYWORD]
    assert all(each.annotation is not Any for each in options), "options are named, one by one"
