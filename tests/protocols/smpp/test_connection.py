"""Sessions over real sockets on loopback."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from contextlib import suppress
from ssl import SSLContext

import pytest

from protocols.smpp import (
    Answered,
    Bare,
    BindKind,
    BindRefused,
    BindResponse,
    Bound,
    Closed,
    Event,
    Message,
    MessageResponse,
    Received,
    Role,
    Session,
    State,
    Timers,
    Unbound,
    decode,
    encode,
    frames,
)
from protocols.smpp import commands as c
from protocols.smpp import status as s
from protocols.smpp.connection import UNREAD_BYTES, SmppConnection, connect
from tests.protocols.smpp.corpus import FOLDER
from tests.protocols.smpp.peers import Smsc, listening
from tests.protocols.smpp.sessions import BODY, ENQUIRE, pdu_of

CERTIFICATE = FOLDER / "localhost.pem"
"""A self-signed certificate for localhost with its key, of use in these tests alone."""


class Esme:
    """A connected ESME and what happened to it."""

    def __init__(self, connection: SmppConnection, events: asyncio.Queue[Event]) -> None:
        self.connection = connection
        self.session = connection.session
        self.events = events

    async def next(self) -> Event:
        async with asyncio.timeout(10):
            return await self.events.get()

    def bind(self, password: str = "lab") -> None:
        now = asyncio.get_running_loop().time()
        self.session.bind(BindKind.TRANSCEIVER, "lab", password, now)
        self.connection.flush()

    def request(self, context: object = None) -> None:
        self.session.request(BODY, asyncio.get_running_loop().time(), context)
        self.connection.flush()


async def connected(
    port: int, *, timers: Timers | None = None, ssl: SSLContext | None = None
) -> Esme:
    events: asyncio.Queue[Event] = asyncio.Queue()

    def keep(got: list[Event]) -> None:
        for event in got:
            events.put_nowait(event)

    session = Session(Role.ESME, timers=timers or Timers())
    connection = await connect("localhost", port, session, keep, ssl=ssl)
    return Esme(connection, events)


async def bound(smsc: Smsc) -> Esme:
    esme = await connected(smsc.port)
    esme.bind()
    assert isinstance(await esme.next(), Bound)
    return esme


async def stranger(smsc: Smsc) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A bare stream, bound."""
    reader, writer = await asyncio.open_connection("127.0.0.1", smsc.port, limit=1024)
    writer.write(encode(pdu_of(c.BIND_TRANSCEIVER, 1)))
    await reader.readexactly(16 + len(b"smsc\0") + 5)
    return reader, writer


async def test_messages_go_both_ways_and_unbind_hangs_up() -> None:
    """Bind, a hundred messages, one back, unbind; then the connection is gone on both sides."""
    async with listening() as smsc:
        esme = await bound(smsc)
        for context in range(100):
            esme.request(context)
        answers = [await esme.next() for _ in range(100)]
        assert [a.context for a in answers if isinstance(a, Answered)] == [*range(100)]
        theirs = smsc.connections[0]
        now = asyncio.get_running_loop().time()
        theirs.session.request(Message(c.DELIVER_SM, payload=b"Thanks"), now)
        theirs.flush()
        got = await esme.next()
        assert isinstance(got, Received)
        assert got.message.payload == b"Thanks"
        esme.session.respond(got.message)
        esme.connection.flush()
        await smsc.until(lambda event: isinstance(event, Answered))
        esme.session.unbind(asyncio.get_running_loop().time())
        esme.connection.flush()
        assert [await esme.next(), await esme.next()] == [Unbound(), Closed("unbound", [])]
        await esme.connection.wait_closed()
        await theirs.wait_closed()
        assert not esme.connection.is_writable


async def test_wrong_password_is_refused() -> None:
    """The carrier's refusal arrives as such, and the connection ends."""
    async with listening() as smsc:
        esme = await connected(smsc.port)
        esme.bind("wrong")
        assert await esme.next() == BindRefused(s.ESME_RINVPASWD)
        assert isinstance(await esme.next(), Closed)
        await esme.connection.wait_closed()


async def test_cut_connection_tells_what_was_not_answered() -> None:
    """A connection that breaks in mid-window closes the session with all that waited."""
    async with listening() as smsc:
        smsc.is_answering = False
        esme = await bound(smsc)
        for context in "abc":
            esme.request(context)
        for _ in range(3):
            await smsc.until(lambda event: isinstance(event, Received))
        transport = smsc.connections[0]._transport
        assert transport is not None
        transport.abort()
        closed = await esme.next()
        assert isinstance(closed, Closed)
        assert closed.reason.startswith("the connection was lost")
        assert closed.unanswered == ["a", "b", "c"]


async def test_what_is_sent_in_one_turn_leaves_in_one_piece() -> None:
    """Ten requests in one turn of the loop are one write."""
    async with listening() as smsc:
        esme = await bound(smsc)
        pieces: list[bytes] = []
        theirs = smsc.connections[0]
        take = theirs.data_received

        def take_and_keep(data: bytes) -> None:
            pieces.append(data)
            take(data)

        theirs.data_received = take_and_keep  # type: ignore[method-assign]
        for context in range(10):
            esme.request(context)
        for _ in range(10):
            await esme.next()
        assert [len(frames(piece)[0]) for piece in pieces] == [10]


async def test_small_writes_are_not_delayed() -> None:
    """TCP_NODELAY is set on both sides."""
    async with listening() as smsc:
        esme = await bound(smsc)
        for connection in (esme.connection, smsc.connections[0]):
            assert connection._transport is not None
            sock = connection._transport.get_extra_info("socket")
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert connection.peer.startswith("127.0.0.1:")


class Options:
    """A socket that counts how often TCP was told to acknowledge at once."""

    def __init__(self) -> None:
        self.quick_acks = 0

    def setsockopt(self, level: int, option: int, value: int) -> None:
        assert (level, option, value) == (socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        self.quick_acks += 1


@pytest.mark.skipif(not hasattr(socket, "TCP_QUICKACK"), reason="the system has no TCP_QUICKACK")
@pytest.mark.parametrize(("is_answering", "requests", "count"), [
    pytest.param(True, 1, 0, id="the answer bears the acknowledgement"),
    pytest.param(False, 1, 1, id="no answer yet"),
    pytest.param(False, 100, 0, id="bulk"),
])  # fmt: skip
async def test_what_has_no_answer_yet_is_acknowledged_at_once(
    is_answering: bool, requests: int, count: int
) -> None:
    """A peer with Nagle's algorithm sends its next PDU only when TCP acknowledged the last one."""
    async with listening() as smsc:
        esme = await bound(smsc)
        smsc.is_answering = is_answering
        options = Options()
        theirs = smsc.connections[0]
        theirs._socket = options  # type: ignore[assignment]
        for _ in range(requests):
            esme.request()
        for _ in range(requests):
            await smsc.until(lambda event: isinstance(event, Received))
        await asyncio.sleep(0)  # the turn in which a flush happens
        assert options.quick_acks == count


async def test_timers_run_on_the_loops_clock() -> None:
    """A peer that never binds, and one that never answers, are left without anybody's help."""
    quick = Timers(session_init_s=0.05, response_s=0.05)
    async with listening(quick) as smsc:
        idle = await connected(smsc.port)
        closed = await smsc.until(lambda event: isinstance(event, Closed))
        assert closed == Closed("no bind within 0.05 s", [])
        assert isinstance(await idle.next(), Closed)
    async with listening() as smsc:
        smsc.is_deciding = False
        esme = await connected(smsc.port, timers=quick)
        esme.bind()
        assert await esme.next() == Closed("no response to the bind within 0.05 s", [])


async def test_sessions_run_over_tls() -> None:
    """With contexts on both sides the same session runs encrypted; a stranger's certificate is
    an OSError."""
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(CERTIFICATE)
    async with listening(ssl=theirs) as smsc:
        esme = await connected(smsc.port, ssl=ssl.create_default_context(cafile=CERTIFICATE))
        esme.bind()
        assert isinstance(await esme.next(), Bound)
        esme.request("mine")
        assert isinstance(await esme.next(), Answered)
        with pytest.raises(OSError, match="certificate"):
            await connected(smsc.port, ssl=ssl.create_default_context())


async def test_silent_peer_is_asked_again_and_again() -> None:
    """A peer that is silent gets enquire_link, and stays bound by answering."""
    async with listening(Timers(enquire_s=0.01)) as smsc:
        reader, writer = await stranger(smsc)
        async with asyncio.timeout(10):
            for _ in range(3):
                asked = decode(await reader.readexactly(16))
                assert asked.command_id == c.ENQUIRE_LINK
                writer.write(encode(Bare(c.ENQUIRE_LINK_RESP, 0, asked.sequence)))
        assert smsc.connections[0].session.state is State.BOUND_TRX
        writer.close()
        await writer.wait_closed()


async def test_hostile_length_is_nacked_before_hanging_up() -> None:
    """A length of 4 GB: the stranger gets generic_nack and the end of the stream."""
    async with listening() as smsc:
        reader, writer = await asyncio.open_connection("127.0.0.1", smsc.port)
        writer.write(b"\xff\xff\xff\xff")
        async with asyncio.timeout(10):
            octets = await reader.read()
        assert octets[4:12] == bytes.fromhex("80000000 00000002")
        writer.close()
        await writer.wait_closed()


async def test_closed_connection_sends_nothing_more() -> None:
    """close tells the owner before it returns; what comes after it is harmless."""
    async with listening() as smsc:
        esme = await bound(smsc)
        esme.connection.close("shutting down")
        assert esme.events.get_nowait() == Closed("shutting down", [])
        esme.connection.close("again")
        esme.connection.flush()
        await esme.connection.wait_closed()
        esme.connection.flush()
        assert esme.events.empty()
        assert esme.connection.peer == ""


async def test_peer_that_does_not_read_is_not_read_from() -> None:
    """Answers to a peer that takes none do not pile up; when it reads again all goes on."""
    async with listening() as smsc:
        reader, writer = await stranger(smsc)
        theirs = smsc.connections[0]
        resumed = asyncio.Event()
        theirs.on_writable = resumed.set
        transport = theirs._transport
        assert transport is not None

        async def babble() -> None:
            while True:
                writer.write(ENQUIRE * 1000)
                await writer.drain()

        babbling = asyncio.create_task(babble())
        async with asyncio.timeout(20):
            while transport.is_reading():  # noqa: ASYNC110 - nobody announces it
                await asyncio.sleep(0.001)
            assert not theirs.is_writable
            assert transport.get_write_buffer_size() < 4 * UNREAD_BYTES
            babbling.cancel()
            reading = asyncio.create_task(reader.read(-1))
            await resumed.wait()
            assert theirs.is_writable
            assert transport.is_reading()
            writer.transport.abort()
            with suppress(ConnectionError):
                await reading


async def test_answers_of_a_peer_that_does_not_read_are_heard() -> None:
    """It may be busy with what it got, and read on only when its answers are taken."""
    held: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readexactly(16)
        sequence = int.from_bytes(request[12:], "big")
        writer.write(encode(BindResponse(c.BIND_TRANSCEIVER_RESP, 0, sequence, "smsc")))
        held.put_nowait(writer)

    async with await asyncio.start_server(accept, "127.0.0.1", 0, limit=1024) as server:
        esme = await connected(server.sockets[0].getsockname()[1])
        esme.bind()
        assert isinstance(await esme.next(), Bound)
        transport = esme.connection._transport
        assert transport is not None
        now = asyncio.get_running_loop().time()
        first = esme.session.request(BODY, now, "the first")
        transport.write(esme.session.data_to_send() + ENQUIRE * 1_000_000)
        assert not esme.connection.is_writable
        peer = await held.get()
        peer.write(encode(MessageResponse(c.SUBMIT_SM_RESP, 0, first, "id")))
        answered = await esme.next()
        assert isinstance(answered, Answered)
        assert answered.context == "the first"
        esme.connection.close("the test is over")
        peer.transport.abort()


async def test_peer_that_never_reads_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """A closed session waits only so long for its last bytes to leave."""
    monkeypatch.setattr("protocols.smpp.connection.HANG_UP_S", 0.01)
    async with listening() as smsc:
        _, writer = await stranger(smsc)
        theirs = smsc.connections[0]
        assert theirs._transport is not None
        theirs._transport.write(b"\0" * 20_000_000)
        assert not theirs.is_writable
        theirs.close("enough")
        async with asyncio.timeout(10):
            await theirs.wait_closed()
        writer.transport.abort()


async def test_nobody_listening_is_an_os_error() -> None:
    """A refused connection raises OSError, nothing else happens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        with pytest.raises(OSError):
            await connected(port)


def test_an_answer_that_came_while_the_process_was_busy_is_in_time() -> None:
    """What the socket has is read before the response timer, late itself, is believed."""
    uvloop = pytest.importorskip("uvloop")
    with socket.create_server(("127.0.0.1", 0)) as server:
        answering = threading.Thread(target=_answer_two, args=(server,))
        answering.start()
        answered = uvloop.run(_ask_and_be_busy(server.getsockname()[1]))
        answering.join()
    assert answered == ["a text"]


def _answer_two(server: socket.socket) -> None:
    """Accept a bind and a submit_sm, each at once, then wait for the peer to hang up."""
    peer, _ = server.accept()
    with peer:
        for answer in (c.BIND_TRANSCEIVER_RESP, c.SUBMIT_SM_RESP):
            request = peer.recv(4096)
            sequence = int.from_bytes(request[12:16], "big")
            peer.sendall(encode(MessageResponse(answer, 0, sequence, "id"))
                         if answer == c.SUBMIT_SM_RESP
                         else encode(BindResponse(answer, 0, sequence, "smsc")))  # fmt: skip
        while peer.recv(4096):
            pass


async def _ask_and_be_busy(port: int) -> list[object]:
    """What was answered to a text after which the process did nothing for twice the time limit."""
    told: asyncio.Queue[Event] = asyncio.Queue()
    session = Session(Role.ESME, timers=Timers(response_s=0.2))

    def take(events: list[Event]) -> None:
        for event in events:
            told.put_nowait(event)

    connection = await connect("127.0.0.1", port, session, take)
    loop = asyncio.get_running_loop()
    session.bind(BindKind.TRANSCEIVER, "lab", "lab", loop.time())
    connection.flush()
    assert isinstance(await told.get(), Bound)
    session.request(BODY, loop.time(), "a text")
    connection.flush()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    time.sleep(0.4)  # noqa: ASYNC251 - a process that is busy
    event = await told.get()
    connection.close("enough")
    return [event.context] if isinstance(event, Answered) else []
