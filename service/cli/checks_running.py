"""What `retort doctor` asks a Retort that runs: is it ready, who can reach it, who works, who answers."""

import ipaddress
from collections.abc import Iterator
from urllib.parse import urlsplit

from service.cli.checks import Check
from service.cli.loopback import connects, is_loopback
from service.cli.terminal import Terminal
from service.cli.words import clean
from service.connection import RetortError

KEY_CHARACTERS_MIN = 16


def look_at_running(terminal: Terminal) -> Iterator[Check]:
    """Yield what is found; only the first where there is none, or its key is missing."""
    try:
        terminal.client.ready()
    except RetortError as error:
        yield Check("api", False, error.title, "start it with `retort up`, or name another with --url")
        return
    yield Check("api", True, f"{terminal.url} is ready")
    yield _door(terminal)
    try:
        yield _workers(terminal)
        yield from _teachers(terminal)
    except RetortError as error:
        yield Check("key", False, error.detail or error.title, "give a key with --api-key or RETORT_API_KEY")


def _door(terminal: Terminal) -> Check:
    """Whether somebody on another machine could use it without a key."""
    address = urlsplit(terminal.url)
    host, port = address.hostname or "", address.port or 80
    wide = [each for each in _own_addresses() if connects(each, port)] if is_loopback(host) else [host]
    if not wide:
        return Check("door", True, f"port {port} answers on this machine alone", required=True)
    shown = f"{wide[0]}:{port} can be reached from other machines"
    if not _asks_for_key(terminal.url):
        todo = "set RETORT_API_KEY to a long random text (`openssl rand -hex 24`) and start again"
        return Check("door", False, f"{shown}, and needs no key", todo, required=True)
    if terminal.api_key and len(terminal.api_key) < KEY_CHARACTERS_MIN:
        todo = "take a longer one, for instance from `openssl rand -hex 24`"
        return Check("door", False, f"{shown}; its key has only {len(terminal.api_key)} characters", todo)
    return Check("door", True, f"{shown}, with a key", required=True)


def _workers(terminal: Terminal) -> Check:
    from prometheus_client.parser import text_string_to_metric_families

    families = {each.name: each for each in text_string_to_metric_families(terminal.client.metrics())}
    kinds = {each.labels["kind"]: int(each.value) for each in families["retort_workers"].samples}
    idle = sorted(kind for kind, count in kinds.items() if not count)
    there = ", ".join(f"{count} for {kind}" for kind, count in sorted(kinds.items()) if count)
    if not idle:
        return Check("workers", True, there)
    todo = f"start one with `retort worker --kinds {','.join(idle)}`; jobs of these kinds wait until then"
    return Check("workers", False, f"{there or 'none'}; nobody does {', '.join(idle)}", todo)


def _teachers(terminal: Terminal) -> Iterator[Check]:
    found = terminal.client.teachers()
    if not found:
        todo = "register one: `retort teacher add NAME URL MODEL --license LICENCE`"
        yield Check("teachers", False, "nobody is registered", todo)
    for teacher in found:
        if not teacher.base_url:
            continue  # its traces were imported
        probe = terminal.client.probe(teacher.name)
        todo = f"is its server running? `retort teacher probe {teacher.name}` says more; work for it waits meanwhile"
        name = f"teacher {teacher.name}"
        answers = f"{teacher.base_url} answers in {probe.latency_ms} ms"
        yield Check(name, probe.ok, answers if probe.ok else clean(probe.detail or probe.reason), todo)


def _asks_for_key(url: str) -> bool:
    from service.client import Client

    with Client(url) as nobody:
        try:
            nobody.teachers()
        except RetortError as error:
            return error.status == 401
    return False


def _own_addresses() -> list[str]:
    """Return this machine's addresses that others can reach."""
    import psutil

    found = (each.address for addresses in psutil.net_if_addrs().values() for each in addresses)
    return [each for each in found if _is_wide(each)]


def _is_wide(address: str) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False  # a MAC address, or one with a zone
    return not (parsed.is_loopback or parsed.is_link_local)
