"""Logs: who asked, what for, and nothing that must stay secret."""

import json
import logging
import subprocess
import sys

import pytest
from sqlmodel import text

from service import logs
from service.logs import about
from service.requests import HEADER
from service.settings import Settings

SECRET = 'sk-very-"secret"-1234'
PROGRAM = """
import logging, os
from service import logs
from service.settings import Settings

logs.set_up(Settings(), "worker")
with logs.about(job=7, batch="batch_1"):
    with logs.about(teacher="qwen"):
        logging.getLogger("a.b").info("asked with %s and Bearer abc.def", os.environ["SOME_API_KEY"])
    try:
        raise ValueError(f"refused {os.environ['SOME_API_KEY']}")
    except ValueError:
        logging.getLogger("a.b").exception("two\\nlines")
logging.getLogger("a.b").debug("unheard")
logging.getLogger("httpx").info("unheard")
"""


def told(tmp_path, **settings: str) -> list[str]:
    env = {"RETORT_DATA_DIR": str(tmp_path), "SOME_API_KEY": SECRET, "SHORT_KEY": "two"} | settings
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=env, capture_output=True, text=True, check=True)
    assert not done.stdout
    return done.stderr.splitlines()


def test_json_lines_carry_the_ids_of_what_they_are_about(tmp_path):
    first, second = map(json.loads, told(tmp_path, RETORT_LOG_FORMAT="json"))
    assert {name: first[name] for name in ("job", "batch", "teacher", "part", "level", "logger")} == {
        "job": "7",
        "batch": "batch_1",
        "teacher": "qwen",
        "part": "worker",
        "level": "INFO",
        "logger": "a.b",
    }
    assert second["message"] == "two\nlines"
    assert "ValueError" in second["exception"]
    assert "teacher" not in second


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_secret_that_the_process_knows_is_written(tmp_path, form):
    lines = "\n".join(told(tmp_path, RETORT_LOG_FORMAT=form))
    assert SECRET not in lines
    assert "asked with *** and Bearer ***" in lines
    assert "two" in lines, "what is too short to be a key stays"


def test_a_person_reads_ids_at_the_end_of_a_line(tmp_path):
    assert told(tmp_path)[0].endswith("INFO a.b: asked with *** and Bearer *** [job=7 batch=batch_1 teacher=qwen]")


@pytest.mark.parametrize(("level", "lines"), [("debug", 3), ("info", 2), ("warning", 1), ("error", 1)])
def test_the_level_decides_what_is_heard(tmp_path, level, lines):
    assert len(told(tmp_path, RETORT_LOG_FORMAT="json", RETORT_LOG_LEVEL=level)) == lines


def test_the_keys_and_the_databases_password_are_secrets(tmp_path):
    known = Settings(data_dir=tmp_path, api_key="the-admin-key", database_url="postgresql://u:pass-word@h/db")
    assert {"the-admin-key", "pass-word"} <= set(logs._secrets(known))


def test_an_error_of_the_database_quotes_no_prompt(database):
    with pytest.raises(Exception, match="no_such_table") as failed, database.read() as session:
        session.connection().execute(text("select * from no_such_table where x = :x"), {"x": "a prompt"})
    assert "a prompt" not in str(failed.value)


def test_a_request_keeps_the_id_that_it_came_with_and_errors_name_it(client):
    refused = client.get("/api/batches/none", headers={HEADER: "from-the-proxy/1"})
    assert refused.headers[HEADER] == refused.json()["request_id"] == "from-the-proxy/1"


@pytest.mark.parametrize("given", ["", "two words", "x" * 129, "tab\tbed"])
def test_a_request_without_a_usable_id_gets_one(client, given):
    assert client.get("/healthz", headers={HEADER: given}).headers[HEADER].startswith("req_")


def test_a_change_is_logged_with_its_route_and_reading_is_not(client, caplog):
    caplog.set_level(logging.INFO, "service.requests")
    client.get("/api/teachers?q=what-somebody-looked-for")
    client.post("/api/licences/check", json={"teachers": ["mit"]})
    client.get("/api/batches/none?q=what-somebody-looked-for")
    assert [(record.route, record.status) for record in caplog.records] == [
        ("/api/licences/check", 200),
        ("/api/batches/{batch_id}", 404),
    ]
    assert "looked-for" not in caplog.text


def test_ids_end_with_their_block():
    with about(job=1), about(batch="b", teacher=None):
        assert logs.bound() == {"job": "1", "batch": "b"}
    assert "job" not in logs.bound()
