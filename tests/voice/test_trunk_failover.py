"""Trunks whose servers fail while something is under way, or move."""

from __future__ import annotations

from typing import Any

from config.settings import Settings
from gateway.voice.call_events import CallEnd, Ringing
from gateway.voice.trunk import Trunk
from tests.fakes.dns import NameServer, name_server
from tests.fakes.sip import FarEnd, Heard, Registrar, far_end
from tests.voice.trunks import (
    ACCOUNT,
    HOST,
    PHONE,
    QUIET,
    next_of,
    on_any_port,
    only,
    running,
    settings,
    state_is,
    until,
)


def by_name(**keys: Any) -> Settings:
    """Of a trunk whose servers the test's name server knows."""
    voice = on_any_port(dns_servers=(HOST,))
    return settings(0, host="example.com", voice=voice, **(QUIET | keys))


def two_servers(dns: NameServer, first: int, second: int) -> None:
    """Two servers of one domain, in this order."""
    dns.records = {
        ("SRV", "_sip._udp.example.com"): [
            (1, 0, first, "a.example.com"),
            (2, 0, second, "b.example.com"),
        ],
        ("A", "a.example.com"): [HOST],
        ("A", "b.example.com"): [HOST],
    }


def busy(heard: Heard) -> list[str]:
    return [heard.reply("486 Busy Here")] if heard.method == "INVITE" else []


async def test_a_503_after_ringing_does_not_call_the_person_twice() -> None:
    """The phone has rung: another server would ring it again."""

    def rings_and_fails(heard: Heard) -> list[str]:
        if heard.method != "INVITE":
            return []
        return [heard.reply("180 Ringing"), heard.reply("503 Service Unavailable")]

    async with (
        far_end(rings_and_fails) as first,
        far_end(busy) as second,
        name_server() as dns,
    ):
        two_servers(dns, first.port, second.port)
        async with running(by_name(), dns_port=dns.port) as here:
            call = only(here).call(PHONE)
            seen: list[Any] = []
            end = await next_of(call, CallEnd, seen)
            assert [each.code for each in seen if isinstance(each, Ringing)] == [180]
            assert end.code == 503
            assert second.heard == []


async def test_a_503_after_trying_is_followed_by_the_next_server() -> None:
    """100 says that the server is there, and nothing of the phone."""

    def tries_and_fails(heard: Heard) -> list[str]:
        if heard.method != "INVITE":
            return []
        return [heard.reply("100 Trying"), heard.reply("503 Service Unavailable")]

    async with (
        far_end(tries_and_fails) as first,
        far_end(busy) as second,
        name_server() as dns,
    ):
        two_servers(dns, first.port, second.port)
        async with running(by_name(), dns_port=dns.port) as here:
            end = await next_of(only(here).call(PHONE), CallEnd)
            assert end.code == 486


async def moved(trunk: Trunk, dns: NameServer, to: FarEnd) -> None:
    """The domain's only server is at another port from now on, and the trunk knows."""
    dns.records["SRV", "_sip._udp.example.com"] = [(1, 0, to.port, "a.example.com")]
    trunk.servers._resolver._answers.clear()  # as after the records' time to live
    trunk._located_at = None
    trunk._wake.set()
    await until(lambda: [each.port for each in trunk.servers.all] == [to.port])
    await until(lambda: not trunk._wake.is_set())
    trunk._wake.set()
    await until(lambda: not trunk._wake.is_set())


async def test_a_registration_follows_a_server_that_moves() -> None:
    """Of one server alone, too: there is no next one to go to, but a new address."""
    old, new = Registrar("sample", "secret"), Registrar("sample", "secret")
    async with far_end(old) as before, far_end(new) as after, name_server() as dns:
        dns.ttl_s = 0
        dns.records = {
            ("SRV", "_sip._udp.example.com"): [(1, 0, before.port, "a.example.com")],
            ("A", "a.example.com"): [HOST],
        }
        async with running(by_name(**ACCOUNT), dns_port=dns.port) as here:
            trunk = only(here)
            await state_is(trunk, "up")
            await moved(trunk, dns, after)
            registration = trunk._enrolment._registration
            assert registration is not None
            assert old.bindings, "what stands is left alone"
            registration.refresh(trunk.endpoint.now)  # as when it is due
            trunk.endpoint.flush()
            await until(lambda: bool(new.bindings))
            await state_is(trunk, "up")
        assert new.bindings == {}
