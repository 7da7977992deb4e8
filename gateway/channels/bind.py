"""One bind of an SMPP link: a transceiver's session, or those of a transmitter and a receiver.

It sends what it is given within window, pace and the carrier's patience; tells the settler what
became of each segment; and passes receipts and texts from phones on, to be acknowledged only when
they are stored. Who opens the sessions, we or the carrier, is not its business.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, cast

from gateway.channels.dispositions import Treatment
from gateway.channels.figures import Figures
from gateway.channels.link import Lease, LinkState, Standing
from gateway.channels.pacing import IN_HAND_S, Meter, backoff_s
from gateway.dispatch.flights import Outgoing
from gateway.model import Cause, EventKind, State
from protocols.errors import LocalProtocolError
from protocols.smpp import (
    Answered,
    BindKind,
    BindRefused,
    Bound,
    Closed,
    Event,
    Message,
    MessageResponse,
    Received,
    Role,
    Session,
    describe,
)
from protocols.smpp.tlv import Tlv, congestion
from protocols.sms.message_ids import normal_form
from protocols.sms.receipts import parse

if TYPE_CHECKING:
    from gateway.channels.bound import BoundLink
    from protocols.smpp.connection import SmppConnection

log = logging.getLogger(__name__)

LEASE_LOOK_S = 0.1
"""How soon a bind looks again whether its lease was renewed, with texts in hand."""
_UNBOUND = ("unbound", "the peer unbound")
"""Reasons of a session's end in good order."""
_UNBIND_S = 1.0

_Sent = tuple[Outgoing, int, float]
"""What a request was: message, segment, and when it was handed to the socket."""


class Half:
    """One session of a bind: all of a transceiver's, or a transmitter or receiver of a pair."""

    __slots__ = (
        "_bind",
        "connection",
        "ended",
        "error",
        "heard",
        "is_bound",
        "kind",
        "lasted_s",
        "number",
        "session",
        "since",
    )

    def __init__(self, bind: SmppBind, kind: BindKind, session: Session, number: int) -> None:
        """`number`: of the session among all of the link."""
        self._bind = bind
        self.kind = kind
        self.session = session
        self.number = number
        self.connection: SmppConnection | None = None
        self.is_bound = False
        self.since = self.heard = 0.0
        self.lasted_s = 0.0
        """How long it was bound, once it is over."""
        self.error = "the connection was lost"
        self.ended = asyncio.Event()

    @property
    def sends(self) -> bool:
        """Whether our messages go out by it."""
        return self.kind is not self._bind.link.receiving_kind

    @property
    def receives(self) -> bool:
        """Whether texts and receipts come in by it."""
        return self.kind is not self._bind.link.sending_kind

    def on_events(self, events: list[Event]) -> None:
        """Take what the session tells."""
        bind = self._bind
        now = bind.now()
        if type(events[0]) is not Closed:
            self.heard = now
        accepted = 0
        for event in events:
            if type(event) is Answered:
                accepted += bind.on_answered(event, now)
            elif type(event) is Received:
                bind.on_received(self, event.message)
            elif isinstance(event, Bound):
                self.stands(now)
            elif isinstance(event, BindRefused):
                self.error = describe(event.status)
            elif isinstance(event, Closed):
                self._on_closed(event, now)
        if accepted:
            bind.on_accepted(accepted)
        bind.go_on()

    def stands(self, now: float) -> None:
        """The session is bound."""
        self.is_bound = True
        self.since = self.heard = now
        self._bind.on_bound(self)

    def _on_closed(self, event: Closed, now: float) -> None:
        if self.is_bound:
            self.error = event.reason
            self.lasted_s = now - self.since
        was_bound, self.is_bound = self.is_bound, False
        self._bind.on_closed(self, event, now, was_bound=was_bound)
        self.connection = None
        self.ended.set()


class SmppBind:
    """A place for one bind of a link."""

    def __init__(self, link: BoundLink, index: int, lease: Lease) -> None:
        self.link = link
        self.index = index
        self.lease = lease
        lease.on_lost = self._on_lease_lost
        self.state = LinkState(since=link.services.wall())
        self.figures = Figures()
        self._settler = link.services.settler
        self.halves: dict[BindKind, Half] = {}
        self.is_draining = False
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Outgoing] = deque()
        self.segments_waiting = 0
        self.meter = Meter(self._loop.time())
        self._sender: Half | None = None
        self._answers = asyncio.Event()

    def now(self) -> float:
        """The loop's time."""
        return self._loop.time()

    # Room ----------------------------------------------------------------------------------------

    @property
    def session(self) -> Session | None:
        """The session that sends, if it stands."""
        return None if self._sender is None else self._sender.session

    def may_send(self) -> bool:
        """Whether the bind stands and is ours for certain: what a node that slept has in hand,
        another may have sent.
        """
        return self._sender is not None and not self.is_draining and self.lease.is_held()

    def free(self) -> int:
        """Places free in the window, as far as the carrier's patience lets it be used."""
        if self._sender is None or not self.may_send():
            return 0
        session = self._sender.session
        patience = self.link.throttle.window - session.pending
        return min(session.room, patience, max(0, self.link.trusted()))

    def room(self, now: float) -> int:
        """Segments that it would take now: the window's free places, and 20 ms of its traffic."""
        if not self.may_send():
            return 0
        in_hand = self.meter.update(now) * IN_HAND_S
        return max(0, int(self.free() + in_hand) - self.segments_waiting)

    # Sending -------------------------------------------------------------------------------------

    def take(self, message: Outgoing) -> None:
        """Send this behind what waits already; `pump` follows."""
        link = self.link
        try:
            message.waiting = link.submission.bodies(message)
        except (LocalProtocolError, ValueError) as error:
            why = f"it cannot be put into SMPP: {error}"
            link.services.settler.gate(message, State.FAILED, why)
            return
        if not link.cap.take(len(message.waiting)):
            link.services.settler.returned(message)
            return
        self.segments_waiting += len(message.waiting)
        self._waiting.append(message)

    def pump(self) -> None:
        """Hand segments to the socket while window, pace and the socket allow."""
        half, waiting = self._sender, self._waiting
        if not waiting or half is None:
            return
        connection = half.connection
        if connection is None or not connection.is_writable:
            return
        link = self.link
        if not self.may_send():
            if not self.is_draining:
                link.pump_later(LEASE_LOOK_S)
            return
        now = self._loop.time()
        if link.is_paused(now):
            return
        session = half.session
        room = min(session.room, link.throttle.window - session.pending, link.trusted())
        bucket = link.bucket
        paced = bucket.available(now)
        while waiting and room > 0 and paced > 0:
            message = waiting[0]
            if message.waiting:
                segment, body = message.waiting.pop()
                message.outstanding += 1
                session.request(body, now, (message, segment, now))
                bucket.take()
                self.segments_waiting -= 1
                room -= 1
                paced -= 1
            if not message.waiting:
                waiting.popleft()
        connection.flush()
        if waiting and paced <= 0:
            link.pump_later(bucket.wait_s())

    def on_answered(self, event: Answered, now: float) -> bool:
        """The carrier answered a segment; whether it took it."""
        message, segment, sent = cast("_Sent", event.context)
        self.figures.trips.append(now - sent)
        if type(event.pdu) is MessageResponse and event.pdu.tlvs:
            self._on_parameters(event.pdu.tlvs)
        if event.status:
            self.meter.add()
            self._on_refused(message, segment, event.status, now)
            return False
        carrier = normal_form(event.message_id) if event.message_id else None
        self._settler.sent(message, segment, self.link.id, carrier)
        return True

    def _on_parameters(self, tlvs: list[Tlv]) -> None:
        """What the carrier said besides its answer: how busy it is."""
        load = congestion(tlvs)
        self.figures.load = load
        if load is not None:
            self.link.throttle.told(load)

    def on_accepted(self, count: int) -> None:
        """The carrier took so many segments."""
        self.meter.add(count)
        self.figures.accepted += count
        self.link.on_accepted(count)

    def _on_refused(self, message: Outgoing, segment: int, status: int, now: float) -> None:
        link, settler = self.link, self.link.services.settler
        dropped = len(message.waiting)
        self.segments_waiting -= dropped  # a refusal drops what was still to be sent
        link.cap.give_back(1 + dropped)
        error = describe(status)
        treatment = link.treatments.of(status)
        self.figures.refused(treatment)
        if treatment is Treatment.THROTTLE:
            settler.again(message, segment, EventKind.THROTTLED, error)
            link.on_throttled(error, now)
        elif treatment is Treatment.RETRY:
            limits = link.services.limits
            delay_s = backoff_s(message.tries, limits.retry_min_s, limits.retry_max_s)
            settler.again(message, segment, EventKind.RETRIED, error, delay_s, avoid=link.id)
            self.note(error)
        elif treatment is Treatment.SUSPEND:
            settler.again(message, segment, EventKind.RETRIED, error, avoid=link.id)
            link.on_suspended(error, now)
        else:
            settler.refused(message, segment, link.id, error)
            self.note(error)

    def return_waiting(self) -> None:
        """What was not handed to the socket goes back to the queue."""
        waiting, self._waiting = self._waiting, deque()
        self.link.cap.give_back(self.segments_waiting)
        self.segments_waiting = 0
        for message in waiting:
            if message.waiting:
                self.link.services.settler.returned(message)

    def go_on(self) -> None:
        """After answers: send what waits, and ask for more when a good part of the window is free
        and half of what may be in hand is gone: claims in batches cost less than one by one.
        """
        if self.is_draining:
            self._answers.set()
            return
        self.pump()
        if self._sender is None or self.segments_waiting > self.meter.rate * IN_HAND_S / 2:
            return
        window = min(self._sender.session.window, self.link.throttle.window)
        if self.room(self._loop.time()) * 4 >= window:
            self.link.on_room()

    # Receiving -----------------------------------------------------------------------------------

    def on_received(self, half: Half, message: Message) -> None:
        """The carrier brought a receipt or a text."""
        session, connection = half.session, half.connection
        if connection is None:
            return
        # What a carrier brings to us as to an SMSC gets an id, by submit_sm and by data_sm
        # (SMPP v3.4 sections 4.4.2 and 4.7.2).
        is_smsc = session.role is Role.SMSC
        id_ = f"{half.number:x}-{message.sequence:x}" if is_smsc else ""

        def respond(status: int) -> None:
            session.respond(message, status, id_)
            connection.flush()

        services, link = self.link.services, self.link.id
        receipt = parse(message.payload, message.esm_class, message.tlvs)
        if receipt is not None:
            self.figures.receipts += 1
            # Some carriers leave the addresses of a receipt as they were in the text.
            is_unswapped = services.is_ours(message.source) and not services.is_ours(message.dest)
            phone = message.dest if is_unswapped else message.source
            services.receipts.receipt(link, receipt, phone, respond)
        else:
            self.figures.texts += 1
            services.texts.text(link, half.number, message, respond)

    # Sessions ------------------------------------------------------------------------------------

    def begin(self, half: Half, connection: SmppConnection) -> None:
        """A session has its connection."""
        half.connection = connection
        self.halves[half.kind] = half
        self.link.tap(self, half)

    def on_bound(self, half: Half) -> None:
        """A session stands."""
        services, link = self.link.services, self.link
        if half.sends:
            link.on_sender(self)
            self._sender = half
        if half.receives:
            services.texts.session_began(link.id, half.number)
        services.receipts.bound(link.id)
        self.figures.binds += 1
        self.show_standing()
        log.info("%s is bound", self._words(half))

    def on_closed(self, half: Half, event: Closed, now: float, *, was_bound: bool) -> None:
        """A session is over: what it owed is in doubt, what waits goes back if it was to send."""
        services, link = self.link.services, self.link
        if was_bound and half.receives:
            services.texts.session_ended(
                link.id,
                half.number,
                quiet_s=now - half.heard,
                is_clean=event.reason in _UNBOUND,
            )
        if self.halves.get(half.kind) is half:
            del self.halves[half.kind]
        if half is self._sender:
            self._sender = None
        cause = Cause.TIMEOUT if "response" in event.reason else Cause.CUT
        for context in event.unanswered:
            message, segment, _ = cast("_Sent", context)
            dropped = len(message.waiting)
            self.segments_waiting -= dropped
            link.cap.give_back(dropped)
            services.settler.lost(message, segment, link.id, cause)
        if half.sends:
            self.return_waiting()
        if was_bound:
            self.note(half.error)
        self._answers.set()

    def _words(self, half: Half) -> str:
        words = self.link.bind_words(self.index)
        if half.kind is BindKind.TRANSCEIVER:
            return words
        return f"{words} ({half.kind.name.lower()})"

    def _on_lease_lost(self) -> None:
        log.warning("%s: another node has it", self.link.bind_words(self.index))
        self.close("another node has the bind")

    def close(self, reason: str) -> None:
        """End its sessions at once."""
        for half in list(self.halves.values()):
            if half.connection is not None:
                half.connection.close(reason)

    # Ending --------------------------------------------------------------------------------------

    async def drain(self, deadline: float) -> None:
        """Send nothing more, wait for the answers that are due until `deadline` (loop time), and
        unbind.
        """
        self.is_draining = True
        self.return_waiting()
        if self._sender is not None:
            session = self._sender.session
            try:
                async with asyncio.timeout_at(deadline):
                    await self._until_answered(session)
            except TimeoutError:
                words = self.link.bind_words(self.index)
                log.info("%s: %d answers did not come in time", words, session.pending)
        halves = [half for half in self.halves.values() if half.connection is not None]
        await asyncio.gather(*(self._unbind(half, deadline) for half in halves))

    async def _until_answered(self, session: Session) -> None:
        """Wait until the carrier owes no answer, or is gone."""
        while session.pending:
            self._answers.clear()
            await self._answers.wait()

    async def _unbind(self, half: Half, deadline: float) -> None:
        connection = half.connection
        if connection is None:
            return
        if half.is_bound:
            half.session.unbind(self._loop.time())
            connection.flush()
            try:
                async with asyncio.timeout_at(min(deadline, self._loop.time() + _UNBIND_S)):
                    await connection.wait_closed()
            except TimeoutError:
                log.info("%s: the carrier does not answer the unbind", self._words(half))
        connection.close("the link stops")

    # What ops see --------------------------------------------------------------------------------

    def note(self, error: str) -> None:
        """Remember an error for whoever asks."""
        self.figures.note(self.link.services.wall(), error)

    def show_standing(self) -> None:
        """The state follows from the sessions that stand."""
        missing = [kind for kind in self.link.kinds if not self._stands(kind)]
        if not missing:
            self.show("up")
        elif self._sender is not None:
            self.show("up", "its receiver is down: texts and receipts come by other binds")

    def _stands(self, kind: BindKind) -> bool:
        half = self.halves.get(kind)
        return half is not None and half.is_bound

    def show(self, state: Standing, error: str | None = None, retry_s: float | None = None) -> None:
        """Say what the bind is doing."""
        now, old = self.link.services.wall(), self.state
        since = old.since if old.state == state else now
        next_try = None if retry_s is None else now + retry_s
        self.state = LinkState(state, since, error, next_try)
