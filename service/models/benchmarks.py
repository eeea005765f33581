"""Benchmarks: test questions that a dataset may not hold."""

from sqlmodel import Field, SQLModel

from service.models.columns import created, json_field


class Benchmark(SQLModel, table=True):
    """A file that recipes compare with. Its texts lie in the data folder under their hash; a name never changes."""

    name: str = Field(primary_key=True)
    sha256: str
    file_sha256: str
    """Of the file as it was added, before columns were taken out of it."""
    columns: list[str] = json_field(list)
    lines: int
    created_at: float = created()
