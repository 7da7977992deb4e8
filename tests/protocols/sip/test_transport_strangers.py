"""Who may speak to the transport, and whom it speaks to."""

from __future__ import annotations

import asyncio
import socket

import pytest

from protocols.sip.events import EndCause
from protocols.sip.flow import Hop, Transport
from protocols.sip.framing import PING, PONG
from protocols.sip.resolving import Target
from protocols.sip.transport import TransportLimits
from tests.channels.certificates import Authority
from tests.protocols.sip.sockets import HOST, place
from tests.protocols.sip.test_transport import (
    STRANGER,
    hung_up,
    options,
    read_some,
    server_tls,
)

# ---------------------------------------------------------------------- strangers


async def test_a_stranger_gets_no_byte_over_udp() -> None:
    """Neither a sound request nor nonsense is answered; both are counted and not read."""
    async with place() as here:
        loop = asyncio.get_running_loop()
        got: list[bytes] = []

        class Listener(asyncio.DatagramProtocol):
            def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
                got.append(data)

        sender, _ = await loop.create_datagram_endpoint(Listener, local_addr=(STRANGER, 0))
        for data in (options(transport="UDP", more=";rport"), b"\x00" * 500, b"INVITE x", PING):
            sender.sendto(data, (HOST, here.port))
        assert (await here.ask(here.hop(Transport.UDP))).code == 200  # after all of them
        sender.close()
        assert got == []
        assert here.sockets.noise.datagrams == 4
        assert here.sockets.noise.last_host == STRANGER
        assert not [each for _, _, each in here.messages if each.host == STRANGER]


@pytest.mark.parametrize("is_tls", [False, True], ids=["TCP", "TLS"])
async def test_a_stranger_is_hung_up_on_before_anything_is_read(
    is_tls: bool, authority: Authority
) -> None:
    """Also before a TLS handshake: it learns not even our certificate."""
    async with place(tls=server_tls(authority)) as here:
        port = here.tls_port if is_tls else here.port
        reader, writer = await asyncio.open_connection(HOST, port, local_addr=(STRANGER, 0))
        writer.write(options())
        assert await hung_up(reader)
        writer.close()
        assert here.sockets.noise.connections == 1
        assert here.sockets.connections == 0


async def test_a_peer_that_sends_too_much_is_not_heard() -> None:
    """Beyond its burst messages are dropped and counted; others are heard."""
    limits = TransportLimits(messages_per_s=0.001, burst=2)
    async with place(limits=limits) as there, place() as here:
        for _ in range(2):
            assert (await here.ask(there.hop(Transport.UDP))).code == 200
        reader, writer = await asyncio.open_connection(HOST, there.port)
        writer.write(options() + PING)
        assert await read_some(reader) == PONG  # and nothing before it
        writer.close()
        assert there.sockets.dropped == 1


async def test_an_address_outside_of_the_networks_is_never_sent_to() -> None:
    """Whatever a Contact says: nothing leaves, and the request has failed."""
    async with place() as here:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as victim:
            victim.bind((STRANGER, 0))
            victim.setblocking(False)
            hop = Hop(Transport.UDP, STRANGER, victim.getsockname()[1])
            assert (await here.ask(hop)).cause is EndCause.TRANSPORT
            assert here.endpoint.misdirected == 1
            with pytest.raises(BlockingIOError):
                victim.recv(100)


async def test_a_name_is_looked_up_and_only_its_allowed_addresses_are_taken() -> None:
    async with place() as there:

        async def resolve(hop: Hop) -> list[Target]:
            return [
                Target(hop.transport, STRANGER, there.port),
                Target(hop.transport, HOST, there.port),
            ]

        async with place(resolve=resolve) as here:
            assert (await here.ask(Hop(Transport.UDP, "sip.example.com"))).code == 200
            assert here.endpoint.misdirected == 0


async def test_a_name_that_nobody_knows_fails_the_request() -> None:
    async with place() as here:
        replied = await here.ask(Hop(Transport.UDP, "sip.example.com"))
        assert replied.cause is EndCause.TRANSPORT
