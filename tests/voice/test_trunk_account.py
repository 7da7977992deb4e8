"""Trunks on loopback: registration, and how numbers and names are written."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from msgspec.structs import replace

from gateway.voice.calls import TrunkCall
from gateway.voice.identity import Caller
from tests.fakes.dns import name_server
from tests.fakes.sip import Heard, Registrar, far_end
from tests.voice.trunks import (
    ACCOUNT,
    HOST,
    PHONE,
    QUIET,
    SHOP,
    on_any_port,
    only,
    running,
    settings,
    state_is,
    until,
)

# ---------------------------------------------------------------------- registration


async def test_a_trunk_registers_and_takes_it_back() -> None:
    """With the password asked for (401), and again when the nonce is stale."""
    registrar = Registrar("sample", "secret")
    async with far_end(registrar) as there:
        own = settings(there.port, expires_s=3_600, **ACCOUNT, **QUIET)
        async with running(own) as here:
            trunk = only(here)
            assert trunk.state().state in ("unregistered", "up")
            await state_is(trunk, "up")
            assert list(registrar.bindings) == [f"sip:sample@{HOST}:{here.port}"]
            assert registrar.challenges == 1
            registrar.nonce = "n2"
            registration = trunk._enrolment._registration
            assert registration is not None
            registration.refresh(trunk.endpoint.now)
            trunk.endpoint.flush()
            await there.wait_for("REGISTER", 4)
            assert registrar.challenges == 2
        assert registrar.bindings == {}
        assert registrar.refusals == 0


async def test_a_wrong_password_shows_in_the_state_and_is_not_tried_over_and_over() -> None:
    """Registrars lock accounts out."""
    registrar = Registrar("sample", "other")
    async with far_end(registrar) as there:
        async with running(settings(there.port, **ACCOUNT, **QUIET)) as here:
            trunk = only(here)
            await until(lambda: "403" in trunk.state().error)
            assert trunk.state().state == "unregistered"
            assert not trunk.is_usable
            assert len(there.of("REGISTER")) == 2
        assert "secret" not in "".join(each.text for each in there.heard)


async def test_another_server_is_registered_at_when_one_is_out_of_service() -> None:
    registrar = Registrar("sample", "secret")
    async with (
        far_end(lambda heard: [heard.reply("503 Service Unavailable")]) as out,
        far_end(registrar) as there,
        name_server() as dns,
    ):
        dns.records = {
            ("SRV", "_sip._udp.example.com"): [
                (1, 0, out.port, "a.example.com"),
                (2, 0, there.port, "a.example.com"),
            ],
            ("A", "a.example.com"): [HOST],
        }
        voice = on_any_port(dns_servers=(HOST,))
        own = settings(0, host="example.com", voice=voice, **ACCOUNT, **QUIET)
        async with running(own, dns_port=dns.port) as here:
            await state_is(only(here), "up")
            assert len(registrar.bindings) == 1


async def test_a_connection_that_was_cut_is_registered_anew() -> None:
    """Calls come by it (RFC 5626 section 4.4): waiting for the next refresh would lose them."""
    registrar = Registrar("sample", "secret")
    writers: list[asyncio.StreamWriter] = []
    came = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                data = await reader.readuntil(b"\r\n\r\n")
                if data.strip():
                    for answer in registrar(Heard(data.decode(), (HOST, 0))):
                        writer.write(answer.encode())
                    came.set()

    server = await asyncio.start_server(serve, HOST, 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        own = settings(port, transport="tcp", keepalive_s=0.0, **ACCOUNT, **QUIET)
        async with running(own) as here:
            await state_is(only(here), "up")
            registrar.bindings.clear()
            writers[0].transport.abort()
            async with asyncio.timeout(10):
                while not registrar.bindings:
                    came.clear()
                    await came.wait()
            assert len(writers) == 2
    for writer in writers:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def test_a_call_to_the_registered_contact_is_for_whom_to_names() -> None:
    """And of two trunks that share a network the one whose contact it is gets it."""
    taken: list[TrunkCall] = []

    def take(call: TrunkCall) -> None:
        taken.append(call)
        call.reject(486)

    registrar = Registrar("sample", "secret")
    async with far_end(registrar) as there:
        own = settings(there.port, **ACCOUNT, **QUIET)
        first = settings(there.port, **QUIET).trunks[0]
        both = replace(own, trunks=(replace(first, name="other"), *own.trunks))
        async with running(both, on_incoming=take) as here:
            trunk = here.get("lab")
            assert trunk is not None
            await state_is(trunk, "up")
            invite = (
                f"INVITE sip:sample@{HOST}:{here.port} SIP/2.0\r\n"
                f"Via: SIP/2.0/UDP {HOST}:{there.port};branch=z9hG4bKfar1\r\n"
                "From: <sip:2125550199@example.com>;tag=far\r\n"
                "To: <sip:12125550100@example.com>\r\n"
                "P-Asserted-Identity: <tel:+12125550177>\r\n"
                "Call-ID: far1\r\nCSeq: 1 INVITE\r\nMax-Forwards: 70\r\n"
                f"Contact: <sip:far@{HOST}:{there.port}>\r\nContent-Length: 0\r\n\r\n"
            )
            there.send(invite, (HOST, here.port))
            await until(lambda: bool(taken))
            assert taken[0].to == SHOP
            assert taken[0].caller.number == "+12125550177"
            assert trunk.state().figures["in"] == 1


# ---------------------------------------------------------------------- what is written


@pytest.mark.parametrize(
    ("keys", "called", "sender", "asserted"),
    [
        ({}, f"sip:{PHONE}@example.com", f"sip:{SHOP}@example.com", f"<sip:{SHOP}@example.com>"),
        (
            {"number_format": "national", "caller_format": "e164", "user_phone": True},
            "sip:2125550123@example.com;user=phone",
            "sip:12125550100@example.com;user=phone",
            "<sip:12125550100@example.com;user=phone>",
        ),
        (
            {"from_user": "account", "user": "sample", "asserted_identity": False},
            f"sip:{PHONE}@example.com",
            "sip:sample@example.com",
            "",
        ),
    ],
)
async def test_numbers_are_written_as_the_trunk_wants_them(
    keys: dict[str, Any], called: str, sender: str, asserted: str
) -> None:
    async with far_end(lambda heard: [heard.reply("486 Busy Here")]) as there:
        own = settings(there.port, domain="example.com", **keys, **QUIET)
        async with running(own) as here:
            call = only(here).call(PHONE, Caller(diverted_by="+12125550188"))
            await call.wait_ended()
        invite = there.of("INVITE")[0]
        assert invite.start == f"INVITE {called} SIP/2.0"
        assert f"<{sender}>;tag=" in invite.header("From")
        assert invite.header("P-Asserted-Identity") == asserted
        assert "2125550188@example.com" in invite.header("Diversion")


async def test_an_outbound_proxy_gets_everything_and_stands_in_the_route() -> None:
    async with far_end(lambda heard: [heard.reply("486 Busy Here")]) as proxy:
        own = settings(0, host="sip.example.com", proxy=HOST, proxy_port=proxy.port, **QUIET)
        async with running(own) as here:
            await only(here).call(PHONE).wait_ended()
        invite = proxy.of("INVITE")[0]
        assert invite.start == f"INVITE sip:{PHONE}@sip.example.com SIP/2.0"
        assert invite.header("Route") == f"<sip:{HOST}:{proxy.port};lr>"


async def test_codecs_are_offered_in_the_order_of_the_settings() -> None:
    async with far_end(lambda heard: [heard.reply("486 Busy Here")]) as there:
        async with running(settings(there.port, codecs=("pcma", "pcmu"), **QUIET)) as here:
            await only(here).call(PHONE).wait_ended()
        assert " 8 0 101" in there.of("INVITE")[0].text
