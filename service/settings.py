"""Settings, read from the environment once, in `create_app()` or a worker's `main()`, and passed down."""

from ipaddress import ip_network
from pathlib import Path

from pydantic import AliasChoices, Field, PositiveFloat, PositiveInt, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from service.logs import LogFormat, LogLevel
from service.urls import Network


class Settings(BaseSettings):
    """Each field is `RETORT_` + its name in the environment. Sampling and filter knobs travel with the work instead."""

    model_config = SettingsConfigDict(env_prefix="RETORT_", use_attribute_docstrings=True, extra="ignore")

    data_dir: Path = Path("data")
    """Folder for the embedded database, uploads, exports and runs."""
    database_url: str = Field(default="", validation_alias=AliasChoices("RETORT_DATABASE_URL", "DATABASE_URL"))
    """Postgres past one machine (`postgresql://…`); empty means SQLite in the data folder."""
    api_key: SecretStr | None = None
    """Key that requests must carry as a bearer token, all but those of probes; needed to bind beyond loopback."""
    teacher_networks: str = "127.0.0.0/8,::1/128"
    """Networks where teachers may be, with commas between; addresses outside are refused, link-local ones always."""
    body_bytes_max: PositiveInt = 200 * 2**20
    """A larger request body is refused with 413; the figure is OpenAI's for a batch file."""
    upload_bytes_max: PositiveInt = 20 * 2**30
    """A larger native batch is refused with 413; its lines go to disk as they come, so memory is not the bound."""
    row_bytes_max: PositiveInt = 2**20
    """A longer line of an upload is refused with its number."""
    page_rows_max: PositiveInt = 500
    """Most rows one page of a list returns."""
    shard_prompts: PositiveInt = 256
    """Prompts in one job: small enough to spread over workers, large enough that claiming is rare."""
    lease_s: PositiveFloat = 60.0
    """How long a job stays with a worker that says nothing; renewed at a third."""
    attempts_max: PositiveInt = 5
    """Times one prompt is asked before it ends as failed."""
    request_timeout_s: PositiveFloat = 600.0
    """Longest wait for one answer of a teacher."""
    drain_s: PositiveFloat = 30.0
    """Longest a stopping worker takes to put down what it holds."""
    log_format: LogFormat = "text"
    """`text` for a person, `json` for a collector: one object a line, with the ids of request or job."""
    log_level: LogLevel = "info"
    """Least urgent messages that are logged; `debug` tells of requests that only read, too."""

    @field_validator("teacher_networks")
    @classmethod
    def _networks(cls, value: str) -> str:
        for part in value.split(","):
            ip_network(part.strip())
        return value

    @property
    def benchmarks(self) -> Path:
        """Folder of the benchmark files that recipes compare with."""
        return self.data_dir / "benchmarks"

    def networks(self) -> list[Network]:
        """Return the networks where teachers may be."""
        return [ip_network(part.strip()) for part in self.teacher_networks.split(",")]

    def url(self) -> str:
        """Return the database's SQLAlchemy URL; creates the data folder for the embedded one."""
        if not self.database_url:
            self.data_dir.mkdir(parents=True, exist_ok=True)
            return f"sqlite:///{(self.data_dir / 'retort.db').resolve()}"
        scheme, _, rest = self.database_url.partition("://")
        return f"postgresql+psycopg://{rest}" if scheme in {"postgres", "postgresql"} else self.database_url
