"""Where a teacher may be, and which address is connected to: the one that was checked, whatever its name leads to."""

import asyncio
import socket
from ipaddress import ip_network
from urllib.parse import urlsplit

import pytest

from service.teachers.protocol import Sampling, TeacherBusy, TeacherRefused
from workers.teachers import addresses
from workers.teachers.openai_http import OpenAITeacher


@pytest.fixture
def names(monkeypatch):
    """Return a dict of addresses by name, which is all that this process can look up; the system knows them not."""
    known: dict[str, list[str]] = {}

    def look_up(host, port, *_, **__):
        if host not in known:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        families = {True: socket.AF_INET6, False: socket.AF_INET}
        return [(families[":" in each], socket.SOCK_STREAM, 6, "", (each, port or 0)) for each in known[host]]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return known


def _port(fake):
    return urlsplit(fake.base_url).port


@pytest.mark.parametrize("address", ["192.0.2.1", "169.254.169.254", "[fe80::1]", "2852039166", "0xa9.254.43518"])
def test_an_address_outside_the_networks_is_refused_however_it_is_written(ask, address):
    with pytest.raises(TeacherRefused, match="address_not_allowed"):
        ask(base_url=f"http://{address}/v1", networks=[ip_network("127.0.0.0/8"), ip_network("169.254.0.0/16")])


def test_a_name_with_one_address_outside_the_networks_is_refused(ask, names):
    names["teacher.example"] = ["127.0.0.1", "192.0.2.1"]
    with pytest.raises(TeacherRefused, match="address_not_allowed"):
        ask(base_url="http://teacher.example/v1")


def test_the_address_that_was_checked_is_the_one_connected_to(fake, ask, names):
    names["teacher.example"] = ["127.0.0.1"]
    # Whoever looked the name up a second time would find nothing: only this process knows it.
    assert ask(base_url=f"http://Teacher.Example:{_port(fake)}/v1")


def test_a_name_that_comes_to_lead_elsewhere_is_refused(fake, names, monkeypatch):
    async def twice():
        names["teacher.example"] = ["127.0.0.1"]
        async with OpenAITeacher(f"http://teacher.example:{_port(fake)}", "fake") as teacher:
            assert await teacher.complete([{"role": "user", "content": "hi"}], Sampling())
            names["teacher.example"] = ["192.0.2.1"]
            await teacher.complete([{"role": "user", "content": "hi"}], Sampling())

    monkeypatch.setattr(addresses, "KNOWN_FOR_S", 0.0)
    with pytest.raises(TeacherRefused, match="address_not_allowed"):
        asyncio.run(twice())


def test_where_one_address_of_a_name_is_deaf_the_next_one_is_asked(fake, ask, names):
    names["teacher.example"] = ["::1", "127.0.0.1"]
    assert ask(base_url=f"http://teacher.example:{_port(fake)}/v1")


def test_where_all_addresses_of_a_name_are_deaf_it_is_connection_refused(ask, names, free_port):
    names["teacher.example"] = ["127.0.0.1", "127.0.0.1"]
    with pytest.raises(TeacherBusy, match="connection_refused"):
        ask(base_url=f"http://teacher.example:{free_port}/v1")


def test_a_name_without_address_is_unknown_host(ask, names):
    assert not names
    with pytest.raises(TeacherBusy, match="unknown_host"):
        ask(base_url="http://teacher.example/v1")


def test_a_proxy_from_the_environment_is_not_used(ask, monkeypatch, free_port):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port}")
    assert ask()


@pytest.mark.parametrize("suffix", ["", "/", "/v1", "/v1/"])
def test_the_address_is_good_with_and_without_v1(fake, ask, suffix):
    assert ask(base_url=fake.base_url.removesuffix("/v1") + suffix)
