"""`docker-compose.yml` against the code that it starts: commands, kinds of work, settings, health."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from service.cli import app as retort
from service.limits import OPEN
from service.models import JobKind
from service.settings import Settings

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]


def test_plain_up_runs_api_two_workers_and_postgres(services):
    plain = {name: service for name, service in services.items() if "profiles" not in service}
    assert set(plain) == {"api", "worker", "db"}
    assert plain["worker"]["deploy"]["replicas"] == 2


def test_every_kind_of_job_has_a_worker(services):
    kinds = [service["command"][3] for service in services.values() if "worker" in service.get("command", ())]
    assert sorted(kind for each in kinds for kind in each.split(",")) == sorted(JobKind)


def test_every_setting_named_is_one(services):
    known = {f"RETORT_{name.upper()}" for name in Settings.model_fields}
    named = {
        name for service in services.values() for name in service.get("environment", ()) if name.startswith("RETORT_")
    }
    assert named <= known
    assert {"RETORT_DATABASE_URL", "RETORT_API_KEY", "RETORT_TEACHER_NETWORKS"} <= named


def test_the_image_starts_what_the_command_line_knows(services):
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert 'CMD ["retort", "up", "--host", "0.0.0.0", "--workers", "0"]' in dockerfile
    assert "http://127.0.0.1:8080/healthz" in dockerfile
    assert "/healthz" in OPEN, "the image's health check has no key"
    assert services["api"]["ports"] == ["127.0.0.1:8080:8080"], "from this machine alone"
    shown = CliRunner().invoke(retort, ["up", "--help"], env={"TERM": "dumb", "COLUMNS": "200"}).output
    assert all(option in shown for option in ("--host", "--workers", "--port"))
