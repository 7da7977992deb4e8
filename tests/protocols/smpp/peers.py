"""An SMSC made of an SMSC-role session per connection, on a loopback port of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ssl import SSLContext

from protocols.smpp import BindRequested, Event, Received, Role, Session, Timers
from protocols.smpp import status as s
from protocols.smpp.connection import SmppConnection, serve


class Smsc:
    """Accepts the password `lab`, answers each submit_sm with `id-` and its sequence number.

    `events` has whatever happened, in order; `connections` the connections in the order they came.
    """

    def __init__(self, timers: Timers | None = None) -> None:
        self.events: asyncio.Queue[Event] = asyncio.Queue()
        self.connections: list[SmppConnection] = []
        self.is_answering = True
        self.is_deciding = True
        """Whether binds are accepted or refused; else they hang."""
        self._timers = timers or Timers()
        self.port = 0

    def connection(self) -> SmppConnection:
        session = Session(Role.SMSC, timers=self._timers)
        connection = SmppConnection(session, lambda events: self._on_events(connection, events))
        self.connections.append(connection)
        return connection

    def _on_events(self, connection: SmppConnection, events: list[Event]) -> None:
        for event in events:
            self.events.put_nowait(event)
            if isinstance(event, BindRequested) and self.is_deciding:
                if event.request.password == "lab":
                    connection.session.accept_bind(event.request, "smsc")
                else:
                    connection.session.refuse_bind(event.request, s.ESME_RINVPASWD)
            elif isinstance(event, Received) and self.is_answering:
                message = event.message
                connection.session.respond(message, message_id=f"id-{message.sequence}")

    async def until(self, wanted: Callable[[Event], bool]) -> Event:
        """The next event that is wanted; those before it are passed over."""
        async with asyncio.timeout(10):
            while not wanted(event := await self.events.get()):
                pass
            return event


@asynccontextmanager
async def listening(
    timers: Timers | None = None, *, ssl: SSLContext | None = None
) -> AsyncIterator[Smsc]:
    """An SMSC that listens, and hangs up on everybody in the end."""
    smsc = Smsc(timers)
    server = await serve("127.0.0.1", 0, smsc.connection, ssl=ssl)
    smsc.port = server.sockets[0].getsockname()[1]
    try:
        yield smsc
    finally:
        server.close()
        for connection in smsc.connections:
            connection.close("the test is over")
            await connection.wait_closed()
        await server.wait_closed()
