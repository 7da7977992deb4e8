"""The door: who is let in, TLS, half-open callers, pauses, and what TCP is told."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from protocols.smpp import (
    TAKES,
    BindKind,
    BindRequested,
    Bound,
    Closed,
    Event,
    Limits,
    Outbound,
    Received,
    Role,
    Session,
    decode,
    encode,
)
from protocols.smpp import commands as c
from protocols.smpp.connection import Listener, SmppConnection, TcpOptions, connect, listen
from tests.protocols.smpp.corpus import FOLDER
from tests.protocols.smpp.sessions import BODY, pdu_of

CERTIFICATE = FOLDER / "localhost.pem"


class Side:
    """Connections with what happened to them, and an owner that may answer at once."""

    def __init__(self, make: Callable[[], Session]) -> None:
        self.make = make
        self.events: asyncio.Queue[Event] = asyncio.Queue()
        self.connections: list[SmppConnection] = []

    def connection(self) -> SmppConnection:
        connection = SmppConnection(self.make(), self.keep)
        self.connections.append(connection)
        return connection

    def keep(self, events: list[Event]) -> None:
        for event in events:
            self.events.put_nowait(event)

    async def next(self) -> Event:
        async with asyncio.timeout(10):
            return await self.events.get()


@asynccontextmanager
async def open_door(side: Side, **options: object) -> AsyncIterator[Listener]:
    """A listener on a port of its own; everything is hung up in the end."""
    listener = await listen("127.0.0.1", 0, side.connection, **options)  # type: ignore[arg-type]
    try:
        yield listener
    finally:
        listener.close()
        await listener.wait_closed()
        for connection in side.connections:
            connection.close("the test is over")
            await connection.wait_closed()


def now() -> float:
    return asyncio.get_running_loop().time()


async def bind_to(port: int, side: Side, context: ssl.SSLContext | None = None) -> SmppConnection:
    """Bind as an ESME; the SMSC `side` accepts after a while, as after a password check."""
    session = Session(Role.ESME)
    esme = Side(lambda: session)
    connection = await connect("localhost", port, session, esme.keep, ssl=context)
    session.bind(BindKind.TRANSCEIVER, "lab", "lab", now())
    connection.flush()
    asked = await side.next()
    assert isinstance(asked, BindRequested)
    theirs = side.connections[-1]
    theirs.session.accept_bind(asked.request, "smsc")
    theirs.flush()
    assert isinstance(await esme.next(), Bound)
    return connection


async def test_caller_is_asked_for_before_anything_is_spent() -> None:
    """An address that is not welcome is hung up on; no connection is made for it."""
    smsc = Side(lambda: Session(Role.SMSC))
    asked: list[str] = []
    async with open_door(smsc, is_welcome=lambda host: bool(asked.append(host))) as door:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        async with asyncio.timeout(10):
            assert await reader.read() == b""
        writer.close()
        assert asked == ["127.0.0.1"]
        assert (smsc.connections, door.turned_away) == ([], 1)


async def test_bind_is_accepted_later() -> None:
    """The owner decides when it can; the listener's connections are like any other."""
    smsc = Side(lambda: Session(Role.SMSC))
    async with open_door(smsc) as door:
        connection = await bind_to(door.port, smsc)
        assert smsc.connections[0].peer_host == "127.0.0.1"
        assert not smsc.connections[0].is_tls
        connection.close("done")


async def test_new_certificates_hold_for_the_next_callers() -> None:
    """A listener takes another context while it runs."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    smsc = Side(lambda: Session(Role.SMSC))
    async with open_door(smsc) as door:
        plain = await bind_to(door.port, smsc)
        door.ssl = context
        trusted = ssl.create_default_context(cafile=CERTIFICATE)
        secret = await bind_to(door.port, smsc, trusted)
        assert (plain.is_tls, secret.is_tls, smsc.connections[-1].is_tls) == (False, True, True)
        plain.close("done")
        secret.close("done")


async def test_half_open_handshakes_of_one_address_are_bounded() -> None:
    """Callers that connect and say nothing fill only their own share and are left in time."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    smsc = Side(lambda: Session(Role.SMSC))
    async with open_door(smsc, ssl=context, max_handshakes_per_host=2, handshake_s=0.2) as door:
        calls = [await asyncio.open_connection("127.0.0.1", door.port) for _ in range(5)]
        async with asyncio.timeout(10):
            for reader, writer in calls:
                assert await reader.read() == b""
                writer.close()
        assert door.turned_away >= 1
        trusted = ssl.create_default_context(cafile=CERTIFICATE)
        (await bind_to(door.port, smsc, trusted)).close("done")


async def test_outbind_over_sockets() -> None:
    """An ESME listens, an SMSC dials it and sends outbind, the ESME binds on that connection."""
    esme = Side(lambda: Session(Role.ESME, takes=TAKES[Role.ESME] | {c.OUTBIND}))
    async with open_door(esme) as door:
        session = Session(Role.SMSC)
        smsc = Side(lambda: session)
        dialled = await connect("127.0.0.1", door.port, session, smsc.keep)
        session.outbind("smsc", "secret", now())
        dialled.flush()
        asked = await esme.next()
        assert isinstance(asked, Outbound)
        theirs = esme.connections[0]
        theirs.session.bind(BindKind.RECEIVER, "lab", "lab", now())
        theirs.flush()
        bind = await smsc.next()
        assert isinstance(bind, BindRequested)
        session.accept_bind(bind.request, "smsc")
        dialled.flush()
        assert isinstance(await esme.next(), Bound)
        session.request(BODY, now())
        dialled.flush()
        assert isinstance(await esme.next(), Received)
        dialled.close("done")
        assert isinstance(await smsc.next(), Closed)


async def test_full_session_is_not_read_from() -> None:
    """At `pause_at` unanswered requests reading stops; it goes on when half are answered, and
    nothing is refused or lost."""
    smsc = Side(lambda: Session(Role.SMSC, limits=Limits(pause_at=10)))
    async with open_door(smsc) as door:
        connection = await bind_to(door.port, smsc)
        theirs = smsc.connections[0]
        for _ in range(10):
            connection.session.request(BODY, now())
        connection.flush()
        got = [await smsc.next() for _ in range(10)]
        assert theirs._transport is not None
        assert not theirs._transport.is_reading()
        connection.session.request(BODY, now())
        connection.flush()
        assert smsc.events.empty()
        for event in got[:5]:
            assert isinstance(event, Received)
            theirs.session.respond(event.message, message_id="7f00a1")
        theirs.flush()
        assert isinstance(await smsc.next(), Received)
        assert theirs._transport.is_reading()
        assert theirs.session.refused == 0
        connection.close("done")


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="the system lacks the option")
async def test_tcp_watches_for_a_peer_that_is_gone() -> None:
    """Keepalive probes and the user timeout are set on both sides."""
    smsc = Side(lambda: Session(Role.SMSC))
    async with open_door(smsc) as door:
        connection = await bind_to(door.port, smsc)
        for side in (connection, smsc.connections[0]):
            assert side._transport is not None
            sock = side._transport.get_extra_info("socket")
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 30_000
        connection.close("done")


def test_tcp_options_can_be_left_alone() -> None:
    """Zero leaves the system's defaults."""
    with socket.socket() as sock:
        TcpOptions(keepalive_idle_s=0, user_timeout_s=0).apply(sock)
        assert not sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


async def test_port_in_use_is_an_os_error() -> None:
    """Nothing is left behind."""
    smsc = Side(lambda: Session(Role.SMSC))
    async with open_door(smsc) as door:
        with pytest.raises(OSError):
            await listen("127.0.0.1", door.port, smsc.connection)


async def test_stranger_gets_the_state_told() -> None:
    """A submit_sm before any bind is answered with ESME_RINVBNDSTS."""
    smsc = Side(lambda: Session(Role.SMSC))
    async with open_door(smsc) as door:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        writer.write(encode(pdu_of(c.SUBMIT_SM)))
        async with asyncio.timeout(10):
            answer = decode(await reader.readexactly(16))
        assert (answer.command_id, answer.status) == (c.SUBMIT_SM_RESP, 4)
        writer.close()
        await writer.wait_closed()
