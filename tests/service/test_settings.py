"""Settings, and that none goes undocumented."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from service.settings import Settings

README = (Path(__file__).parents[2] / "README.md").read_text()


@pytest.mark.parametrize("field", Settings.model_fields)
def test_every_setting_stands_in_the_readme(field):
    assert f"`RETORT_{field.upper()}`" in README


@pytest.mark.parametrize("field", Settings.model_fields)
def test_every_setting_says_why_unless_its_name_does(field):
    assert Settings.model_fields[field].description


def test_without_a_url_the_database_lies_in_the_data_folder(tmp_path):
    assert Settings(data_dir=tmp_path, database_url="").url() == f"sqlite:///{tmp_path / 'retort.db'}"


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_spelling_of_postgres_means_psycopg(scheme):
    assert Settings(database_url=f"{scheme}://u@h/db").url() == "postgresql+psycopg://u@h/db"


def test_database_url_is_honoured_and_ours_comes_first(monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgresql://a/x")
    assert Settings().url().endswith("a/x")
    monkeypatch.setenv("RETORT_DATABASE_URL", "postgresql://b/y")
    assert Settings().url().endswith("b/y")


def test_networks_that_are_none_are_refused():
    with pytest.raises(ValidationError, match="teacher_networks"):
        Settings(teacher_networks="everywhere")
