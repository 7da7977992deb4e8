"""An SMPP link that the carrier opens: it is the ESME, bound to our server under the account that
an operator gave it.

Seen from the wire all is mirrored: what we send are deliver_sms, by sessions that the carrier bound
as receiver or transceiver; texts and receipts come as submit_sms or data_sms.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from config.settings import LinkSettings
from gateway.channels.bind import Half, SmppBind
from gateway.channels.bound import DRAIN_S, BoundLink
from gateway.channels.caps import DailyCap
from gateway.channels.link import Services
from protocols.smpp import BindKind, Closed, Event, Session
from protocols.smpp.connection import SmppConnection
from protocols.smpp.states import State
from protocols.smpp.status import ESME_RALYBND, ESME_RSYSERR

_KIND_OF = {
    State.BOUND_TRX: BindKind.TRANSCEIVER,
    State.BOUND_TX: BindKind.TRANSMITTER,
    State.BOUND_RX: BindKind.RECEIVER,
}


class Standing:
    """The lease of a bind that the carrier opened to this node: as good as the node's own."""

    def __init__(self, may_write: Callable[[], bool]) -> None:
        self.on_lost: Callable[[], None] = lambda: None
        self.on_surplus: Callable[[], None] = lambda: None
        self.is_held = may_write

    async def acquire(self) -> bool:
        """It is ours already."""
        return True

    async def freed(self) -> None:
        """Nobody else could have it."""

    async def release(self) -> None:
        """Nobody else waits for it."""

    async def leave(self) -> None:
        """Nobody counts it."""


class AcceptedLink(BoundLink):
    """One carrier's account at our server. Its sessions are handed in as they are bound."""

    sending_kind = BindKind.RECEIVER
    receiving_kind = BindKind.TRANSMITTER

    def __init__(
        self,
        settings: LinkSettings,
        id_: int,
        services: Services,
        may_write: Callable[[], bool],
        cap: DailyCap | None = None,
    ) -> None:
        super().__init__(settings, id_, services, cap)
        self._share = 1.0
        self.binds = [
            SmppBind(self, index, Standing(may_write)) for index in range(settings.binds)
        ]
        for bind in self.binds:
            bind.show("down", "the carrier has not bound")
        self._ended = asyncio.Event()

    def may_attach(self, kind: BindKind) -> int:
        """0, or the command_status to refuse a bind with."""
        if self.is_ending or self.is_stopped:
            return ESME_RSYSERR
        return 0 if self._place(kind) is not None else ESME_RALYBND

    def _place(self, kind: BindKind) -> SmppBind | None:
        """Where a session of this kind belongs: beside its other half, else in a free place."""
        free = None
        for bind in self.binds:
            if not bind.halves:
                free = free or bind
            elif not {kind, BindKind.TRANSCEIVER} & bind.halves.keys() and (
                kind is not BindKind.TRANSCEIVER
            ):
                return bind
        return free

    def attach(
        self,
        session: Session,
        connection: SmppConnection,
        on_detached: Callable[[], None] = lambda: None,
    ) -> None:
        """Take a session that is bound, from now on with all that it tells. `on_detached` is called
        when it is over. Closes the connection when there is no place for it.
        """
        kind = _KIND_OF[session.state]
        bind = self._place(kind)
        if bind is None or self.may_attach(kind):
            connection.close("the link has no place for the bind")
            on_detached()
            return
        half = Half(bind, kind, session, self.next_session())

        def on_events(events: list[Event]) -> None:
            half.on_events(events)
            if isinstance(events[-1], Closed):
                self._show(bind, half.error)
                on_detached()

        connection.on_events = on_events
        connection.on_writable = bind.pump
        bind.is_draining = False
        bind.begin(half, connection)
        half.stands(self._loop.time())
        self._show(bind, "")
        self.on_room()

    def set_share(self, share: float) -> None:
        """This node has that part of the carrier's binds, and so of the agreed rate."""
        self._share = share
        self.share_rate()

    def share_rate(self) -> None:
        """The agreed rate is the installation's."""
        if self.settings.rate:
            self.bucket.set_rate(self.settings.rate * self._share, self._loop.time())

    def _show(self, bind: SmppBind, error: str) -> None:
        """The state of a bind follows from the sessions in it."""
        kinds = set(bind.halves)
        if BindKind.TRANSCEIVER in kinds or len(kinds) == 2:
            bind.show("up")
        elif self.sending_kind in kinds:
            bind.show("up", "the carrier has not bound as transmitter: nothing can come in by it")
        elif kinds:
            bind.show("down", "the carrier has not bound as receiver: nothing can be sent")
        else:
            bind.show("stopped" if self.is_stopped else "down", error or None)

    async def run(self) -> None:
        """Until drained; sessions come by themselves."""
        self.cap.start()
        if self.is_stopped:
            for bind in self.binds:
                bind.show("stopped")
        await self._ended.wait()

    async def stop(self) -> None:
        """Unbind, and refuse binds until `start`: an operator wants it."""
        if not self.is_stopped:
            self.is_stopped = True
            deadline = self._loop.time() + DRAIN_S
            await asyncio.gather(*(bind.drain(deadline) for bind in self.binds))
            for bind in self.binds:
                bind.show("stopped")

    def start(self) -> None:
        """Let the carrier bind again."""
        self.is_stopped = False
        for bind in self.binds:
            if not bind.halves:
                bind.show("down", "the carrier has not bound")

    async def drain(self, deadline: float) -> None:
        """Send nothing more, wait for the answers that are due until `deadline` (loop time), and
        unbind.
        """
        await super().drain(deadline)
        for bind in self.binds:
            bind.show("stopped")
        self._ended.set()
