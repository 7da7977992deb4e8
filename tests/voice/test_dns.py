"""What DNS said is believed as long as it said, and longer while it is silent."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.voice import dns
from gateway.voice.dns import DnsError, Resolver
from protocols.sip.flow import Transport
from protocols.sip.resolving import Target
from tests.fakes.dns import NameServer, name_server

UDP = (Transport.UDP,)


@asynccontextmanager
async def resolver(server: NameServer, **options: object) -> AsyncIterator[Resolver]:
    made = Resolver(("127.0.0.1",), below=lambda limit: 0, port=server.port, **options)  # type: ignore[arg-type]
    try:
        yield made
    finally:
        await made.close()


async def test_servers_are_found_and_remembered() -> None:
    """The second look asks nothing."""
    async with name_server() as server, resolver(server) as found:
        server.records = {
            ("SRV", "_sip._udp.example.com"): [(1, 0, 5070, "a.example.com")],
            ("A", "a.example.com"): ["192.0.2.1"],
        }
        target = Target(Transport.UDP, "192.0.2.1", 5070, "a.example.com")
        assert found.recall("example.com", 0, UDP) is None
        for _ in range(3):
            assert await found.locate("example.com", 0, UDP) == (target,)
        assert found.recall("example.com", 0, UDP) == (target,)
        assert set(server.asked.values()) == {1}


async def test_naptr_is_asked_where_the_transport_is_open() -> None:
    async with name_server() as server, resolver(server) as found:
        server.records = {
            ("NAPTR", "example.com"): [(1, 1, "s", "SIPS+D2T", "_sips._tcp.example.com")],
            ("SRV", "_sips._tcp.example.com"): [(1, 0, 5061, "a.example.com")],
            ("A", "a.example.com"): ["192.0.2.1"],
        }
        targets = await found.locate("example.com", 0, (Transport.TLS, Transport.UDP))
        assert [each.transport for each in targets] == [Transport.TLS]


async def test_where_naptr_is_not_answered_srv_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Firewalls drop what they do not know; it is not waited for again at each call."""
    monkeypatch.setattr(dns, "QUESTION_S", 0.1)
    monkeypatch.setattr(dns, "TRIES", 1)
    async with name_server() as server, resolver(server) as found:
        server.unanswered = {"NAPTR"}
        server.records = {
            ("SRV", "_sip._tcp.example.com"): [(1, 0, 5070, "a.example.com")],
            ("A", "a.example.com"): ["192.0.2.1"],
        }
        for _ in range(2):
            (target,) = await found.locate("example.com", 0, (Transport.TCP, Transport.UDP))
            assert (target.transport, target.port) == (Transport.TCP, 5070)
        assert server.asked["NAPTR", "example.com"] == 1
        server.unanswered = {"NAPTR", "SRV"}
        with pytest.raises(DnsError, match="SRV"):
            await found.locate("example.net", 0, (Transport.TCP, Transport.UDP))


async def test_ipv6_is_asked_for_where_we_listen_on_it() -> None:
    async with name_server() as server, resolver(server, is_ipv6=True) as found:
        server.records = {("AAAA", "example.com"): ["2001:db8::1"]}
        (target,) = await found.locate("example.com", 5060, UDP)
        assert target.address == "2001:db8::1"


async def test_that_there_is_nothing_is_no_error_and_is_remembered_too() -> None:
    async with name_server() as server, resolver(server) as found:
        for _ in range(2):
            assert await found.locate("example.com", 0, UDP) == ()
        assert server.asked["A", "example.com"] == 1


async def test_without_dns_old_answers_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A carrier does not move because our name server is down."""
    monkeypatch.setattr(dns, "QUESTION_S", 0.1)
    monkeypatch.setattr(dns, "TRIES", 1)
    monkeypatch.setattr(dns, "TTL_MIN_S", 0.0)
    async with name_server() as server, resolver(server) as found:
        server.ttl_s = 0
        server.records = {("A", "example.com"): ["192.0.2.1"]}
        first = await found.locate("example.com", 5060, UDP)
        server.is_silent = True
        assert await found.locate("example.com", 5060, UDP) == first
        assert server.asked["A", "example.com"] >= 2
        with pytest.raises(DnsError, match="other.example.com"):
            await found.locate("other.example.com", 5060, UDP)


async def test_a_server_whose_address_dns_cannot_tell_does_not_hide_the_others() -> None:
    """One bad name in a carrier's records takes one server away, not the trunk."""
    async with name_server() as server, resolver(server) as found:
        server.records = {
            ("SRV", "_sip._udp.example.com"): [
                (1, 0, 5070, "no host.example.com"),
                (2, 0, 5070, "b.example.com"),
            ],
            ("A", "b.example.com"): ["192.0.2.2"],
        }
        (target,) = await found.locate("example.com", 0, UDP)
        assert target.name == "b.example.com"
        server.records["SRV", "_sip._udp.example.net"] = [(1, 0, 5070, "no host.example.com")]
        with pytest.raises(DnsError, match="no host"):
            await found.locate("example.net", 0, UDP)


@pytest.mark.parametrize("host", ["sip..example.com", f"{'a' * 64}.example.com"])
async def test_a_name_that_cannot_be_is_not_found_and_ends_nothing(host: str) -> None:
    """Also where the system is asked, which raises errors of its own: a slip of the settings
    must not end a process that sends texts too."""
    found = Resolver(below=lambda limit: 0)
    try:
        with pytest.raises(DnsError):
            await found.locate(host, 5060, UDP)
    finally:
        await found.close()
