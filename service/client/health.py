"""How the service itself is."""

from pydantic import BaseModel

from service.connection import Connection


class Ready(BaseModel):
    """What `/readyz` says."""

    status: str
    database: str
    """Its URL, without the password."""


class Health(Connection):
    """Is it there, can it work, how much has it done."""

    def alive(self) -> bool:
        """Return True as soon as the process answers, whatever its database does; raises where nobody answers."""
        return self._request("GET", "/healthz").is_success

    def ready(self) -> Ready:
        """Return where its database is; raises (503) when the service is up yet not ready."""
        return self._get(Ready, "/readyz")

    def metrics(self) -> str:
        """Return the figures for Prometheus, in its text format."""
        return self._request("GET", "/metrics").text
