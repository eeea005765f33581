"""What runs Retort elsewhere (compose, Kubernetes, Prometheus, Grafana) against the code that it names."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from service.app import create_app
from service.cli import app as retort
from service.limits import OPEN
from service.models import JobKind
from service.settings import Settings
from tests.service.conftest import HERE

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples/operations"
KUBERNETES = sorted((EXAMPLES / "kubernetes").glob("*.yaml"))
METRIC = re.compile(r"\b(?:retort|process)_[a-z_]+\b")
OURS = "registry.example.com/retort-"


def objects() -> list[dict[str, Any]]:
    return [each for path in KUBERNETES for each in yaml.safe_load_all(path.read_text())]


def pods() -> dict[str, dict[str, Any]]:
    return {
        each["metadata"]["name"]: each["spec"]["template"] for each in objects() if "template" in each.get("spec", {})
    }


def containers() -> dict[str, dict[str, Any]]:
    return {name: container for name, pod in pods().items() for container in pod["spec"]["containers"]}


@pytest.fixture(scope="module")
def shown(tmp_path_factory) -> set[str]:
    """Every metric that `/metrics` declares, with the samples of histograms."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("data"), RETORT_DATABASE_URL="")  # pyright: ignore[reportCallIssue]
    with TestClient(create_app(settings), base_url=HERE) as client:
        declared = re.findall(r"^# TYPE (\S+) (\S+)", client.get("/metrics").text, re.MULTILINE)
    endings = {"histogram": ("_bucket", "_count", "_sum")}
    return {name + ending for name, kind in declared for ending in endings.get(kind, ("",))}


def test_the_dashboard_shows_only_figures_that_there_are(shown):
    dashboard = json.loads((EXAMPLES / "grafana/dashboards/retort.json").read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    asked += [variable["query"]["query"] for variable in dashboard["templating"]["list"]]
    named = set(METRIC.findall(" ".join(asked)))
    assert named - shown == set()
    assert len(named) > 15
    unseen = {name for name in shown if name.startswith("retort_")} - named
    parts = ("_sum", "_count", "_info", "_prompt_tokens_total", "_completion_tokens_total")
    assert not {name for name in unseen if not name.endswith(parts)}, "a figure nobody looks at"


def test_alerts_ask_for_figures_that_there_are(shown):
    groups = yaml.safe_load((EXAMPLES / "alerts.yml").read_text())["groups"]
    named = set(METRIC.findall(" ".join(rule["expr"] for group in groups for rule in group["rules"])))
    assert named
    assert named - shown == set()


def test_grafana_finds_its_source_and_dashboards_where_compose_mounts_them():
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    source = yaml.safe_load((EXAMPLES / "grafana/provisioning/datasources/prometheus.yaml").read_text())["datasources"][
        0
    ]
    provider = yaml.safe_load((EXAMPLES / "grafana/provisioning/dashboards/retort.yaml").read_text())["providers"][0]
    assert source["url"] == "http://prometheus:9090"
    assert "prometheus" in services
    mounted = dict(volume.split(":")[:2] for volume in services["grafana"]["volumes"])
    assert mounted["./examples/operations/grafana/dashboards"] == provider["options"]["path"]
    assert all((ROOT / path).is_dir() for path in mounted)
    panels = json.loads((EXAMPLES / "grafana/dashboards/retort.json").read_text())["panels"]
    assert {panel["datasource"]["uid"] for panel in panels if "datasource" in panel} == {source["uid"]}


def test_prometheus_scrapes_what_compose_starts_with_the_key_it_has():
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    jobs = {job["job_name"]: job for job in yaml.safe_load((EXAMPLES / "prometheus.yml").read_text())["scrape_configs"]}
    hosts = {target.partition(":")[0] for job in jobs.values() for target in job["static_configs"][0]["targets"]}
    assert hosts <= set(compose["services"])
    assert compose["secrets"]["retort_api_key"] == {"environment": "RETORT_API_KEY"}
    assert compose["services"]["prometheus"]["secrets"] == ["retort_api_key"]
    assert jobs["retort"]["authorization"]["credentials_file"] == "/run/secrets/retort_api_key"
    assert "/metrics" not in OPEN, "the scrape needs a key"


@pytest.mark.parametrize("path", KUBERNETES, ids=lambda path: path.stem)
def test_every_manifest_is_one_and_belongs_to_retort(path):
    for each in yaml.safe_load_all(path.read_text()):
        assert {"apiVersion", "kind", "metadata"} <= set(each)
        assert each["metadata"]["labels"]["app.kubernetes.io/part-of"] == "retort"


def test_selectors_match_the_pods_that_they_mean():
    labels = [pod["metadata"]["labels"] for pod in pods().values()]
    selecting = [each for each in objects() if "selector" in each.get("spec", {})]
    assert len(selecting) >= 9
    for each in selecting:
        wanted = each["spec"]["selector"]
        wanted = wanted.get("matchLabels", wanted)
        assert [found for found in labels if wanted.items() <= found.items()], each["metadata"]["name"]


def test_claims_and_secrets_that_pods_name_are_there():
    there = {(each["kind"], each["metadata"]["name"]): each for each in objects()}
    for name, pod in pods().items():
        for volume in pod["spec"].get("volumes", ()):
            claim = volume.get("persistentVolumeClaim")
            assert claim is None or ("PersistentVolumeClaim", claim["claimName"]) in there, name
        for container in pod["spec"]["containers"]:
            for source in container.get("envFrom", ()):
                kind, ref = ("Secret", "secretRef") if "secretRef" in source else ("ConfigMap", "configMapRef")
                assert (kind, source[ref]["name"]) in there
            for variable in container.get("env", ()):
                if key := variable.get("valueFrom", {}).get("secretKeyRef"):
                    assert key["key"] in there["Secret", key["name"]]["stringData"]


def test_every_variable_of_ours_is_a_setting():
    known = {f"RETORT_{name.upper()}" for name in Settings.model_fields}
    shared = [each.get("data") or each.get("stringData") or {} for each in objects()]
    own = [{variable["name"]: "" for variable in container.get("env", ())} for container in containers().values()]
    named = {name for each in (*shared, *own) for name in each if name.startswith("RETORT_")}
    assert named <= known
    assert {"RETORT_API_KEY", "RETORT_DATABASE_URL", "RETORT_TEACHER_NETWORKS"} <= named


def test_every_container_is_probed_pinned_and_bounded():
    for name, container in containers().items():
        assert {"livenessProbe", "resources"} <= set(container), name
        assert {"requests", "limits"} <= set(container["resources"]), name
        assert re.search(r":v?\d+[.]\d+", container["image"]), "an image without a version changes by itself"
    assert {"api", "db", "teacher"} <= {
        name.removeprefix("retort-") for name, c in containers().items() if "readinessProbe" in c
    }


def test_probes_of_the_api_hit_routes_that_need_no_key(client):
    api = containers()["retort-api"]
    ports = {port["name"] for port in api["ports"]}
    for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
        probe = api[kind]["httpGet"]
        assert probe["port"] in ports
        assert probe["path"] in OPEN
        assert client.get(probe["path"]).status_code == 200


@pytest.mark.parametrize("name", ["worker", "trainer"])
def test_workers_are_probed_by_the_file_that_they_touch(name):
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    container = containers()[f"retort-{name}"]
    for command, probe in (
        (container["args"], container["livenessProbe"]["exec"]["command"][-1]),
        (services[name]["command"], services[name]["healthcheck"]["test"][-1]),
    ):
        file = command[command.index("--alive-file") + 1]
        assert probe.startswith(f"find {file} ")


def test_every_kind_of_job_has_a_worker_and_every_command_is_one():
    kinds: list[str] = []
    for container in containers().values():
        if container["image"].startswith(OURS):
            verb, arguments = container["args"][1], container["args"]
            assert CliRunner().invoke(retort, ["--help"]).output.count(f" {verb} ")
            kinds += arguments[arguments.index("--kinds") + 1].split(",") if verb == "worker" else []
    assert sorted(kinds) == sorted(JobKind)


def test_every_service_of_compose_says_how_it_is_and_has_a_version():
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    for name, service in services.items():
        assert service["healthcheck"].get("test"), name
        assert re.search(r":v?\d+[.]\d+", service["image"]), name
