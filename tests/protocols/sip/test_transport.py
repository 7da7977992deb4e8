"""SIP over real sockets of loopback."""

from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path

import pytest

from protocols.sip.events import EndCause, Ended, IncomingCall, Rejected, Replied
from protocols.sip.fields import Body, NameAddr
from protocols.sip.flow import Hop, Transport
from protocols.sip.framing import PING, PONG
from protocols.sip.keepalive import Patience
from protocols.sip.transport import TransportLimits
from protocols.sip.uri import Uri
from tests.channels.certificates import Authority
from tests.fakes.sip import far_end
from tests.protocols.sip.sockets import HOST, place

ANY = Transport.UDP, Transport.TCP, Transport.TLS
NAME = "trunk.example.com"
STRANGER = "127.0.0.2"


def server_tls(authority: Authority, name: str = NAME, *, asks: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    cert, key = authority.sign(name)
    context.load_cert_chain(cert, key)
    if asks:
        context.load_verify_locations(authority.file)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_tls(authority: Authority, own: str = "") -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(authority.file))
    if own:
        context.load_cert_chain(*authority.sign(own))
    return context


def options(*, via_port: int = 5060, transport: str = "TCP", more: str = "") -> bytes:
    lines = [
        "OPTIONS sip:us@127.0.0.1 SIP/2.0",
        f"Via: SIP/2.0/{transport} 127.0.0.1:{via_port};branch=z9hG4bKx{via_port}{more}",
        "From: <sip:them@127.0.0.1>;tag=1",
        "To: <sip:us@127.0.0.1>",
        "Call-ID: 1@127.0.0.1",
        "CSeq: 1 OPTIONS",
        "Max-Forwards: 70",
        "Content-Length: 0",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def read_some(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(5):
        return await reader.read(4_096)


async def hung_up(reader: asyncio.StreamReader) -> bool:
    """Whether the other side closes without a word."""
    try:
        return await read_some(reader) == b""
    except ConnectionError:
        return True


@pytest.mark.parametrize("transport", ANY, ids=lambda each: each.value)
async def test_a_request_is_answered_over_every_transport(
    transport: Transport, authority: Authority
) -> None:
    trust = client_tls(authority)
    async with (
        place(tls=server_tls(authority)) as there,
        place(client_tls=trust, server_name=NAME) as here,
    ):
        assert (await here.ask(there.hop(transport))).code == 200


async def test_a_connection_is_used_again() -> None:
    """The second request goes where the first one went, and the answer comes the same way."""
    async with place() as there, place() as here:
        for _ in range(3):
            assert (await here.ask(there.hop(Transport.TCP))).code == 200
        assert here.sockets.connections == there.sockets.connections == 1


async def test_requests_that_wait_for_one_connection_share_it() -> None:
    async with place() as there, place() as here:
        me = NameAddr(Uri.sip("us", HOST))
        hop = there.hop(Transport.TCP)
        for _ in range(5):
            here.agent.options(Uri.sip(None, HOST), from_=me, hop=hop, now=here.endpoint.now)
            here.endpoint.flush()
        await here.wait_until(lambda: len(here.all(Replied)) == 5)
        assert there.sockets.connections == 1


async def test_a_closed_port_is_told_at_once() -> None:
    """Over TCP nobody waits for the 32 s of a timeout."""
    with socket.create_server((HOST, 0)) as gone:
        port = gone.getsockname()[1]
    async with place() as here:
        replied = await here.ask(Hop(Transport.TCP, HOST, port))
        assert replied.cause is EndCause.TRANSPORT
        assert str(port) in here.endpoint.fault


async def test_what_waits_fails_with_its_connection() -> None:
    """The peer takes the request and hangs up."""

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.close()

    server = await asyncio.start_server(hang_up, HOST, 0)
    async with server, place() as here:
        replied = await here.ask(Hop(Transport.TCP, HOST, server.sockets[0].getsockname()[1]))
        assert replied.cause is EndCause.TRANSPORT


async def test_a_connection_that_answers_nothing_is_left_for_a_new_one() -> None:
    """A firewall that forgot the connection: what was asked fails, and the next request opens
    another instead of going the dead way."""
    accepted: list[asyncio.StreamWriter] = []

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.append(writer)
        while await reader.read(4_096):
            continue
        writer.close()

    server = await asyncio.start_server(swallow, HOST, 0)
    limits = TransportLimits(patience=Patience(answer_s=0.1))
    async with server, place(limits=limits) as here:
        hop = Hop(Transport.TCP, HOST, server.sockets[0].getsockname()[1])
        for _ in range(2):
            here.events.clear()
            here.agent.invite(
                Uri.sip("them", HOST),
                from_=NameAddr(Uri.sip("us", HOST)),
                now=here.endpoint.now,
                body=Body("application/sdp", b"v=0"),
                hop=hop,
            )
            here.endpoint.flush()
            assert (await here.wait_for(Rejected)).cause is EndCause.TRANSPORT
        assert len(accepted) == 2


async def test_a_response_whose_connection_is_gone_goes_where_via_says() -> None:
    """RFC 3261 section 18.2.2: a new connection, to the port of sent-by."""
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.put_nowait(await reader.read(4_096))
        writer.close()

    server = await asyncio.start_server(listen, HOST, 0)
    async with server, place() as here:
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection(HOST, here.port)
        invite = options(via_port=port, more=";rport").replace(b"OPTIONS", b"INVITE")
        writer.write(invite.replace(b"Max-", b"Contact: <sip:them@127.0.0.1>\r\nMax-"))
        call = (await here.wait_for(IncomingCall)).call
        writer.write_eof()
        assert (await reader.read()).startswith(b"SIP/2.0 100")  # and then it is closed
        writer.close()
        call.reject(here.endpoint.now, 486)
        here.endpoint.flush()
        async with asyncio.timeout(5):
            assert (await heard.get()).startswith(b"SIP/2.0 486")


async def test_what_waits_on_a_connection_of_the_peer_fails_with_it() -> None:
    """A request within a call that came by that connection: nobody waits 32 s for its answer."""
    async with place() as here:
        reader, writer = await asyncio.open_connection(HOST, here.port)
        source = writer.get_extra_info("sockname")[1]
        invite = options(via_port=source).replace(b"OPTIONS", b"INVITE")
        contact = f"Contact: <sip:them@127.0.0.1:{source};transport=tcp>\r\nMax-".encode()
        writer.write(invite.replace(b"Max-", contact))
        call = (await here.wait_for(IncomingCall)).call
        call.answer(here.endpoint.now, Body("application/sdp", b"v=0"))
        here.endpoint.flush()
        ok = b""
        while b"SIP/2.0 200" not in ok:
            ok = await read_some(reader)
        to = ok.split(b"To: ")[-1].split(b"\r\n")[0]
        ack = invite.replace(b"INVITE", b"ACK").replace(b"To: <sip:us@127.0.0.1>", b"To: " + to)
        writer.write(ack.replace(b"z9hG4bKx", b"z9hG4bKack") + options(via_port=1))
        assert b"CSeq: 1 OPTIONS" in await read_some(reader)  # it has read the ACK before
        call.hang_up(here.endpoint.now)
        here.endpoint.flush()
        assert (await read_some(reader)).startswith(b"BYE ")
        writer.close()
        await here.wait_for(Ended)


# ---------------------------------------------------------------------- streams


async def test_a_message_in_pieces_is_put_together() -> None:
    """Byte by byte, and two in one piece."""
    async with place() as here:
        reader, writer = await asyncio.open_connection(HOST, here.port)
        for byte in options():
            writer.write(bytes([byte]))
            await writer.drain()
        assert (await read_some(reader)).startswith(b"SIP/2.0 200")
        first, second = options(via_port=1), options(via_port=2).replace(b"1@", b"2@")
        writer.write(first.replace(b"1@", b"3@") + second)
        answers = b""
        while answers.count(b"SIP/2.0 200") < 2:
            answers += await read_some(reader)
        writer.close()


async def test_a_message_over_the_limit_ends_the_connection() -> None:
    async with place() as here:
        reader, writer = await asyncio.open_connection(HOST, here.port)
        writer.write(options()[:-4] + b"\r\nX: " + b"a" * 20_000)
        assert await hung_up(reader)
        writer.close()


async def test_a_message_without_a_length_ends_the_connection() -> None:
    """What follows it could not be told from it."""
    async with place() as here:
        reader, writer = await asyncio.open_connection(HOST, here.port)
        writer.write(options().replace(b"Content-Length: 0\r\n", b""))
        assert await hung_up(reader)
        writer.close()


@pytest.mark.parametrize(
    "begun", [b"", options()[:40]], ids=["silent from the start", "half a message"]
)
async def test_a_caller_that_says_nothing_whole_is_hung_up_on(begun: bytes) -> None:
    limits = TransportLimits(patience=Patience(first_s=0.1, message_s=0.1))
    async with place(limits=limits) as here:
        reader, writer = await asyncio.open_connection(HOST, here.port)
        writer.write(begun)
        assert await hung_up(reader)
        writer.close()


async def test_connections_of_one_address_are_limited() -> None:
    limits = TransportLimits(connections_per_host=2)
    async with place(limits=limits) as here:
        kept = []
        for _ in range(2):
            reader, writer = await asyncio.open_connection(HOST, here.port)
            writer.write(PING)
            assert await read_some(reader) == PONG
            kept.append(writer)
        reader, writer = await asyncio.open_connection(HOST, here.port)
        assert await hung_up(reader)
        for each in (*kept, writer):
            each.close()


async def test_the_system_looks_whether_a_silent_peer_is_there() -> None:
    """On both sides: what was cut without a word must not hold a place for an hour."""
    async with place() as there, place() as here:
        await here.ask(there.hop(Transport.TCP))
        for side in (here, there):
            (stream,) = side.sockets._streams.values()
            assert stream._transport is not None
            sock = stream._transport.get_extra_info("socket")
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) <= 120


async def test_we_ping_the_connections_that_we_opened() -> None:
    """RFC 5626 section 3.5.1; a peer that never answered a ping is not held to it."""
    heard = asyncio.Event()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data = b""
        while not data.endswith(PING * 2):
            data = (data + await reader.read(4_096))[-4_096:]
            if data.endswith(b"\r\n\r\n") and b"OPTIONS" in data:
                data = b""
        heard.set()
        writer.close()

    server = await asyncio.start_server(listen, HOST, 0)
    async with server, place(ping_s=0.05) as here:
        hop = Hop(Transport.TCP, HOST, server.sockets[0].getsockname()[1])
        await here.ask(hop)
        assert heard.is_set()


async def test_a_peer_that_does_not_read_is_given_up() -> None:
    """What waits for it is bounded."""
    gate = asyncio.Event()

    async def never_read(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        await gate.wait()
        writer.close()

    server = await asyncio.start_server(never_read, HOST, 0, limit=1_024)
    limits = TransportLimits(buffer_bytes=65_536)
    async with server, place(limits=limits) as here:
        hop = Hop(Transport.TCP, HOST, server.sockets[0].getsockname()[1])
        me = NameAddr(Uri.sip("u" * 1_000, HOST))
        async with asyncio.timeout(20):
            while not any(isinstance(each, Replied) for each in here.events):
                for _ in range(200):
                    here.agent.options(
                        Uri.sip(None, HOST), from_=me, hop=hop, now=here.endpoint.now
                    )
                here.endpoint.flush()
                await asyncio.sleep(0.001)
        assert (await here.wait_for(Replied)).cause is EndCause.TRANSPORT
        gate.set()


# ---------------------------------------------------------------------- TLS


async def test_a_certificate_of_another_authority_is_refused(
    authority: Authority, tmp_path: Path
) -> None:
    other = Authority(tmp_path, "other")
    async with (
        place(tls=server_tls(other)) as there,
        place(client_tls=client_tls(authority), server_name=NAME) as here,
    ):
        assert (await here.ask(there.hop(Transport.TLS))).cause is EndCause.TRANSPORT
        assert "not trusted" in here.endpoint.fault


async def test_a_certificate_for_another_name_is_refused(authority: Authority) -> None:
    async with (
        place(tls=server_tls(authority, "else.example.com")) as there,
        place(client_tls=client_tls(authority), server_name=NAME) as here,
    ):
        assert (await here.ask(there.hop(Transport.TLS))).cause is EndCause.TRANSPORT
        assert "not trusted" in here.endpoint.fault


@pytest.mark.parametrize("name", ["a" * 70, ".example.com", "a..example.com"])
async def test_a_server_name_that_cannot_be_is_told_at_once(
    name: str, authority: Authority
) -> None:
    """A fault of the settings fails the request, as one of the network does."""
    async with (
        place(tls=server_tls(authority)) as there,
        place(client_tls=client_tls(authority), server_name=name) as here,
    ):
        assert (await here.ask(there.hop(Transport.TLS))).cause is EndCause.TRANSPORT
        assert str(there.tls_port) in here.endpoint.fault


@pytest.mark.parametrize("has_own", [True, False], ids=["shown", "not shown"])
async def test_a_caller_has_to_show_the_certificate_that_we_ask_for(
    has_own: bool, authority: Authority
) -> None:
    trust = client_tls(authority, "gateway.example.com" if has_own else "")
    async with (
        place(tls=server_tls(authority, asks=True)) as there,
        place(client_tls=trust, server_name=NAME) as here,
    ):
        replied = await here.ask(there.hop(Transport.TLS))
        assert (replied.cause is EndCause.RESPONSE) is has_own


async def test_a_handshake_that_never_comes_is_given_up(authority: Authority) -> None:
    limits = TransportLimits(handshake_s=0.1)
    async with place(tls=server_tls(authority), limits=limits) as here:
        reader, writer = await asyncio.open_connection(HOST, here.tls_port)
        assert await hung_up(reader)
        writer.close()


async def test_a_peer_that_hangs_in_its_handshakes_takes_no_place_of_others(
    authority: Authority,
) -> None:
    """Each address has a part of the handshakes that may be under way."""
    limits = TransportLimits(handshakes=4, handshakes_per_host=2, handshake_s=30.0)
    async with (
        place(networks=["127.0.0.0/8"], tls=server_tls(authority), limits=limits) as there,
        place(client_tls=client_tls(authority), server_name=NAME) as here,
    ):
        own = (STRANGER, 0)
        hanging = [
            await asyncio.open_connection(HOST, there.tls_port, local_addr=own) for _ in range(2)
        ]
        for _ in range(4):
            reader, writer = await asyncio.open_connection(HOST, there.tls_port, local_addr=own)
            assert await hung_up(reader)
            writer.close()
        assert (await here.ask(there.hop(Transport.TLS))).code == 200
        for _, writer in hanging:
            writer.close()


# ---------------------------------------------------------------------- large requests


async def test_a_request_over_1300_octets_goes_by_tcp() -> None:
    """RFC 3261 section 18.1.1; what belongs to it follows."""
    async with place() as there, place() as here:
        me = NameAddr(Uri.sip("us", HOST))
        body = Body("application/sdp", b"v=0\r\n" + b"a=x\r\n" * 300)
        call = here.agent.invite(
            Uri.sip("them", HOST, there.port),
            from_=me,
            now=here.endpoint.now,
            body=body,
            hop=there.hop(Transport.UDP),
        )
        here.endpoint.flush()
        incoming = await there.wait_for(IncomingCall)
        incoming.call.reject(there.endpoint.now, 486)
        there.endpoint.flush()
        assert (await here.wait_for(Rejected)).code == 486
        assert call.id not in here.agent.calls

        def received() -> list[tuple[bytes, Transport]]:
            messages = [each for each in there.messages if not each[0]]
            return [(data.split()[0], hop.transport) for _, data, hop in messages]

        await there.wait_until(lambda: len(received()) == 2)
        assert received() == [(b"INVITE", Transport.TCP), (b"ACK", Transport.TCP)]


@pytest.mark.parametrize("is_tcp_tried", [True, False], ids=["tried", "not wanted"])
async def test_a_peer_without_tcp_gets_large_requests_by_udp(is_tcp_tried: bool) -> None:
    async with far_end(lambda heard: [heard.reply("486 Busy Here")]) as there, place() as here:
        here.endpoint.is_tcp_for_large = is_tcp_tried
        here.agent.invite(
            Uri.sip("them", HOST, there.port),
            from_=NameAddr(Uri.sip("us", HOST)),
            now=here.endpoint.now,
            body=Body("application/sdp", b"v=0\r\n" + b"a=x\r\n" * 300),
            hop=Hop(Transport.UDP, HOST, there.port),
        )
        here.endpoint.flush()
        assert (await here.wait_for(Rejected)).code == 486
        assert "/UDP" in there.of("INVITE")[0].header("Via")
        assert bool(here.endpoint.fault) is is_tcp_tried
