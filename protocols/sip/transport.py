"""SIP over asyncio: the one file here that knows of sockets, loops and clocks.

All user agents of a process share the listening sockets. Whoever is in no user agent's networks is
a stranger: nothing that it sends is read, and not a byte goes back.
"""

from __future__ import annotations

import asyncio
import socket
import ssl as ssl_module
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, cast

from protocols.sip.agent_driver import Endpoint
from protocols.sip.allowlist import Allowlist, Noise
from protocols.sip.entrance import Entrance
from protocols.sip.errors import SipError
from protocols.sip.flow import Hop, Outgoing, Transport
from protocols.sip.framing import PING, PONG, KeepAlive, StreamFramer
from protocols.sip.keepalive import Care, KeepAliver, Patience
from protocols.sip.large_requests import LargeRequests, over_tcp
from protocols.sip.limits import DEFAULT_LIMITS, Limits
from protocols.sip.parser import way_back
from protocols.sip.resolving import Target, is_address, is_server_name
from protocols.sip.sharing import choose
from protocols.sip.token_bucket import SourceBuckets

_ACCEPT_PAUSE_S: Final = 1.0
_BACKLOG: Final = 128
_MAX_ASKED: Final = 64
_PORT_TRIES: Final = 16
_UDP_BUFFER_BYTES: Final = 1_048_576
# What a firewall forgot is noticed within two minutes, or 32 s after something was sent there.
_STREAM_OPTIONS: Final = (
    (socket.IPPROTO_TCP, "TCP_NODELAY", 1),
    (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
    (socket.IPPROTO_TCP, "TCP_KEEPIDLE", 60),
    (socket.IPPROTO_TCP, "TCP_KEEPINTVL", 15),
    (socket.IPPROTO_TCP, "TCP_KEEPCNT", 4),
    (socket.IPPROTO_TCP, "TCP_USER_TIMEOUT", 32_000),
)
_ANY: Final = ("0.0.0.0", "::")  # noqa: S104 - compared, not listened on

Resolve = Callable[[Hop], Awaitable[Sequence[Target]]]
"""Looks up a name that a peer wrote. Raises OSError."""


@dataclass(frozen=True, slots=True)
class TransportLimits:
    """What peers and strangers can make us hold and do."""

    connections: int = 256
    connections_per_host: int = 32
    handshakes: int = 32
    handshakes_per_host: int = 8
    handshake_s: float = 5.0
    connect_s: float = 4.0
    large_connect_s: float = 1.0
    """For requests that go by TCP only for their size."""
    patience: Patience = Patience()
    buffer_bytes: int = 1_048_576
    """Unsent bytes of one connection: a peer that reads so slowly is given up."""
    waiting: int = 512
    """Messages that wait for a connection, or for a name to be looked up; what is beyond is lost,
    as a datagram would be."""
    messages_per_s: float = 300.0
    burst: float = 600.0
    """Messages of one source; what is beyond is dropped."""
    messages: Limits = DEFAULT_LIMITS


class _Datagrams(asyncio.DatagramProtocol):
    """The UDP socket."""

    def __init__(self, shared: SipTransport) -> None:
        self._shared = shared

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        owners = self._shared.allowed.owners(addr[0])
        if not owners:
            self._shared.noise.add_datagram(addr[0])
        elif data[:1] > b"\r":  # empty lines keep a way through a NAT open, and say nothing
            self._shared.deliver(data, Hop(Transport.UDP, addr[0], addr[1]), owners)


class _Stream(asyncio.Protocol):
    """One TCP or TLS connection."""

    def __init__(self, shared: SipTransport, kind: Transport, opener: Endpoint | None) -> None:
        self.opener = opener
        """Who opened it; None when the peer did."""
        self.hop: Hop
        self.asked: set[tuple[Endpoint, Hop]] = set()
        """Who sent requests here, and their hops: to fail with it."""
        self._shared = shared
        self._kind = kind
        self._framer = StreamFramer(shared.limits.messages)
        self._transport: asyncio.Transport | None = None
        self._care: KeepAliver
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        sock = transport.get_extra_info("socket")
        for level, option, value in _STREAM_OPTIONS:
            with suppress(OSError, AttributeError):
                sock.setsockopt(level, getattr(socket, option), value)
        name = transport.get_extra_info("peername") or ("", 0)
        self.hop = self._shared.joined(self, Hop(self._kind, name[0], name[1]))
        self._care = KeepAliver(
            self._shared.loop.time(),
            ping_s=0.0 if self.opener is None else self.opener.ping_s,
            is_caller=self.opener is None,
            patience=self._shared.limits.patience,
        )
        self._arm()

    def data_received(self, data: bytes) -> None:
        now = self._shared.loop.time()
        try:
            items = self._framer.receive_data(data)
        except SipError:
            self.abort()
            return
        for item in items:
            self._care.heard(now, is_pong=item is KeepAlive.PONG)
            if item is KeepAlive.PING:
                self.write(PONG)
            elif isinstance(item, bytes):
                owners = self._shared.allowed.owners(self.hop.host)
                self._shared.deliver(item, self.hop, owners)
        self._care.rest(now, has_rest=self._framer.has_rest)
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
        self._shared.left(self)

    def pause_writing(self) -> None:
        """What is sent meanwhile gathers up to the limit; answers to what it sends would, too."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        if self._transport is not None:
            self._transport.resume_reading()

    def write(self, data: bytes) -> bool:
        """Send; whether it was taken."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return False
        if transport.get_write_buffer_size() + len(data) > self._shared.limits.buffer_bytes:
            self.abort()
            return False
        transport.write(data)
        self._care.sent(self._shared.loop.time())
        return True

    def carry(self, endpoint: Endpoint, data: bytes, hop: Hop) -> bool:
        """As `write`, for a message; what waits for an answer from `hop` fails with the connection.
        A datagram's sender repeats by itself."""
        if not self.write(data):
            return False
        self._care.carried(data, self._shared.loop.time())
        self._arm()
        if hop.transport.is_reliable and data[:4] not in (b"SIP/", b"ACK "):
            if len(self.asked) >= _MAX_ASKED:
                self.asked.clear()
            self.asked.add((endpoint, hop))
        return True

    def abort(self) -> None:
        """Cut it; the loop tells `connection_lost` soon."""
        if self._transport is not None:
            self._transport.abort()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._timer = self._shared.loop.call_at(self._care.due(), self._look)

    def _look(self) -> None:
        care = self._care.check(self._shared.loop.time())
        if care is Care.CLOSE or self.opener is not None and self.opener.is_closed:
            self.abort()
            return
        if care is Care.PING:
            self.write(PING)
        self._arm()


_Key = tuple[Endpoint, Transport, str, int]
_Pending = list[tuple[Outgoing, bytes]]


class SipTransport:
    """The sockets of a process. Make it with a running loop."""

    def __init__(
        self,
        *,
        resolve: Resolve,
        limits: TransportLimits | None = None,
        on_error: Callable[[Exception], None] | None = None,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.limits = own = limits or TransportLimits()
        self.allowed: Allowlist[Endpoint] = Allowlist()
        self.noise = Noise()
        self.on_error = on_error or self._raise_to_loop
        self._resolve = resolve
        self._buckets = SourceBuckets(self.limits.messages_per_s, self.limits.burst)
        self._large = LargeRequests()
        self._udp: asyncio.DatagramTransport | None = None
        self._local_host: str | None = None
        self._listeners: list[tuple[socket.socket, asyncio.Task[None]]] = []
        self._streams: dict[int, _Stream] = {}
        self._entrance = Entrance(
            own.connections, own.connections_per_host, own.handshakes, own.handshakes_per_host
        )
        self._by_key: dict[_Key, _Stream] = {}
        self._opening: dict[_Key, _Pending] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._flow = 0
        self.tls: ssl_module.SSLContext | None = None
        """For callers; may be assigned, the next connections get the new certificates."""

    @property
    def dropped(self) -> int:
        """Messages of peers that sent more than they may."""
        return self._buckets.refused

    @property
    def connections(self) -> int:
        """Connections that stand."""
        return len(self._streams)

    # ------------------------------------------------------------------ sockets

    async def listen(self, host: str, port: int) -> int:
        """Open UDP and TCP on one port, which is returned; 0 takes any that is free. Raises
        OSError."""
        for tries_left in reversed(range(_PORT_TRIES if port == 0 else 1)):
            sock = _bind_udp(host, port)
            own = int(sock.getsockname()[1])
            try:
                self._listen_tcp(host, own, Transport.TCP)
                break
            except OSError:
                sock.close()
                if not tries_left:
                    raise
        udp, _ = await self.loop.create_datagram_endpoint(lambda: _Datagrams(self), sock=sock)
        self._udp = udp
        self._local_host = host
        return own

    async def listen_tls(self, host: str, port: int, context: ssl_module.SSLContext) -> int:
        """Open a TLS port, which is returned. Raises OSError."""
        self.tls = context
        return self._listen_tcp(host, port, Transport.TLS)

    def _listen_tcp(self, host: str, port: int, kind: Transport) -> int:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = socket.create_server((host, port), family=family, backlog=_BACKLOG)
        sock.setblocking(False)
        task = self.loop.create_task(self._accept(sock, kind), name=f"SIP {kind.value} port")
        self._listeners.append((sock, task))
        return int(sock.getsockname()[1])

    async def close(self) -> None:
        """Close everything; what waits is not sent."""
        tasks = [*self._tasks, *(task for _, task in self._listeners)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for sock, _ in self._listeners:
            sock.close()
        for stream in list(self._streams.values()):
            stream.abort()
        if self._udp is not None:
            self._udp.close()
        await asyncio.sleep(0)  # the loop closes them in its next turn

    async def _accept(self, listener: socket.socket, kind: Transport) -> None:
        while True:
            try:
                sock, address = await self.loop.sock_accept(listener)
            except OSError:
                await asyncio.sleep(_ACCEPT_PAUSE_S)
                continue
            if not self._may_enter(address[0]):
                sock.close()
                continue
            self._entrance.arrives(address[0])
            self._spawn(self._let_in(sock, kind, address[0]))

    def _may_enter(self, host: str) -> bool:
        if self.allowed.owners(host):
            return self._entrance.has_room(host)
        self.noise.add_connection(host)
        return False

    async def _let_in(self, sock: socket.socket, kind: Transport, host: str) -> None:
        is_tls = kind is Transport.TLS
        try:
            await self.loop.connect_accepted_socket(
                lambda: _Stream(self, kind, None),
                sock,
                ssl=self.tls if is_tls else None,
                ssl_handshake_timeout=self.limits.handshake_s if is_tls else None,
            )
        except OSError:
            sock.close()
        finally:
            self._entrance.arrived(host)

    # ------------------------------------------------------------------ what comes in

    def deliver(self, data: bytes, source: Hop, owners: Sequence[Endpoint]) -> None:
        """Hand a message of an allowed source to the user agent that it is for."""
        if owners and self._buckets.take(source.host, self.loop.time()):
            choose(data, owners).receive(data, source)

    def joined(self, stream: _Stream, peer: Hop) -> Hop:
        """A connection stands; it gets its number."""
        self._flow += 1
        self._streams[self._flow] = stream
        self._entrance.stands(peer.host)
        return Hop(peer.transport, peer.host, peer.port, self._flow)

    def left(self, stream: _Stream) -> None:
        """A connection is gone: what waits for a response by it has failed."""
        self._streams.pop(stream.hop.flow or 0, None)
        self._entrance.left(stream.hop.host)
        for key in (keys := [each for each, one in self._by_key.items() if one is stream]):
            del self._by_key[key]
        for endpoint, hop in stream.asked:
            endpoint.failed(hop)
        for endpoint, *_ in keys:
            if endpoint.on_disconnected is not None:
                endpoint.on_disconnected()

    # ------------------------------------------------------------------ what goes out

    def send(self, endpoint: Endpoint, out: Outgoing) -> None:
        """Send one message, or tell the endpoint that its hop failed, now or later."""
        hop = out.hop
        if hop.flow is not None:
            stream = self._streams.get(hop.flow)
            if stream is not None and stream.carry(endpoint, out.data, hop):
                return
            if out.data[:4] == b"SIP/":
                hop = way_back(out)
            elif stream is not None:
                endpoint.failed(hop)
                return
        host = hop.host.strip("[]")
        if self.allowed.allows(endpoint, host):
            self._send_to(endpoint, out, host, hop.port or hop.transport.default_port)
        elif not is_address(host):
            if endpoint.waiting < self.limits.waiting:
                endpoint.waiting += 1
                self._spawn(self._look_up(endpoint, out))
        else:
            endpoint.misdirected += 1
            endpoint.failed(hop)

    def ping(self, endpoint: Endpoint, target: Target) -> None:
        """An empty datagram that keeps the way back through a NAT open."""
        if self._udp is not None and self.allowed.allows(endpoint, target.address):
            self._udp.sendto(PING, (target.address, target.port))

    async def _look_up(self, endpoint: Endpoint, out: Outgoing) -> None:
        """The name of a server is in a URI that the peer wrote: only addresses in its networks
        are taken."""
        try:
            targets = await self._resolve(out.hop)
        except OSError:
            targets = ()
        finally:
            endpoint.waiting -= 1
        for target in targets:
            if self.allowed.allows(endpoint, target.address):
                self._send_to(endpoint, out, target.address, target.port)
                return
        endpoint.misdirected += len(targets) > 0
        endpoint.failed(out.hop)

    def _send_to(self, endpoint: Endpoint, out: Outgoing, host: str, port: int) -> None:
        if out.hop.transport is not Transport.UDP:
            self._send_stream((endpoint, out.hop.transport, host, port), out, out.data)
        elif endpoint.is_tcp_for_large and self._large.belongs_on_tcp(
            out.data, (host, port), self.loop.time()
        ):
            self._send_stream((endpoint, Transport.TCP, host, port), out, over_tcp(out.data))
        else:
            self._send_datagram(endpoint, out, host, port)

    def _send_datagram(self, endpoint: Endpoint, out: Outgoing, host: str, port: int) -> None:
        if self._udp is None or self._udp.is_closing():
            endpoint.failed(out.hop)
        else:
            self._udp.sendto(out.data, (host, port))

    def _send_stream(self, key: _Key, out: Outgoing, data: bytes) -> None:
        stream = self._by_key.get(key)
        if stream is not None and stream.carry(key[0], data, out.hop):
            return
        pending = self._opening.get(key)
        if pending is None:
            self._opening[key] = [(out, data)]
            self._spawn(self._open(key))
        elif len(pending) < self.limits.waiting and all(data != each for _, each in pending):
            pending.append((out, data))  # a repetition would add nothing

    async def _open(self, key: _Key) -> None:
        """Connect, and send what waits; what cannot go by TCP for its size goes by UDP."""
        endpoint, kind, host, port = key
        stream: _Stream | None = None
        try:
            stream = await self._connect(*key, self._patience(key))
            self._by_key[key] = stream
        except OSError as error:
            endpoint.fault = f"{kind.value} to {host}:{port}: {_words(error)}"
        finally:
            pending = self._opening.pop(key)
        for out, data in pending:
            if stream is not None and stream.carry(endpoint, data, out.hop):
                continue
            if out.hop.transport is Transport.UDP:
                self._large.refused(out.data, (host, port), self.loop.time())
                self._send_datagram(endpoint, out, host, port)
            else:
                endpoint.failed(out.hop)

    def _patience(self, key: _Key) -> float:
        """A call that could go by UDP does not wait long for a server that drops TCP."""
        is_large = all(out.hop.transport is Transport.UDP for out, _ in self._opening[key])
        return self.limits.large_connect_s if is_large else self.limits.connect_s

    async def _connect(
        self, endpoint: Endpoint, kind: Transport, host: str, port: int, wait_s: float
    ) -> _Stream:
        context, name = None, endpoint.server_name or host
        if kind is Transport.TLS:
            if endpoint.tls is None or not is_server_name(name):
                raise OSError("this trunk has no TLS, or no name that a certificate can bear")
            context = cast("ssl_module.SSLContext", endpoint.tls())
        own = self._local_host
        local = (own, 0) if own and own not in _ANY and (":" in own) == (":" in host) else None
        async with asyncio.timeout(wait_s):
            _, stream = await self.loop.create_connection(
                partial(_Stream, self, kind, endpoint),
                host,
                port,
                ssl=context,
                server_hostname=name if context is not None else None,
                local_addr=local,
            )
        return stream

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and isinstance(error := task.exception(), Exception):
            self.on_error(error)

    def _raise_to_loop(self, error: Exception) -> None:
        self.loop.call_exception_handler({"message": "a SIP handler failed", "exception": error})


def _bind_udp(host: str, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _UDP_BUFFER_BYTES)
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock


def _words(error: OSError) -> str:
    if isinstance(error, ssl_module.SSLCertVerificationError):
        return f"the certificate is not trusted: {error.verify_message}"
    return error.strerror or str(error) or "no answer"
