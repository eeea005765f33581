"""Addresses of teachers: read by one parser, and checked against the networks where teachers may be."""

import ipaddress
import re
import socket
from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit, urlunsplit

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

NEVER: tuple[Network, ...] = tuple(
    map(ipaddress.ip_network, ("169.254.0.0/16", "fe80::/10", "fd00:ec2::254/128", "0.0.0.0/32", "::/128"))
)
"""Link-local addresses, where clouds keep their machines' credentials, and 'any': refused whatever is allowed."""
NUMERIC = re.compile(r"^(0[xX])?[0-9a-fA-F]*([.](0[xX])?[0-9a-fA-F]*)*$")


class AddressRefused(ValueError):
    """The address lies where no teacher may be; the message names the setting."""


def normal_base_url(value: str) -> str:
    """Return a teacher's address as `scheme://host[:port]/…/v1`; ValueError says what is wrong with it."""
    if any(ord(character) < 33 or character == "\\" for character in value):
        raise ValueError("the address holds a space, a control character or a backslash")
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("expected http://host:port/v1 or https://host/v1")
    if parts.username or parts.password:
        raise ValueError("put no user or key into the address; name the key's variable in api_key_env")
    if parts.query or parts.fragment:
        raise ValueError("the address has a '?' or '#' part; expected http://host:port/v1")
    _ = parts.port  # raises ValueError where the port is no number
    path = parts.path.rstrip("/")
    return urlunsplit((parts.scheme, parts.netloc, path if path.endswith("/v1") else f"{path}/v1", "", ""))


def check_reachable(base_url: str, networks: Sequence[Network]) -> None:
    """Raise AddressRefused unless every address of the URL's host lies in `networks`.

    A name that does not resolve now is let through: its teacher may come later, and is checked when it is asked.
    """
    host = urlsplit(base_url).hostname or ""
    for address in _addresses(host):
        check_address(address, networks)


def check_address(address: str, networks: Iterable[Network]) -> None:
    """Raise AddressRefused unless the IP address lies in `networks` and is none of those that are never asked."""
    ip = ipaddress.ip_address(address)
    mapped = isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None
    inside = any(ip in network for network in networks if network.version == ip.version)
    if mapped or not inside or any(ip in network for network in NEVER if network.version == ip.version):
        raise AddressRefused(
            f"{address} is not in the networks where teachers may be; RETORT_TEACHER_NETWORKS lists them "
            f"(now {','.join(map(str, networks))}); link-local addresses are never asked"
        )


def _addresses(host: str) -> list[str]:
    try:
        return [str(ipaddress.ip_address(host))]
    except ValueError:
        if NUMERIC.match(host):
            raise AddressRefused(f"'{host}' is no plain address: write it as four numbers, or as a name") from None
    try:
        return sorted({str(found[4][0]) for found in socket.getaddrinfo(host, None)})
    except OSError:
        return []
