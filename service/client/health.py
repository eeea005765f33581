"""How the service itself is."""

from service.connection import Connection


class Health(Connection):
    """Is it there, can it work, how much has it done."""

    def alive(self) -> bool:
        """Return True as soon as the process answers, whatever its database does; raises where nobody answers."""
        return self._request("GET", "/healthz").is_success

    def ready(self) -> bool:
        """Return True when it can work; raises (503) when the service is up and its database is not."""
        return self._request("GET", "/readyz").is_success

    def metrics(self) -> str:
        """Return the figures for Prometheus, in its text format."""
        return self._request("GET", "/metrics").text
