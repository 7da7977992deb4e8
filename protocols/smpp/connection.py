"""SMPP over asyncio: the one file here that knows of sockets, loops and clocks."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl as ssl_module
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, cast

from protocols.smpp.events import Closed, Event
from protocols.smpp.session import Session
from protocols.smpp.states import State

HANG_UP_S: Final = 5.0
"""How long a closed session's last bytes may take to leave before the connection is cut."""
QUICK_ACK_BYTES: Final = 1_024
"""What comes in a piece up to this size, and has no answer yet, is acknowledged to the peer's TCP
at once. A peer with Nagle's algorithm on, such as node-smpp, holds its next PDU back until then
(RFC 9293 section 3.7.4), and the system would take 40 ms. Bulk is acknowledged anyway.
"""
UNREAD_BYTES: Final = 262_144
"""How much of what we answer a peer may leave unread before nothing more is taken from it."""

_QUICK_ACK: Final[int | None] = getattr(socket, "TCP_QUICKACK", None)
_ACCEPT_PAUSE_S: Final = 1.0
"""How long no connection is taken when the system has no room for one, as for want of files."""
_BACKLOG: Final = 1_024


@dataclass(frozen=True, slots=True)
class TcpOptions:
    """How the system finds out that the other end is gone without a word. Where it lacks one of
    these options, enquire_link finds out later."""

    keepalive_idle_s: int = 60
    """Silence before the first probe; 0: no probes."""
    keepalive_interval_s: int = 10
    keepalive_probes: int = 3
    user_timeout_s: int = 30
    """How long sent data may stay unacknowledged (RFC 5482); 0: the system's default."""

    def apply(self, sock: socket.socket) -> None:
        """Set the options of a TCP socket, and send small PDUs at once."""
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.keepalive_idle_s:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for name, value in (
                ("TCP_KEEPIDLE", self.keepalive_idle_s),
                ("TCP_KEEPINTVL", self.keepalive_interval_s),
                ("TCP_KEEPCNT", self.keepalive_probes),
            ):
                _set_tcp_option(sock, name, value)
        if self.user_timeout_s:
            _set_tcp_option(sock, "TCP_USER_TIMEOUT", self.user_timeout_s * 1_000)


def _set_tcp_option(sock: socket.socket, name: str, value: int) -> None:
    option = getattr(socket, name, None)
    if option is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, option, value)


DEFAULT_TCP: Final = TcpOptions()


class SmppConnection(asyncio.Protocol):
    """A session on a connection.

    `on_events` gets every event, in order, never an empty list; `Closed` is the last one, and the
    connection then hangs up by itself. `on_writable` is called when `is_writable` turns true again.
    Reading stops while a peer that does not read has answers of ours piled up (`UNREAD_BYTES`), and
    while the session is full of requests that wait for an answer (`Limits.pause_at`).
    """

    def __init__(
        self,
        session: Session,
        on_events: Callable[[list[Event]], None],
        *,
        on_writable: Callable[[], None] | None = None,
        tcp: TcpOptions = DEFAULT_TCP,
    ) -> None:
        self.session = session
        self.on_events = on_events
        self.on_writable = on_writable
        self.is_writable = False
        """False before the connection stands, after it is gone, and while the peer does not
        read."""
        self._loop = asyncio.get_running_loop()
        self._lost: asyncio.Future[None] = self._loop.create_future()
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_flush_due = False
        self._is_full = False
        self._unwritable_bytes = 0
        """What waited for the peer when it was found not to read."""
        self._is_ack_due = False
        self._socket: socket.socket | None = None
        self._tcp = tcp

    @property
    def peer(self) -> str:
        """The peer's address as `host:port`; empty without a connection."""
        name = self._transport.get_extra_info("peername") if self._transport else None
        return f"{name[0]}:{name[1]}" if name else ""

    @property
    def peer_host(self) -> str:
        """The address alone; empty without a connection."""
        name = self._transport.get_extra_info("peername") if self._transport else None
        return str(name[0]) if name else ""

    @property
    def is_tls(self) -> bool:
        """Whether what passes is encrypted."""
        transport = self._transport
        return transport is not None and transport.get_extra_info("sslcontext") is not None

    def flush(self) -> None:
        """Send what the session has, once in this turn of the loop however often it is asked for.
        Call it after every call of the session that has something to send."""
        if not self._is_flush_due and self._transport is not None:
            self._is_flush_due = True
            self._loop.call_soon(self._flush)

    def close(self, reason: str) -> None:
        """End the session and hang up; `Closed` comes by `on_events` before this returns. To part
        politely call `session.unbind` and `flush`, and wait for `Closed`."""
        self._emit(self.session.close(reason))
        if self._transport is not None:
            self._hang_up()

    async def wait_closed(self) -> None:
        """Wait until the connection is gone; at once when there is none, or never was."""
        if self._transport is not None:
            await asyncio.shield(self._lost)

    # ------------------------------------------------------------------ called by the loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        sock = transport.get_extra_info("socket")
        if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
            self._tcp.apply(sock)
            self._socket = sock
        self.is_writable = True
        self.session.connected(self._loop.time())
        self._arm()

    def data_received(self, data: bytes) -> None:
        self._is_ack_due = len(data) <= QUICK_ACK_BYTES
        self._emit(self.session.receive_data(data, self._loop.time()))
        if self.session.is_full:
            self._pause()
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_writable = False
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if exc is None:
            events = self.session.receive_eof(self._loop.time())
        else:
            events = self.session.close(f"the connection was lost: {exc}")
        self._emit(events)
        if not self._lost.done():
            self._lost.set_result(None)

    def pause_writing(self) -> None:
        """The peer does not read. What it says is still heard: it may have answered requests whose
        timers run, and a peer that does one thing after the other reads again only when its
        answers are taken."""
        self.is_writable = False
        if self._transport is not None:
            self._unwritable_bytes = self._transport.get_write_buffer_size()

    def resume_writing(self) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if not self._is_full:
            self._transport.resume_reading()
        self.is_writable = True
        if self.on_writable is not None:
            self.on_writable()

    # ------------------------------------------------------------------ inside

    def _emit(self, events: list[Event]) -> None:
        if not events:
            return
        if isinstance(events[-1], Closed):
            self.flush()
        self.on_events(events)

    def _flush(self) -> None:
        self._is_flush_due = False
        if self._transport is None:
            return
        if self._is_full and self.session.is_drained:
            self._resume()
        data = self.session.data_to_send()
        if data and not self._transport.is_closing():
            self._transport.write(data)
            if self._has_piled_up(self._transport):
                self._transport.pause_reading()  # does nothing when reading is paused already
        elif self._is_ack_due:
            self._acknowledge()
        self._is_ack_due = False
        if self.session.state is State.CLOSED:
            self._hang_up()
        else:
            self._arm()

    def _has_piled_up(self, transport: asyncio.Transport) -> bool:
        """Whether a peer that does not read has caused too much: only answers are written then."""
        unread = transport.get_write_buffer_size() - self._unwritable_bytes
        return not self.is_writable and unread > UNREAD_BYTES

    def _acknowledge(self) -> None:
        """Send the acknowledgement that TCP would delay, as there is nothing to send it with."""
        if self._socket is not None and _QUICK_ACK is not None:
            with contextlib.suppress(OSError):
                self._socket.setsockopt(socket.IPPROTO_TCP, _QUICK_ACK, 1)

    def _arm(self) -> None:
        """Set the loop's timer if the session's is earlier. A later one is left to the next firing:
        responses move it with every segment, and a timer that finds nothing due costs nothing."""
        due = self.session.next_timer()
        if due is None:
            return
        if self._timer is not None:
            if self._timer.when() <= due:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(due, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._emit(self.session.handle_timer(self._loop.time()))
        self.flush()

    def _pause(self) -> None:
        if self._is_full or self._transport is None or self._transport.is_closing():
            return
        self._is_full = True
        self.session.pause_reading()
        self._transport.pause_reading()

    def _resume(self) -> None:
        self._is_full = False
        self.session.resume_reading(self._loop.time())
        transport = self._transport
        if transport is None or transport.is_closing() or self._has_piled_up(transport):
            return
        transport.resume_reading()

    def _hang_up(self) -> None:
        """Close when the last bytes have left; cut a peer that does not take them."""
        transport = self._transport
        if transport is None:
            return
        if not transport.is_closing():
            data = self.session.data_to_send()
            if data:
                transport.write(data)
            transport.close()
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_later(HANG_UP_S, transport.abort)


async def connect(
    host: str,
    port: int,
    session: Session,
    on_events: Callable[[list[Event]], None],
    *,
    on_writable: Callable[[], None] | None = None,
    ssl: ssl_module.SSLContext | None = None,
    server_hostname: str | None = None,
    local_addr: tuple[str, int] | None = None,
    tcp: TcpOptions = DEFAULT_TCP,
    timeout_s: float = 10.0,
) -> SmppConnection:
    """Connect to an SMSC; `session.bind` and `flush` come next. With a session in the SMSC role
    connect to a listening ESME; then it is `session.outbind`.

    With `ssl` the certificate must be for `server_hostname`, by default `host`. `local_addr` is the
    address to come from. Raises OSError (TimeoutError and ssl.SSLError are kinds of it).
    """
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(timeout_s):
        _, connection = await loop.create_connection(
            lambda: SmppConnection(session, on_events, on_writable=on_writable, tcp=tcp),
            host,
            port,
            ssl=ssl,
            server_hostname=server_hostname if ssl is not None else None,
            local_addr=local_addr,
        )
    return connection


async def serve(
    host: str,
    port: int,
    factory: Callable[[], SmppConnection],
    *,
    ssl: ssl_module.SSLContext | None = None,
) -> asyncio.Server:
    """Listen as an SMSC; `factory` makes a connection with a session of its own for each that
    comes. Closing the server leaves the connections to their owner. For callers nobody knows yet
    take `listen`."""
    loop = asyncio.get_running_loop()
    return await loop.create_server(factory, host, port, ssl=ssl)


class Listener:
    """A door to the world: asks who may come in before anything is spent on a caller.

    `ssl` may be assigned: the next connections get the new certificates.
    """

    def __init__(
        self,
        sock: socket.socket,
        factory: Callable[[], SmppConnection],
        *,
        ssl: ssl_module.SSLContext | None,
        is_welcome: Callable[[str], bool] | None,
        max_handshakes: int,
        max_handshakes_per_host: int,
        handshake_s: float,
    ) -> None:
        self.ssl = ssl
        self.turned_away = 0
        """Callers that were not welcome, or for whom no handshake was free."""
        self._sock = sock
        self._factory = factory
        self._is_welcome = is_welcome
        self._max_handshakes = max_handshakes
        self._max_handshakes_per_host = max_handshakes_per_host
        self._handshake_s = handshake_s
        self._handshakes: dict[asyncio.Task[None], str] = {}
        self._hosts: Counter[str] = Counter()  # handshakes under way by address
        self._accepting = asyncio.get_running_loop().create_task(self._accept())

    @property
    def port(self) -> int:
        """The port, also when it was 0 when asked for."""
        return int(self._sock.getsockname()[1])

    def close(self) -> None:
        """Take no more connections; those that stand are left to their owner."""
        self._accepting.cancel()
        for task in self._handshakes:
            task.cancel()

    async def wait_closed(self) -> None:
        """Wait until the door is shut. Call `close` first."""
        await asyncio.gather(self._accepting, *self._handshakes, return_exceptions=True)
        self._sock.close()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, address = await loop.sock_accept(self._sock)
            except OSError:
                await asyncio.sleep(_ACCEPT_PAUSE_S)
                continue
            host = address[0]
            if not self._has_room(host) or (self._is_welcome and not self._is_welcome(host)):
                self.turned_away += 1
                sock.close()
                continue
            task = loop.create_task(self._let_in(sock))
            self._handshakes[task] = host
            self._hosts[host] += 1
            task.add_done_callback(self._forget)

    def _has_room(self, host: str) -> bool:
        """One address alone cannot take all the room, however many half-open calls it makes."""
        return (
            len(self._handshakes) < self._max_handshakes
            and self._hosts[host] < self._max_handshakes_per_host
        )

    def _forget(self, task: asyncio.Task[None]) -> None:
        host = self._handshakes.pop(task)
        self._hosts[host] -= 1
        if not self._hosts[host]:
            del self._hosts[host]

    async def _let_in(self, sock: socket.socket) -> None:
        """The handshake, if any. A caller that fails it is forgotten: it never was a session."""
        loop = asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(
                self._factory,
                sock,
                ssl=self.ssl,
                ssl_handshake_timeout=None if self.ssl is None else self._handshake_s,
            )
        except OSError:
            sock.close()


async def listen(
    host: str,
    port: int,
    factory: Callable[[], SmppConnection],
    *,
    ssl: ssl_module.SSLContext | None = None,
    is_welcome: Callable[[str], bool] | None = None,
    max_handshakes: int = 256,
    max_handshakes_per_host: int = 16,
    handshake_s: float = 5.0,
) -> Listener:
    """Listen for callers nobody knows yet: ESMEs that bind, or SMSCs that send outbind.

    `is_welcome` is asked with the caller's address before TLS and before `factory`; a caller it
    refuses is hung up on. At most `max_handshakes` TLS handshakes go on at once. `factory` is
    called before the handshake, which may fail: count connections by their events. Raises OSError.
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_NUMERICSERV
    )
    family, _, _, _, address = found[0]
    sock = socket.create_server(
        (str(address[0]), port), family=socket.AddressFamily(family), backlog=_BACKLOG
    )
    sock.setblocking(False)
    return Listener(
        sock,
        factory,
        ssl=ssl,
        is_welcome=is_welcome,
        max_handshakes=max_handshakes,
        max_handshakes_per_host=max_handshakes_per_host,
        handshake_s=handshake_s,
    )
