"""Addresses of teachers, read in one place."""

from urllib.parse import urlsplit, urlunsplit


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
    path = parts.path.rstrip("/")
    return urlunsplit((parts.scheme, parts.netloc, path if path.endswith("/v1") else f"{path}/v1", "", ""))
