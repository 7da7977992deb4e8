"""One bind of a shop's ESME: what it submits is answered in order, when it is durable."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from gateway.channels.esme.deliveries import without_parameters
from gateway.channels.esme.desk import Desk
from gateway.channels.esme.operations import Operations
from gateway.channels.esme.outbox import Outbox
from gateway.store.esmes import Esme
from protocols.smpp import (
    Answered,
    BindKind,
    Closed,
    Event,
    Message,
    Operation,
    Received,
    SubmitMulti,
    Unbound,
    Unsuccess,
)
from protocols.smpp import status as s
from protocols.smpp.connection import SmppConnection
from protocols.smpp.events import Requested
from protocols.smpp.states import BOUND_STATE, VERSION_3_4

log = logging.getLogger(__name__)

REMEMBERED: Final = 1_000
"""Answered submissions of a bind that are kept in mind: if it is cut, they may come again."""


@dataclass(slots=True, eq=False)
class Entry:
    """One submission that came on a bind. `status` None: not settled."""

    session: EsmeSession
    message: Message
    status: int | None = None
    message_id: str = ""
    unsuccess: list[Unsuccess] = field(default_factory=list)
    followers: list[Entry] = field(default_factory=list)
    """The same submission on later binds."""

    def settle(self, status: int, message_id: str = "") -> None:
        """What became of it; the first word counts."""
        if self.status is not None:
            return
        self.status, self.message_id = status, message_id
        self.session.settled()
        for follower in self.followers:
            follower.settle(status, message_id)

    def settle_some(self, message_id: str, unsuccess: list[Unsuccess]) -> None:
        """A submit_multi is accepted for some recipients at least."""
        self.unsuccess = unsuccess
        self.settle(s.ESME_ROK, message_id)


class Copies:
    """What cut binds brought last, of all accounts: it may come again, and is then the same."""

    def __init__(self, keep_s: float) -> None:
        self._keep_s = keep_s
        self._known: dict[int, dict[bytes, list[tuple[float, Entry]]]] = {}

    def cut(self, esme: int, entries: Iterable[Entry], now: float) -> None:
        """A bind ended without an unbind: the ESME may not have read our last answers."""
        if not self._keep_s:
            return
        known = self._known.setdefault(esme, {})
        for entry in entries:
            if not entry.status:
                known.setdefault(_digest(entry.message), []).append((now + self._keep_s, entry))

    def find(self, esme: int, message: Message, now: float) -> Entry | None:
        """The submission that this one repeats, if any. Each is found once."""
        known = self._known.get(esme)
        if not known:
            return None
        digest = _digest(message)
        entries = known.get(digest)
        while entries:
            until, entry = entries.pop(0)
            if not entries:
                del known[digest]
            if now < until and not entry.status:
                return entry
        return None

    def prune(self, now: float) -> None:
        """Forget what is too old."""
        for esme, known in list(self._known.items()):
            for digest, entries in list(known.items()):
                entries[:] = [each for each in entries if now < each[0]]
                if not entries:
                    del known[digest]
            if not known:
                del self._known[esme]


class EsmeSession:
    """A bind of a shop's account, from the accepted bind to its end."""

    def __init__(
        self,
        esme: Esme,
        connection: SmppConnection,
        kind: BindKind,
        *,
        desk: Desk,
        outbox: Outbox,
        operations: Operations,
        copies: Copies,
        on_closed: Callable[[EsmeSession], None],
    ) -> None:
        self.esme = esme
        self.connection = connection
        self.is_receiving = kind in (BindKind.RECEIVER, BindKind.TRANSCEIVER)
        self._session = connection.session
        self._desk = desk
        self._outbox = outbox
        self._operations = operations
        self._copies = copies
        self._on_closed = on_closed
        self._order: deque[Entry] = deque()
        self._answered: deque[Entry] = deque(maxlen=REMEMBERED)
        self._is_unbound = False
        self._parting = ""
        self._is_settling = False
        self._clock = asyncio.get_running_loop().time
        connection.on_events = self._on_events
        connection.on_writable = self._on_writable
        if self.is_receiving:
            outbox.attach(esme.id, esme.system_id, self)

    # Receipts and texts --------------------------------------------------------------------------

    def room(self) -> int:
        """How many deliver_sm the ESME takes now."""
        return self._session.room if self.connection.is_writable else 0

    def deliver(self, body: bytes, context: object) -> None:
        """Send a deliver_sm."""
        if self._session.version < VERSION_3_4:
            body = without_parameters(body)
        self._session.request(body, self._clock(), context)

    def flush(self) -> None:
        """All of this turn is handed over."""
        self.connection.flush()

    def _on_writable(self) -> None:
        self._outbox.writable(self.esme.id)

    # Submissions ---------------------------------------------------------------------------------

    def settled(self) -> None:
        """An entry has its outcome: answer what is next in order. Once for all that are settled in
        one turn of the loop."""
        if not self._is_settling:
            self._is_settling = True
            asyncio.get_running_loop().call_soon(self._answer)

    def _answer(self) -> None:
        self._is_settling = False
        order, session, answered = self._order, self._session, self._answered
        while order and order[0].status is not None:
            entry = order.popleft()
            if entry.unsuccess:
                session.respond(
                    entry.message, entry.status or 0, entry.message_id, unsuccess=entry.unsuccess
                )
            else:
                session.respond(entry.message, entry.status or 0, entry.message_id)
            answered.append(entry)
        if self._parting and not order:
            self._unbind()
        self.connection.flush()

    def _submitted(self, message: Message) -> None:
        entry = Entry(self, message)
        self._order.append(entry)
        if self._parting:
            entry.settle(s.ESME_RSYSERR)
            return
        earlier = self._copies.find(self.esme.id, message, self._clock())
        if earlier is None:
            self._desk.take(self.esme, message, entry)
        elif earlier.status is None:
            earlier.followers.append(entry)
        else:
            entry.unsuccess = earlier.unsuccess
            entry.settle(earlier.status, earlier.message_id)

    # Events --------------------------------------------------------------------------------------

    def _on_events(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, Received):
                self._submitted(event.message)
            elif isinstance(event, Answered):
                self._outbox.answered(self, event.context, event.status)
            elif isinstance(event, Requested):
                self._operations.take(self.esme, event.request, self._answer_operation)
            elif isinstance(event, Unbound):
                self._is_unbound = True
            elif isinstance(event, Closed):
                self._closed(event)

    def _answer_operation(self, request: Operation, status: int, response: object = None) -> None:
        self._session.answer(request, status, response)  # type: ignore[arg-type]
        self.connection.flush()

    def _closed(self, event: Closed) -> None:
        if self.is_receiving:
            self._outbox.detach(self.esme.id, self, event.unanswered)
        if not self._is_unbound:
            self._copies.cut(self.esme.id, [*self._answered, *self._order], self._clock())
        log.info("ESME %s is no longer bound: %s", self.esme.system_id, event.reason)
        self._on_closed(self)

    def part(self, reason: str) -> None:
        """End the bind in good order, as soon as what it brought is answered."""
        self._parting = reason
        if not self._order:
            self._unbind()
            self.connection.flush()

    def _unbind(self) -> None:
        if self._session.state in BOUND_STATE.values():
            self._session.unbind(self._clock())


def _digest(message: Message) -> bytes:
    """What a repeated submission has in common with the first."""
    dests = message.dests if isinstance(message, SubmitMulti) else message.dest
    said = (
        message.command_id,
        message.source,
        dests,
        message.esm_class,
        message.data_coding,
        message.schedule,
        message.payload,
        message.tlvs,
    )
    return hashlib.blake2b(repr(said).encode(), digest_size=16).digest()
