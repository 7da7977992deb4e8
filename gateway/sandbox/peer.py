"""The ESMEs that are connected to the simulated SMSC, and what waits to be delivered to them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from protocols.smpp import BindKind, Event, Session
from protocols.smpp.connection import SmppConnection

WAITING_LIMIT: Final = 1_000_000
"""How many deliver_sm may wait for one account; more are dropped."""
DELIVERY_TRIES: Final = 100
"""How often a deliver_sm that is refused for now goes out."""


class Peer(SmppConnection):
    """A connection from an ESME."""

    def __init__(
        self, number: int, session: Session, on_events: Callable[[Peer, list[Event]], None]
    ) -> None:
        super().__init__(session, partial(on_events, self), on_writable=self._pump)
        self.number = number
        """1 for the first connection of this SMSC."""
        self.account: Account | None = None
        """Whose it is; None until it is bound."""
        self.kind: BindKind | None = None
        self.is_cut = False
        self.ignored = 0
        """Messages that will never be answered."""

    def cut(self) -> None:
        """Cut the connection at once; responses not yet written are lost."""
        self.is_cut = True
        if self._transport is not None:
            self._transport.abort()

    def _pump(self) -> None:
        if self.account is not None:
            self.account.pump(asyncio.get_running_loop().time())


@dataclass(slots=True, eq=False)
class Delivery:
    """A deliver_sm on its way."""

    body: bytes
    answered: asyncio.Future[int | None] | None = None
    """Gets the last command_status; None when the connection ended without one."""
    tries_left: int = DELIVERY_TRIES

    def settle(self, status: int | None) -> None:
        """It is over."""
        if self.answered is not None and not self.answered.done():
            self.answered.set_result(status)


@dataclass(slots=True, eq=False)
class Account:
    """A system_id with its sessions, and what waits for one of them to take it."""

    system_id: str
    password: str
    peers: list[Peer] = field(default_factory=list)
    """Bound sessions, oldest first."""
    waiting: deque[Delivery] = field(default_factory=deque)
    dropped: int = 0

    def put(self, delivery: Delivery) -> None:
        """Queue a deliver_sm; `pump` sends it."""
        if len(self.waiting) >= WAITING_LIMIT:
            self.dropped += 1
            delivery.settle(None)
        else:
            self.waiting.append(delivery)

    def put_back(self, unanswered: Iterable[object]) -> None:
        """Queue again, before all others, what a lost session did not answer: as a carrier does, it
        may then arrive twice."""
        again = []
        for delivery in unanswered:
            if isinstance(delivery, Delivery):
                if delivery.tries_left > 1:
                    again.append(delivery)
                else:
                    delivery.settle(None)
        self.waiting.extendleft(reversed(again))

    def pump(self, now: float) -> None:
        """Send what waits, as far as the windows of the receiving sessions go."""
        waiting = self.waiting
        for peer in self.peers:
            if not waiting:
                return
            room = min(peer.session.room, len(waiting))
            if room == 0 or peer.is_cut or not peer.is_writable:
                continue
            request = peer.session.request
            for _ in range(room):
                delivery = waiting.popleft()
                request(delivery.body, now, delivery)
            peer.flush()
