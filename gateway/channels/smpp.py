"""An SMPP link: we are the ESME, bound to a carrier's SMSC as a transceiver.

It connects, binds and stays bound; sends what it is given within window, pace and the carrier's
patience; tells the settler what became of each segment; and passes receipts and texts from phones
on, to be acknowledged only when they are stored.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any, cast

from config.settings import LimitSettings, LinkSettings
from gateway.channels.link import Lease, LinkState, TakesReceipts, TakesTexts
from gateway.channels.pacing import IN_HAND_S, Bucket, Meter, Throttle, backoff_s
from gateway.channels.submission import submit_bodies
from gateway.dispatch.flights import Outgoing
from gateway.dispatch.settle import Settler
from gateway.model import Cause, EventKind, State
from protocols.errors import LocalProtocolError
from protocols.smpp import (
    Answered,
    BindKind,
    BindRefused,
    Bound,
    Closed,
    Disposition,
    Event,
    Message,
    Received,
    Role,
    Session,
    Timers,
    describe,
    disposition,
)
from protocols.smpp.connection import SmppConnection, connect
from protocols.sms.message_ids import normal_form
from protocols.sms.receipts import parse

log = logging.getLogger(__name__)

_LEASE_LOOK_S = 0.1
"""How soon a link looks again whether its lease was renewed, with texts in hand."""
_UNBOUND = ("unbound", "the peer unbound")
"""Reasons of a session's end in good order."""




class SmppLink:
    """One link with one bind."""

    def __init__(
        self,
        settings: LinkSettings,
        limits: LimitSettings,
        id_: int,
        *,
        settler: Settler,
        receipts: TakesReceipts,
        texts: TakesTexts,
        lease: Lease,
        wall: Callable[[], float],
    ) -> None:
        self.id = id_
        self.name = settings.name
        self.state = LinkState(since=wall())
        self.on_room: Callable[[], None] = lambda: None
        self._settings = settings
        self._limits = limits
        self._settler = settler
        self._receipts = receipts
        self._texts = texts
        self._lease = lease
        lease.on_lost = self._on_lease_lost
        self._wall = wall
        self._loop = asyncio.get_running_loop()
        now = self._loop.time()
        self._waiting: deque[Outgoing] = deque()
        self._segments_waiting = 0
        self._bucket = Bucket(settings.rate, now)
        self._throttle = Throttle(settings.window)
        self._meter = Meter(now)
        self._connection: SmppConnection | None = None
        self._session: Session | None = None
        self._sessions = 0
        self._is_bound = False
        self._bound_since: float | None = None
        self._is_draining = False
        self._pump_timer: asyncio.TimerHandle | None = None
        self._ended = asyncio.Event()
        self._answers = asyncio.Event()
        self._heard = now
        self._error = ""

    # What dispatch asks --------------------------------------------------------------------------

    def room(self) -> int:
        """Messages that it would take now: the window's free places, and 20 ms of its traffic;
        never more than its pace allows.
        """
        if self._session is None or not self._may_send():
            return 0
        now = self._loop.time()
        if self._throttle.is_paused(now):
            return 0
        in_hand = self._meter.update(now) * IN_HAND_S
        free = min(self._session.room, self._throttle.window - self._session.pending)
        if self._settings.rate:
            free = min(free, self._bucket.available(now) + 1)
        return max(0, int(free + in_hand) - self._segments_waiting)

    def take(self, messages: list[Outgoing]) -> None:
        """Send these, in this order."""
        if self._session is None or not self._is_bound or self._is_draining:
            for message in messages:
                self._settler.returned(message)
            return
        for message in messages:
            try:
                message.waiting = submit_bodies(message, self._settings)
            except (LocalProtocolError, ValueError) as error:
                self._settler.gate(message, State.FAILED, f"it cannot be put into SMPP: {error}")
                continue
            self._segments_waiting += len(message.waiting)
            self._waiting.append(message)
        self._pump()

    # Sending -------------------------------------------------------------------------------------

    def _pump(self) -> None:
        """Hand segments to the socket while window, pace and the socket allow."""
        session, connection = self._session, self._connection
        if (
            session is None
            or connection is None
            or not self._is_bound
            or not connection.is_writable
        ):
            return
        if not self._may_send():
            if self._waiting:
                self._pump_later(_LEASE_LOOK_S)
            return
        now = self._loop.time()
        if self._throttle.is_paused(now):
            return
        room = min(session.room, self._throttle.window - session.pending)
        paced = self._bucket.available(now)
        waiting = self._waiting
        while waiting and room > 0 and paced > 0:
            message = waiting[0]
            if message.waiting:
                segment, body = message.waiting.pop()
                message.outstanding += 1
                session.request(body, now, (message, segment))
                self._bucket.take()
                self._segments_waiting -= 1
                room -= 1
                paced -= 1
            if not message.waiting:
                waiting.popleft()
        connection.flush()
        if waiting and paced <= 0:
            self._pump_later(self._bucket.wait_s())

    def _may_send(self) -> bool:
        """Whether the bind stands and is ours for certain: what a node that slept has in hand,
        another may have sent.
        """
        return self._is_bound and not self._is_draining and self._lease.is_held()

    def _pump_later(self, delay_s: float) -> None:
        if self._pump_timer is None:
            self._pump_timer = self._loop.call_later(max(delay_s, 0.001), self._on_pump_timer)

    def _on_pump_timer(self) -> None:
        self._pump_timer = None
        if self.state.state == "throttled":
            self._set_state("up")
        self._pump()
        self.on_room()

    def _on_answered(self, event: Answered) -> None:
        message, segment = cast("tuple[Outgoing, int]", event.context)
        self._meter.add()
        if event.status == 0:
            self._throttle.accepted()
            carrier = normal_form(event.message_id) if event.message_id else None
            self._settler.sent(message, segment, self.id, carrier)
            return
        self._segments_waiting -= len(message.waiting)  # a refusal drops what was still to be sent
        error = describe(event.status)
        kind = disposition(event.status)
        if kind is Disposition.THROTTLE:
            self._settler.again(message, segment, EventKind.THROTTLED, error)
            self._on_throttled(error)
        elif kind is Disposition.RETRY:
            delay_s = backoff_s(message.tries, self._limits.retry_min_s, self._limits.retry_max_s)
            self._settler.again(message, segment, EventKind.RETRIED, error, delay_s)
        else:
            self._settler.refused(message, segment, self.id, error)

    def _on_throttled(self, error: str) -> None:
        now = self._loop.time()
        if not self._throttle.refused(now):
            return
        pause_s = self._throttle.until - now
        self._set_state("throttled", error, pause_s)
        log.info("link %s: %s; paused for %.1f s", self.name, error, pause_s)
        self._return_waiting()
        if self._pump_timer is not None:
            self._pump_timer.cancel()
            self._pump_timer = None
        self._pump_later(pause_s)

    def _return_waiting(self) -> None:
        """What was not handed to the socket goes back to the queue."""
        waiting, self._waiting = self._waiting, deque()
        self._segments_waiting = 0
        for message in waiting:
            if message.waiting:
                self._settler.returned(message)

    # The session ---------------------------------------------------------------------------------

    async def run(self) -> None:
        """Stay bound until told to drain. Never raises for what the carrier does."""
        failures = 0
        while not self._is_draining:
            if not await self._lease.acquire():
                self._set_state("standby")
                await self._wait(1.0)
                continue
            self._bound_since = None
            error = await self._serve_once()
            if self._has_ended():
                break
            if self._has_lasted():
                failures = 0
            failures += 1
            delay_s = backoff_s(
                failures, self._settings.reconnect_min_s, self._settings.reconnect_max_s
            )
            self._set_state("down", error, delay_s)
            log.warning("link %s is down: %s; next try in %.1f s", self.name, error, delay_s)
            await self._wait(delay_s)
        await self._lease.release()
        self._set_state("stopped")

    def _has_lasted(self) -> bool:
        """Whether the last bind stood long enough for the next to be tried at once."""
        since = self._bound_since
        return since is not None and self._loop.time() - since >= self._settings.stable_s

    def _on_lease_lost(self) -> None:
        log.warning("link %s: another node has its bind", self.name)
        if self._connection is not None:
            self._connection.close("another node has the bind")

    def _has_ended(self) -> bool:
        return self._is_draining

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                while not self._is_draining:
                    self._ended.clear()
                    await self._ended.wait()
        except TimeoutError:
            return

    async def _serve_once(self) -> str:
        """One connection from end to end; returns why it ended."""
        settings = self._settings
        self._set_state("connecting")
        timers = Timers(response_s=settings.response_s, enquire_s=settings.enquire_s)
        session = Session(Role.ESME, window=settings.window, timers=timers)
        self._sessions += 1
        self._throttle = Throttle(settings.window)
        self._error = "the connection was lost"
        self._ended.clear()
        try:
            connection = await connect(
                settings.host, settings.port, session, self._on_events, on_writable=self._pump
            )
        except (OSError, TimeoutError, ValueError) as error:
            # ValueError: a host that no name server could be asked for, such as `a..example`.
            return f"no connection to {settings.host}:{settings.port}: {error or 'no answer'}"
        self._session, self._connection = session, connection
        session.bind(
            BindKind.TRANSCEIVER,
            settings.system_id,
            settings.password,
            self._loop.time(),
            system_type=settings.system_type,
        )
        connection.flush()
        try:
            await self._ended.wait()
        finally:
            connection.close("the link stops")
        return self._error

    def _on_events(self, events: list[Event]) -> None:
        for event in events:
            if type(event) is not Closed:
                self._heard = self._loop.time()
            if type(event) is Answered:
                self._on_answered(event)
            elif type(event) is Received:
                self._on_received(event.message)
            elif isinstance(event, Bound):
                self._is_bound = True
                self._bound_since = self._loop.time()
                self._texts.session_began(self.id, self._sessions)
                self._receipts.bound(self.id)
                self._set_state("up")
                log.info("link %s is bound", self.name)
            elif isinstance(event, BindRefused):
                self._error = describe(event.status)
            elif isinstance(event, Closed):
                self._on_closed(event)
        if self._is_draining:
            self._answers.set()
            return
        self._pump()
        self._call_for_more()

    def _call_for_more(self) -> None:
        """Ask for messages when a good part of the window is free and half of what may be in hand
        is gone: claims in batches cost less than one by one.
        """
        session = self._session
        if session is None or self._segments_waiting > self._meter.rate * IN_HAND_S / 2:
            return
        if self.room() * 4 >= min(session.window, self._throttle.window):
            self.on_room()

    def _on_closed(self, event: Closed) -> None:
        if self._is_bound:
            self._error = event.reason
            self._texts.session_ended(
                self.id,
                self._sessions,
                quiet_s=self._loop.time() - self._heard,
                is_clean=event.reason in _UNBOUND,
            )
        cause = Cause.TIMEOUT if "response" in event.reason else Cause.CUT
        self._is_bound = False
        self._session = self._connection = None
        for context in event.unanswered:
            message, segment = cast("tuple[Outgoing, int]", context)
            self._settler.lost(message, segment, self.id, cause)
        self._return_waiting()
        self._ended.set()

    def _on_received(self, message: Message) -> None:
        session, connection = self._session, self._connection
        if session is None or connection is None:
            return

        def respond(status: int) -> None:
            session.respond(message, status)
            connection.flush()

        receipt = parse(message.payload, message.esm_class, message.tlvs)
        if receipt is not None:
            self._receipts.receipt(self.id, receipt, message.source, respond)
        else:
            self._texts.text(self.id, self._sessions, message, respond)

    # Ending --------------------------------------------------------------------------------------

    async def drain(self, deadline: float) -> None:
        """Send nothing more, wait for the answers that are due until `deadline` (loop time), and
        unbind.
        """
        self._is_draining = True
        self._return_waiting()
        session, connection = self._session, self._connection
        if session is not None and connection is not None and self._is_bound:
            try:
                async with asyncio.timeout_at(deadline):
                    await self._until_answered(session)
            except TimeoutError:
                log.info("link %s: %d answers did not come in time", self.name, session.pending)
            if self._is_bound:
                session.unbind(self._loop.time())
                connection.flush()
                try:
                    async with asyncio.timeout_at(min(deadline, self._loop.time() + 1.0)):
                        await connection.wait_closed()
                except TimeoutError:
                    log.info("link %s: the carrier does not answer the unbind", self.name)
                    connection.close("the link stops")
        self._ended.set()

    async def _until_answered(self, session: Session) -> None:
        """Wait until the carrier owes no answer, or is gone."""
        while session.pending and self._is_bound:
            self._answers.clear()
            await self._answers.wait()

    def _set_state(
        self, state: Any, error: str | None = None, retry_s: float | None = None
    ) -> None:
        now = self._wall()
        next_try = None if retry_s is None else now + retry_s
        rate = self._meter.update(self._loop.time())
        self.state = LinkState(state, now, error, next_try, rate)
