"""Sockets for a user agent of ours: UDP, TCP and TLS on loopback."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from itertools import count

from protocols.sip.errors import SipError
from protocols.sip.flow import Hop, Outgoing, Transport
from protocols.sip.framing import PONG, KeepAlive, StreamFramer
from protocols.sip.limits import DEFAULT_LIMITS

HOST = "127.0.0.1"
TLS_NAME = "localhost"


class Wire:
    """Carries what a user agent sends, and brings what comes."""

    def __init__(
        self, on_message: Callable[[bytes, Hop], None], on_failure: Callable[[Hop], None]
    ) -> None:
        self._on_message = on_message
        self._on_failure = on_failure
        self._udp: asyncio.DatagramTransport | None = None
        self._servers: list[asyncio.Server] = []
        self._flows: dict[int, asyncio.StreamWriter] = {}
        self._dialled: dict[tuple[Transport, str, int], int] = {}
        self._numbers = count(1)
        self._tasks: set[asyncio.Task[None]] = set()
        self._client_tls: ssl.SSLContext | None = None
        self.tls_errors: list[ssl.SSLError] = []

    async def open(
        self, server_tls: ssl.SSLContext | None, client_tls: ssl.SSLContext | None
    ) -> dict[Transport, int]:
        """Listen; returns the ports."""
        self._client_tls = client_tls
        loop = asyncio.get_running_loop()
        self._udp, _ = await loop.create_datagram_endpoint(
            lambda: _Datagrams(self._on_message), local_addr=(HOST, 0)
        )
        ports = {Transport.UDP: int(self._udp.get_extra_info("sockname")[1])}
        ports[Transport.TCP] = await self._listen(Transport.TCP, None)
        if server_tls is not None:
            ports[Transport.TLS] = await self._listen(Transport.TLS, server_tls)
        return ports

    async def _listen(self, transport: Transport, tls: ssl.SSLContext | None) -> int:
        async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._serve(transport, reader, writer, next(self._numbers))

        server = await asyncio.start_server(accepted, HOST, 0, ssl=tls)
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    def send(self, outgoing: Outgoing) -> None:
        """Send one message; a connection is opened where none stands."""
        hop = outgoing.hop
        if hop.transport is Transport.UDP:
            assert self._udp is not None
            self._udp.sendto(outgoing.data, (hop.host, hop.port or 5060))
            return
        key = (hop.transport, hop.host, hop.port)
        writer = self._flows.get(hop.flow or self._dialled.get(key, 0))
        if writer is not None:
            writer.write(outgoing.data)
            return
        task = asyncio.ensure_future(self._dial(outgoing))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _dial(self, outgoing: Outgoing) -> None:
        hop = outgoing.hop
        is_tls = hop.transport is Transport.TLS
        try:
            reader, writer = await asyncio.open_connection(
                hop.host, hop.port, ssl=self._client_tls if is_tls else None,
                server_hostname=TLS_NAME if is_tls else None,
            )  # fmt: skip
        except OSError as error:
            if isinstance(error, ssl.SSLError):
                self.tls_errors.append(error)
            self._on_failure(hop)
            return
        writer.write(outgoing.data)
        number = next(self._numbers)
        self._dialled[hop.transport, hop.host, hop.port] = number
        await self._serve(hop.transport, reader, writer, number)

    async def _serve(
        self, transport: Transport, reader: asyncio.StreamReader, writer: asyncio.StreamWriter,
        number: int,
    ) -> None:  # fmt: skip
        host, port = writer.get_extra_info("peername")[:2]
        source = Hop(transport, host, port, number)
        self._flows[number] = writer
        framer = StreamFramer(DEFAULT_LIMITS)
        try:
            while data := await reader.read(65536):
                for each in framer.receive_data(data):
                    if isinstance(each, bytes):
                        self._on_message(each, source)
                    elif each is KeepAlive.PING:
                        writer.write(PONG)
        except (OSError, SipError, asyncio.CancelledError):
            pass
        finally:
            self._flows.pop(number, None)
            writer.transport.abort()

    async def close(self) -> None:
        """Close everything."""
        for server in self._servers:
            server.close()
        for writer in list(self._flows.values()):
            writer.transport.abort()
        if self._udp is not None:
            self._udp.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.sleep(0)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, on_message: Callable[[bytes, Hop], None]) -> None:
        self._on_message = on_message

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._on_message(data, Hop(Transport.UDP, addr[0], addr[1]))
