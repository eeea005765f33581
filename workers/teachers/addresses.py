"""Where a teacher's name leads: looked up and checked here, so that only a checked address is ever connected to."""

import asyncio
import socket
from collections.abc import Sequence

from pyreqwest.http import Url

from service.teachers.protocol import TeacherBusy, TeacherRefused
from service.urls import AddressRefused, Network, check_address

KNOWN_FOR_S = 10.0
"""A name is looked up again after this long, when it is next needed: servers move, and name servers are slow."""
LOOK_UP_S = 10.0


class Addresses:
    """The addresses of one URL's host, in the order in which they are worth trying."""

    def __init__(self, url: Url, networks: Sequence[Network]) -> None:
        """Raises ValueError where the URL names no host."""
        if not url.host_str:
            raise ValueError(f"'{url}' names no host")
        # As the client reads it: `127.1` is four numbers by now, and a name is in lower case and punycode.
        self.host = url.host_str
        self._networks = networks
        self._known: list[str] = []
        self._known_until = float("-inf")
        self._lock = asyncio.Lock()

    async def now(self) -> list[str]:
        """Return at least one address.

        Raises TeacherBusy (`unknown_host`) where the name has none, and TeacherRefused (`address_not_allowed`) where
        any of them lies where no teacher may be.
        """
        loop = asyncio.get_running_loop()
        if loop.time() < self._known_until:
            return self._known
        async with self._lock:
            if loop.time() >= self._known_until:
                found = await self._look_up()
                for address in found:
                    self._check(address)
                # What worked stays first while the name leads there: name servers like to turn the order round.
                kept = [address for address in self._known if address in found]
                self._known = kept + [address for address in found if address not in kept]
                self._known_until = loop.time() + KNOWN_FOR_S
        return self._known

    def avoid(self, address: str) -> None:
        """Try this one last from now on: nobody listens there."""
        self._known = sorted(self._known, key=lambda known: known == address)

    async def _look_up(self) -> list[str]:
        host = self.host.strip("[]")
        try:
            async with asyncio.timeout(LOOK_UP_S):
                found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except OSError as error:  # TimeoutError is one
            raise TeacherBusy("unknown_host", f"'{host}': {error or 'no name server answers'}") from error
        return list(dict.fromkeys(str(entry[4][0]) for entry in found))

    def _check(self, address: str) -> None:
        try:
            check_address(address, self._networks)
        except AddressRefused as error:
            raise TeacherRefused("address_not_allowed", f"'{self.host}': {error}") from error
