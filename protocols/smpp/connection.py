"""SMPP over asyncio: the one file here that knows of sockets, loops and clocks."""

from __future__ import annotations

import asyncio
import socket
import ssl as ssl_module
from collections.abc import Callable
from typing import Final, cast

from protocols.smpp.events import Closed, Event
from protocols.smpp.session import Session
from protocols.smpp.states import State

HANG_UP_S: Final = 5.0
"""How long a closed session's last bytes may take to leave before the connection is cut."""


class SmppConnection(asyncio.Protocol):
    """A session on a connection.

    `on_events` gets every event, in order, never an empty list; `Closed` is the last one, and the
    connection then hangs up by itself. `on_writable` is called when `is_writable` turns true again.
    """

    def __init__(
        self,
        session: Session,
        on_events: Callable[[list[Event]], None],
        *,
        on_writable: Callable[[], None] | None = None,
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

    @property
    def peer(self) -> str:
        """The peer's address as `host:port`; empty without a connection."""
        name = self._transport.get_extra_info("peername") if self._transport else None
        return f"{name[0]}:{name[1]}" if name else ""

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
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.is_writable = True
        self.session.connected(self._loop.time())
        self._arm()

    def data_received(self, data: bytes) -> None:
        self._emit(self.session.receive_data(data, self._loop.time()))
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
        """The peer does not read. Take nothing from it either: answers to what it sends would pile
        up."""
        self.is_writable = False
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        if self._transport is None or self._transport.is_closing():
            return
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
        data = self.session.data_to_send()
        if data and not self._transport.is_closing():
            self._transport.write(data)
        if self.session.state is State.CLOSED:
            self._hang_up()
        else:
            self._arm()

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
    timeout_s: float = 10.0,
) -> SmppConnection:
    """Connect to an SMSC; `session.bind` and `flush` come next. Raises OSError (TimeoutError and
    ssl.SSLError are kinds of it)."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(timeout_s):
        _, connection = await loop.create_connection(
            lambda: SmppConnection(session, on_events, on_writable=on_writable),
            host,
            port,
            ssl=ssl,
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
    comes. Closing the server leaves the connections to their owner."""
    loop = asyncio.get_running_loop()
    return await loop.create_server(factory, host, port, ssl=ssl)
