"""Connecting to teachers: only to addresses in the allowed networks, checked at the moment of connecting."""

import asyncio
import socket
from collections.abc import Iterable, Sequence
from typing import Any

import httpcore
import httpx

from service.urls import Network, check_address

CONNECTIONS_MAX = 1000
"""Requests that people and programs wait for at once; batches go through the workers."""
IDLE_MAX = 100
KEEP_ALIVE_S = 4.0
"""vLLM closes idle connections after 5 s; reusing one at that very moment would lose the request."""


class Checked(httpcore.AsyncNetworkBackend):
    """Resolves a name, checks each address and connects to one of them: a name that changes later leads nowhere."""

    def __init__(self, networks: Sequence[Network]) -> None:
        self._networks = networks
        self._plain: Any = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address that answers. Raises AddressRefused, UnknownHost or httpcore's errors."""
        addresses = await _resolve(host)
        for address in addresses:
            check_address(address, self._networks)
        for address in addresses[:-1]:
            try:
                return await self._plain.connect_tcp(address, port, timeout, local_address, socket_options)
            except httpcore.ConnectError:
                continue
        return await self._plain.connect_tcp(addresses[-1], port, timeout, local_address, socket_options)

    async def sleep(self, seconds: float) -> None:
        """Wait; httpcore asks for it between its own retries."""
        await self._plain.sleep(seconds)


class UnknownHost(Exception):
    """The name of a teacher's address leads nowhere."""


async def _resolve(host: str) -> list[str]:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise UnknownHost(f"'{host}': {error}") from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def transport(networks: Sequence[Network]) -> httpx.AsyncHTTPTransport:
    """Return a transport that connects inside `networks` alone."""
    made = httpx.AsyncHTTPTransport()
    # httpx has no parameter for it, and a connection that is opened to a checked address by rewriting the URL would be
    # shared by all names that lead there. A test notices if this stops working.
    made._pool = httpcore.AsyncConnectionPool(
        ssl_context=httpx.create_ssl_context(),
        max_connections=CONNECTIONS_MAX,
        max_keepalive_connections=IDLE_MAX,
        keepalive_expiry=KEEP_ALIVE_S,
        network_backend=Checked(networks),
    )
    return made
