"""What SMPP links have in common, whoever opens their binds: the terms on which they send, and
messages spread over the binds that stand.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from config.settings import LinkSettings
from gateway.channels.bind import Half, SmppBind
from gateway.channels.caps import DailyCap
from gateway.channels.dispositions import Treatments
from gateway.channels.link import LinkState, Services, Standing
from gateway.channels.pacing import IN_HAND_S, Bucket, Suspension, Throttle
from gateway.channels.states import Report
from gateway.channels.submission import Submission
from gateway.channels.trace import Trace
from gateway.dispatch.flights import Outgoing
from protocols.smpp import BindKind

log = logging.getLogger(__name__)

_ALL = 1 << 30
DRAIN_S = 5.0
"""How long a link that is stopped, rebuilt or removed waits for answers that are due."""


class BoundLink(ABC):
    """A link of one or more binds. A subclass opens them, or is given them."""

    kinds: tuple[BindKind, ...] = (BindKind.TRANSCEIVER,)
    """What a bind consists of."""
    sending_kind = BindKind.TRANSMITTER
    receiving_kind = BindKind.RECEIVER
    """The halves of a pair, seen from us: by which we send, and by which it comes in."""

    def __init__(
        self, settings: LinkSettings, id_: int, services: Services, cap: DailyCap | None = None
    ) -> None:
        self.id = id_
        self.name = settings.name
        self.settings = settings
        self.services = services
        self.cap = cap or DailyCap.none()
        self.cap.on_change = self.wake
        self.on_room: Callable[[], None] = lambda: None
        self.treatments = Treatments(settings.statuses)
        self.submission = Submission(settings, services.campaign_of)
        self.binds: list[SmppBind] = []
        self.is_stopped = False
        """Told by an operator to rest."""
        self.is_ending = False
        self._loop = asyncio.get_running_loop()
        self.bucket = Bucket(settings.rate, self._loop.time())
        self.throttle = Throttle(settings.window)
        self.suspension = Suspension(settings.suspend_min_s, settings.suspend_max_s)
        self.trace: Trace | None = None
        self._waits_for_store = False
        services.settler.watch(id_, self.on_settled)
        self._throttle_error = ""
        self._timer: asyncio.TimerHandle | None = None

    # What dispatch asks --------------------------------------------------------------------------

    def room(self) -> int:
        """Messages that it would take now: the windows' free places, and 20 ms of its traffic;
        never more than its pace allows.
        """
        now = self._loop.time()
        if self.is_ending or self.is_stopped or self.is_paused(now):
            return 0
        free, in_hand, waiting = 0, 0.0, 0
        for bind in self.binds:
            if bind.may_send():
                free += bind.free()
                in_hand += bind.meter.update(now) * IN_HAND_S
                waiting += bind.segments_waiting
        free = max(0, min(free, self.trusted()))
        if self.settings.rate:
            free = min(free, self.bucket.available(now) + 1)
        return max(0, min(int(free + in_hand) - waiting, self.cap.left()))

    def take(self, messages: list[Outgoing]) -> None:
        """Send these: over the binds that stand by their room, all of a message by one of them."""
        binds = [bind for bind in self.binds if bind.session is not None and not bind.is_draining]
        is_resting = self.is_ending or self.is_stopped or self.is_paused(self._loop.time())
        if not binds or is_resting:
            for message in messages:
                self.services.settler.returned(message)
            return
        if len(binds) == 1:
            for message in messages:
                binds[0].take(message)
        else:
            self._spread(messages, binds)
        for bind in binds:
            bind.pump()

    def _spread(self, messages: list[Outgoing], binds: list[SmppBind]) -> None:
        now = self._loop.time()
        rooms = [bind.room(now) for bind in binds]
        for message in messages:
            widest = rooms.index(max(rooms))
            rooms[widest] -= message.segments
            binds[widest].take(message)

    def is_usable(self) -> bool:
        """Whether it could send now, if perhaps not at once."""
        return (
            not (self.is_ending or self.is_stopped)
            and any(bind.may_send() for bind in self.binds)
            and not self.is_paused(self._loop.time())
        )

    # The terms -----------------------------------------------------------------------------------

    def is_paused(self, now: float) -> bool:
        """Whether the carrier, or what was agreed with it, lets nothing go now."""
        return self.throttle.is_paused(now) or self.suspension.is_on(now) or self.cap.is_reached

    def on_accepted(self, count: int) -> None:
        """The carrier took so many segments."""
        self.throttle.accepted(count)
        self.suspension.accepted()

    def trusted(self) -> int:
        """Segments that may be handed to sockets now. Those that were answered, and of which the
        store has yet to hear, would be in doubt after a crash as those in the windows are: when
        they are more than 20 ms of traffic, as with a slow store, the windows stay that much
        emptier, and `on_settled` looks again. One may always be on its way, or a link that sends
        one at a time would wait for it.
        """
        unsettled = self.services.settler.unsettled[self.id]
        over = unsettled - 1 - int(sum(bind.meter.rate for bind in self.binds) * IN_HAND_S)
        if over <= 0:
            return _ALL
        self._waits_for_store = True
        sessions = [bind.session for bind in self.binds if bind.session is not None]
        return sum(session.window - session.pending for session in sessions) - over

    def on_settled(self) -> None:
        """The store has heard of segments that were answered."""
        if self._waits_for_store and not self.is_ending:
            self._waits_for_store = False  # who has to wait still says so again
            for bind in self.binds:
                bind.go_on()

    def on_sender(self, bind: SmppBind) -> None:
        """A session that sends comes to stand: with the first, the carrier's patience is new."""
        if all(one.session is None for one in self.binds if one is not bind):
            self.throttle = Throttle(self.settings.window)
        self.share_rate()

    def share_rate(self) -> None:
        """The agreed rate is the installation's: this node's part of it is that of the binds it
        holds.
        """
        settings = self.settings
        if settings.rate and settings.binds > 1:
            held = sum(bind.lease.is_held() for bind in self.binds) or 1
            self.bucket.set_rate(settings.rate * held / settings.binds, self._loop.time())

    def on_throttled(self, error: str, now: float) -> None:
        """The carrier refused a segment for the load."""
        if self.throttle.refused(now):
            self._throttle_error = error
            self._pause(error, self.throttle.until - now, "paused")

    def on_suspended(self, error: str, now: float) -> None:
        """The carrier refused the account."""
        if self.suspension.refused(now, error):
            self.throttle.begin_slowly()
            self._pause(error, self.suspension.until - now, "out of use")

    def _pause(self, error: str, pause_s: float, how: str) -> None:
        log.info("link %s: %s; %s for %.1f s", self.name, error, how, pause_s)
        for bind in self.binds:
            if bind.session is not None:
                bind.note(error)
            bind.return_waiting()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.pump_later(pause_s)

    def pump_later(self, delay_s: float) -> None:
        """Look again what can be sent."""
        due = self._loop.time() + max(delay_s, 0.001)
        if self._timer is not None:
            if self._timer.when() <= due:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(due, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self.wake()

    def wake(self) -> None:
        """Something that kept it from sending may be over."""
        now = self._loop.time()
        for due in (self.throttle.until, self.suspension.until):
            if now < due:
                self.pump_later(due - now)
        for bind in self.binds:
            bind.pump()
        self.on_room()

    # Sessions ------------------------------------------------------------------------------------

    def next_session(self) -> int:
        """The number of a new session."""
        return next(self.services.sessions)

    def bind_words(self, index: int) -> str:
        """A bind as the log has it: `link acme`, or `link acme bind 2` of several."""
        name = f"link {self.name}"
        return name if self.settings.binds == 1 else f"{name} bind {index + 1}"

    @abstractmethod
    async def run(self) -> None:
        """Live until drained."""

    @abstractmethod
    async def stop(self) -> None:
        """Rest until `start`: an operator wants it."""

    @abstractmethod
    def start(self) -> None:
        """End the rest."""

    async def drain(self, deadline: float) -> None:
        """Send nothing more, wait for the answers that are due until `deadline` (loop time), and
        unbind.
        """
        self.is_ending = True
        await asyncio.gather(*(bind.drain(deadline) for bind in self.binds))
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        await self.cap.close()

    # What ops see --------------------------------------------------------------------------------

    def reports(self) -> list[Report]:
        """What its binds do; those of other nodes are left to them."""
        return [
            Report(bind.index, self._state_of(bind), self._figures_of(bind))
            for bind in self.binds
            if bind.state.state != "standby"
        ]

    def show_to(self, trace: Trace) -> None:
        """Let an operator see what passes on all binds, those to come included."""
        self.trace = trace
        for bind in self.binds:
            for half in bind.halves.values():
                self.tap(bind, half)

    def tap(self, bind: SmppBind, half: Half) -> None:
        """Show what passes on a session, while anybody wants to see it."""
        if self.trace is None or half.connection is None:
            return
        if self.trace.is_over:
            self.trace = None
            return
        kind = "" if half.kind is BindKind.TRANSCEIVER else f" {half.kind.name.lower()}"
        self.trace.tap(f"bind {bind.index + 1}{kind}", half.connection)

    def _figures_of(self, bind: SmppBind) -> dict[str, Any]:
        session = bind.session
        return {
            "window": self.settings.window,
            "pending": 0 if session is None else session.pending,
            **bind.figures.record(),
        }

    def _state_of(self, bind: SmppBind) -> LinkState:
        """What a bind is doing, with what keeps the link from sending though it stands."""
        state, now, wall = bind.state, self._loop.time(), self.services.wall()
        rate = round(bind.meter.update(now), 1)
        condition: tuple[Standing, str, float] | None = None
        if self.cap.is_reached:
            condition = "capped", self.cap.words(), self.cap.resumes_at() - wall
        elif self.suspension.is_on(now):
            condition = "suspended", self.suspension.error, self.suspension.until - now
        elif self.throttle.is_paused(now):
            condition = "throttled", self._throttle_error, self.throttle.until - now
        if condition is None or state.state != "up":
            return LinkState(state.state, state.since, state.error, state.next_try, rate)
        name, error, wait_s = condition
        return LinkState(name, state.since, error, round(wall + wait_s, 1), rate)
