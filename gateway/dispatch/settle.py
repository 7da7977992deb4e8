"""Settles what became of claimed messages, as their links report it segment by segment.

Everything that is learned within a few milliseconds is committed as one transaction. A message
leaves its flight in the same transaction that puts it elsewhere, so that it is in one place at any
moment. If the database goes away, what was learned waits here and is written when it is back.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

from gateway.dispatch.flights import Fate, Flights, Outgoing
from gateway.dispatch.outcomes import Outcomes, write
from gateway.dispatch.recent import Taken
from gateway.dispatch.routes import Routes
from gateway.errors import Fenced, StoreDown
from gateway.ids import IdSource, wall_ms
from gateway.model import Cause, EventKind, InDoubt, State, settle_doubt
from gateway.store.database import HotConnection, storable

log = logging.getLogger(__name__)

FLUSH_S = 0.003
"""How long outcomes gather. Longer adds doubt after a crash, shorter costs PostgreSQL more for each
message.
"""

_RETRY_MIN_S = 0.05
_RETRY_MAX_S = 2.0


class Settler:
    """Collects outcomes from all links of the process, and commits them."""

    def __init__(
        self,
        connection: HotConnection,
        ids: IdSource,
        flights: Flights,
        routes: Routes,
        *,
        may_write: Callable[[], bool] = lambda: True,
        on_carrier_ids: Callable[[Iterable[tuple[int, str, Taken]]], None] = lambda _: None,
        on_states: Callable[[int, State, int], None] = lambda link, state, count: None,
        link_names: Mapping[int, str] = MappingProxyType({}),
    ) -> None:
        """`may_write`: whether this node holds its lease. `on_carrier_ids` gets link, carrier id
        and segment of what was committed, `on_states` how many segments of a link came to a state.
        `link_names` by id, for the timeline.
        """
        self._connection = connection
        self._ids = ids
        self._flights = flights
        self._routes = routes
        self._may_write = may_write
        self._on_carrier_ids = on_carrier_ids
        self._on_states = on_states
        self._link_names = link_names
        self._outcomes = Outcomes()
        self.unsettled: Counter[int] = Counter()
        """Segments by link that were answered, of which the store does not know yet: a crash now
        would put them in doubt.
        """
        self._watchers: dict[int, Callable[[], None]] = {}
        self._wake = asyncio.Event()
        self._is_idle = asyncio.Event()
        self._is_idle.set()

    def watch(self, link: int, on_fewer: Callable[[], None]) -> None:
        """Have `on_fewer` called whenever fewer segments of a link are unsettled. A link that is
        built anew takes the place of the old one.
        """
        self._watchers[link] = on_fewer

    # What links report ----------------------------------------------------------------------------

    def sent(self, message: Outgoing, segment: int, link: int, carrier: str | None) -> None:
        """The peer accepted a segment under this id."""
        known_as = storable(carrier) if carrier else None
        self._status(message, segment, link, State.SUBMITTED, carrier=known_as)
        if known_as is not None:
            what = (message.id, segment, message.target, message.shop, message.segments)
            self._outcomes.sent.append((link, known_as, what))
        if message.segments > 1:
            message.pin = link
        self._answered(message)

    def refused(self, message: Outgoing, segment: int, link: int, error: str) -> None:
        """The peer refused a segment for good: the message has failed, its other segments are not
        sent.
        """
        self._final(message, segment, link, State.FAILED, error)
        message.fate = Fate.FAILED
        message.waiting.clear()
        self._answered(message)

    def again(
        self,
        message: Outgoing,
        segment: int | None,
        kind: EventKind,
        error: str,
        delay_s: float = 0.0,
        *,
        avoid: int | None = None,
    ) -> None:
        """The peer refused a segment for now: the message goes back, due again after `delay_s`.

        `avoid`: the link, where it refused for reasons of its own: another one of the route then
        takes the message, unless a part of it was accepted here.
        """
        detail: dict[str, Any] = {"error": storable(error), "retry_s": round(delay_s, 1)}
        if avoid is not None:
            self._told(avoid)
        if avoid is not None and (message.pin is None or message.pin < 0):
            message.pin = -avoid
            if avoid in self._link_names:
                detail["link"] = self._link_names[avoid]
        self._event(message, kind, segment, detail)
        if message.fate is None:
            message.fate = Fate.AGAIN
            message.delay_s = delay_s
        message.waiting.clear()
        self._answered(message)

    def lost(self, message: Outgoing, segment: int, link: int, cause: Cause) -> None:
        """The answer to a segment can no longer come: it is in doubt."""
        goes_again = bool(message.waiting)
        detail = {"cause": cause.value}
        if settle_doubt(message.category, message.channel, cause) is InDoubt.SEND_AGAIN:
            goes_again = True
            self._told(link)
            if message.fate is not Fate.FAILED:
                self._event(message, EventKind.RESENT, segment, detail)
        else:
            self._status(message, segment, link, State.IN_DOUBT, error=cause.value)
            message.pin = link
            doubt = (link, message.target, message.id, segment, wall_ms())
            self._outcomes.doubt.append(doubt)
            self._event(message, EventKind.IN_DOUBT, segment, detail)
        if goes_again and message.fate is None:
            message.fate = Fate.AGAIN
        message.waiting.clear()
        self._answered(message)

    def returned(self, message: Outgoing) -> None:
        """The message was not handed to the socket, or not whole: what is left of it goes back to
        the queue at its old rank.
        """
        message.waiting.clear()
        if message.fate is None:
            message.fate = Fate.AGAIN
            message.tries -= 1
        if not message.outstanding:
            self._done(message)

    def gate(self, message: Outgoing, state: State, reason: str) -> None:
        """The message is over before it left: EXPIRED or SUPPRESSED by the gate, FAILED where the
        link cannot send it at all.
        """
        segment = next(n for n in range(message.segments + 1) if n not in message.answered)
        self._final(message, segment, None, state, reason)
        self._land(message)

    def held(self, message: Outgoing, reason: str, until_ms: int | None) -> None:
        """The gate wants a claimed message to wait for something."""
        self._event(message, EventKind.HELD, None, {"reason": reason})
        self._outcomes.hold.append(
            (
                message.id,
                message.shop,
                message.route,
                message.target,
                reason,
                until_ms,
                message.tries - 1,
                message.pin,
            )
        )
        self._leave(message)

    def dropped(self, message: Outgoing) -> None:
        """A claimed message turned out to be settled already: only its flight is to be ended."""
        self._land(message)

    # From segments to messages --------------------------------------------------------------------

    def _answered(self, message: Outgoing) -> None:
        message.outstanding -= 1
        if not message.outstanding and not message.waiting:
            self._done(message)
        self._stir()

    def _done(self, message: Outgoing) -> None:
        if message.fate is not Fate.AGAIN:
            self._land(message)
            return
        id_, route, rank, shop = message.id, message.route, message.rank, message.shop
        if message.delay_s > 0:
            # Never past its validity: it then expires on time.
            due_ms = min(wall_ms() + int(message.delay_s * 1000), message.expires_ms)
            row = (due_ms, id_, route, rank, shop, message.tries, message.pin)
            self._outcomes.later.append(row)
        else:
            self._outcomes.queue.append((route, rank, id_, shop, message.tries, message.pin))
        self._leave(message)

    def _leave(self, message: Outgoing) -> None:
        self._outcomes.left.append((message.flight.id, message.id))
        self._land(message)

    def _land(self, message: Outgoing) -> None:
        flight = message.flight
        flight.left -= 1
        if not flight.left:
            self._outcomes.landed.append(flight.id)
        self._stir()

    def _final(
        self, message: Outgoing, segment: int, link: int | None, state: State, error: str
    ) -> None:
        words = storable(error)
        self._status(message, segment, link, state, done_ms=wall_ms(), error=words)
        self._event(message, EventKind[state.name], segment, {"reason": words})

    def _status(
        self,
        message: Outgoing,
        segment: int,
        link: int | None,
        state: State,
        *,
        done_ms: int | None = None,
        carrier: str | None = None,
        error: str | None = None,
    ) -> None:
        sent_ms = None
        if link is not None:
            sent_ms = wall_ms()
            self._told(link)
        self._outcomes.status.append(
            (message.id, segment, link, state, message.tries, sent_ms, done_ms, carrier, error)
        )

    def _told(self, link: int) -> None:
        """One more segment of a link of which the store has to hear."""
        self.unsettled[link] += 1
        self._outcomes.answered[link] += 1

    def _event(
        self, message: Outgoing, kind: EventKind, segment: int | None, detail: dict[str, Any]
    ) -> None:
        told = json.dumps(detail)
        self._outcomes.events.append(
            (message.id, self._ids.next(), message.shop, kind, segment, wall_ms(), told)
        )
        self._stir()

    # Writing it down ------------------------------------------------------------------------------

    def _stir(self) -> None:
        self._is_idle.clear()
        self._wake.set()

    async def run(self) -> None:
        """Commit what gathers, for ever."""
        while True:
            await self._wake.wait()
            await asyncio.sleep(FLUSH_S)
            self._wake.clear()
            outcomes, self._outcomes = self._outcomes, Outcomes()
            if outcomes:
                outcomes.presents = self._routes.take_advanced()
                await self._persist(outcomes)
            if not self._outcomes:
                self._is_idle.set()

    async def drained(self) -> None:
        """Wait until everything reported so far is committed."""
        await self._is_idle.wait()

    async def _persist(self, outcomes: Outcomes) -> None:
        """Commit outcomes, however long it takes."""
        failures = 0
        while True:
            try:
                if not self._may_write():
                    raise Fenced("the node's lease was not renewed")
                await write(self._connection, outcomes)
                break
            except (StoreDown, Fenced) as error:
                failures += 1
                if failures in (1, 10) or failures % 100 == 0:
                    count = len(outcomes.status)
                    log.warning("outcomes of %d segments wait for the store: %s", count, error)
                delay_s = min(_RETRY_MIN_S * 2.0 ** min(failures, 10), _RETRY_MAX_S)
                await asyncio.sleep(delay_s * random.uniform(0.5, 1.0))  # noqa: S311
        self._after(outcomes)

    def _after(self, outcomes: Outcomes) -> None:
        for flight in outcomes.landed:
            self._flights.forget(flight)
        for id_, rank, *_, pin in outcomes.queue:
            route = self._routes.get(id_)
            route.inserted(rank, pin)
            route.wake()
        for (link, state), count in Counter((row[2], row[3]) for row in outcomes.status).items():
            if link is not None:
                self._on_states(link, State(state), count)
        self.unsettled.subtract(outcomes.answered)
        for link in outcomes.answered.keys() & self._watchers.keys():
            self._watchers[link]()
        if outcomes.sent:
            self._on_carrier_ids(outcomes.sent)
