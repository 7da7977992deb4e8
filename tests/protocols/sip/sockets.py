"""User agents on real sockets of loopback, for the tests of the transport."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_network
from typing import TypeVar

from protocols.sip.agent_driver import Endpoint
from protocols.sip.core import Config
from protocols.sip.endpoint import UserAgent
from protocols.sip.events import Event, Replied
from protocols.sip.fields import NameAddr
from protocols.sip.flow import Hop, Transport
from protocols.sip.randomness import SystemRandomness
from protocols.sip.resolving import Target
from protocols.sip.sharing import MarkedRandomness
from protocols.sip.transport import SipTransport, TransportLimits
from protocols.sip.uri import Uri

HOST = "127.0.0.1"
T = TypeVar("T")


class Side:
    """One user agent, its sockets, and what it told."""

    def __init__(self, sockets: SipTransport, mark: str = "a", user: str = "us") -> None:
        self.sockets = sockets
        self.events: list[Event] = []
        self.messages: list[tuple[bool, bytes, Hop]] = []
        self._news = asyncio.Event()
        self.agent = UserAgent(Config(user=user), MarkedRandomness(mark, SystemRandomness()))
        self.endpoint = Endpoint(
            sockets.loop,
            self.agent,
            send=sockets.send,
            on_events=self._on_events,
            on_error=sockets.on_error,
            mark=mark,
            user=user,
            on_message=self._on_message,
        )

    def _on_events(self, events: list[Event]) -> None:
        self.events += events
        self._news.set()

    def _on_message(self, is_sent: bool, data: bytes, hop: Hop) -> None:
        self.messages.append((is_sent, data, hop))
        self._news.set()

    async def wait_until(self, is_so: Callable[[], bool]) -> None:
        """Wait until something is so, looking after each event and message."""
        async with asyncio.timeout(10):
            while not is_so():
                self._news.clear()
                await self._news.wait()

    def all(self, kind: type[T]) -> list[T]:
        """The events of a kind."""
        return [event for event in self.events if isinstance(event, kind)]

    async def wait_for(self, kind: type[T]) -> T:
        """The first event of a kind, once it is there."""
        await self.wait_until(lambda: bool(self.all(kind)))
        return self.all(kind)[0]

    async def ask(self, hop: Hop) -> Replied:
        """Send an OPTIONS and wait for what comes of it."""
        self.events.clear()
        me = NameAddr(Uri.sip("us", HOST))
        self.agent.options(Uri.sip(None, HOST), from_=me, hop=hop, now=self.endpoint.now)
        self.endpoint.flush()
        return await self.wait_for(Replied)


class Place(Side):
    """A user agent with sockets of its own."""

    port: int
    tls_port: int = 0

    def hop(self, transport: Transport) -> Hop:
        """Where others reach it."""
        port = self.tls_port if transport is Transport.TLS else self.port
        return Hop(transport, HOST, port)


async def nobody(_hop: Hop) -> Sequence[Target]:
    """DNS that knows nothing."""
    raise OSError("no such name")


@asynccontextmanager
async def place(
    *,
    networks: Sequence[str] = ("127.0.0.1",),
    limits: TransportLimits | None = None,
    tls: ssl.SSLContext | None = None,
    client_tls: ssl.SSLContext | None = None,
    server_name: str = "",
    resolve: object = nobody,
    ping_s: float = 0.0,
) -> AsyncIterator[Place]:
    """A user agent that listens to these networks, on free ports."""
    sockets = SipTransport(resolve=resolve, limits=limits)  # type: ignore[arg-type]
    made = Place(sockets)
    made.port = await sockets.listen(HOST, 0)
    if tls is not None:
        made.tls_port = await sockets.listen_tls(HOST, 0, tls)
    made.endpoint.server_name = server_name
    made.endpoint.ping_s = ping_s
    if client_tls is not None:
        made.endpoint.tls = lambda: client_tls
    for transport in Transport:
        made.agent.set_local(transport, HOST, made.hop(transport).port or made.port)
    sockets.allowed.put(made.endpoint, [ip_network(each) for each in networks])
    try:
        yield made
    finally:
        made.endpoint.close()
        await sockets.close()

