"""Writes down what became of claimed messages: status rows, events, returns to the queue, and the ends of flights.

Everything that is learned within a few milliseconds is committed as one transaction. A message leaves its flight in the same transaction
that puts it elsewhere, so that it is in one place at any moment. If the database goes away, what was learned waits here and
is written when it is back; nothing is written twice.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from gateway.dispatch.flights import Fate, Flights, Outgoing
from gateway.dispatch.routes import Routes
from gateway.errors import Fenced, StoreDown
from gateway.ids import IdSource, wall_ms
from gateway.model import Cause, EventKind, InDoubt, State, settle_doubt
from gateway.store.database import HotConnection
from gateway.store.queries import load

log = logging.getLogger(__name__)

SQL = load("dispatch")

FLUSH_S = 0.003
"""How long outcomes gather. Longer adds doubt after a crash, shorter costs PostgreSQL more for each message."""


@dataclass(slots=True)
class Batch:
    """What one transaction writes."""

    status: list[tuple[Any, ...]] = field(default_factory=list)
    events: list[tuple[Any, ...]] = field(default_factory=list)
    queue: list[tuple[int, int, int, int, int]] = field(default_factory=list)
    later: list[tuple[int, int, int, int, int, int]] = field(default_factory=list)
    hold: list[tuple[Any, ...]] = field(default_factory=list)
    doubt: list[tuple[Any, ...]] = field(default_factory=list)
    landed: list[int] = field(default_factory=list)
    left: list[tuple[int, int]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.status or self.events or self.landed or self.left)


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
        on_carrier_ids: Callable[[Iterable[tuple[int, str]]], None] = lambda _: None,
    ) -> None:
        """`may_write`: whether this node holds its lease. `on_carrier_ids` gets (link, carrier id) of what was committed."""
        self._connection = connection
        self._ids = ids
        self._flights = flights
        self._routes = routes
        self._may_write = may_write
        self._on_carrier_ids = on_carrier_ids
        self._batch = Batch()
        self._wake = asyncio.Event()
        self._is_idle = asyncio.Event()
        self._is_idle.set()

    # What links report -------------------------------------------------------------------------------------------

    def sent(self, message: Outgoing, segment: int, link: int, carrier: str | None) -> None:
        """The peer accepted a segment under this id."""
        now = wall_ms()
        self._batch.status.append(
            (message.id, segment, link, State.SUBMITTED, message.tries, now, None, carrier, None)
        )
        self._answered(message)

    def refused(self, message: Outgoing, segment: int, link: int, error: str) -> None:
        """The peer refused a segment for good: the message has failed, and its other segments are not sent."""
        self._final(message, segment, link, State.FAILED, error)
        message.fate = Fate.FAILED
        message.waiting.clear()
        self._answered(message)

    def again(
        self, message: Outgoing, segment: int | None, kind: EventKind, error: str, delay_s: float = 0.0
    ) -> None:
        """The peer refused a segment for now: the message goes back, and is due again after `delay_s`."""
        self._event(message, kind, segment, {"error": error, "retry_s": round(delay_s, 1)})
        if message.fate is None:
            message.fate = Fate.AGAIN
            message.delay_s = delay_s
        message.waiting.clear()
        self._answered(message)

    def lost(self, message: Outgoing, segment: int, link: int, cause: Cause) -> None:
        """The answer to a segment can no longer come: it is in doubt."""
        goes_again = bool(message.waiting)
        if settle_doubt(message.category, message.channel, cause) is InDoubt.SEND_AGAIN:
            goes_again = True
            self._event(message, EventKind.RESENT, segment, {"cause": cause.value})
        else:
            now = wall_ms()
            self._batch.status.append(
                (message.id, segment, link, State.IN_DOUBT, message.tries, now, None, None, cause.value)
            )
            self._batch.doubt.append((link, message.target, message.id, segment, now))
            self._event(message, EventKind.IN_DOUBT, segment, {"cause": cause.value})
        if goes_again and message.fate is None:
            message.fate = Fate.AGAIN
        message.waiting.clear()
        self._answered(message)

    def returned(self, message: Outgoing) -> None:
        """The message was not handed to the socket, or not whole: what is left of it goes back to the queue at its old rank."""
        message.waiting.clear()
        if message.fate is None:
            message.fate = Fate.AGAIN
            message.tries -= 1
        if not message.outstanding:
            self._done(message)

    def gate(self, message: Outgoing, state: State, reason: str) -> None:
        """The gate refused a claimed message: it is over before it left, in `state` (EXPIRED or SUPPRESSED)."""
        segment = next(n for n in range(message.segments + 1) if n not in message.answered)
        self._final(message, segment, None, state, reason)
        self._land(message)

    def held(self, message: Outgoing, reason: str, until_ms: int | None) -> None:
        """The gate wants a claimed message to wait for something."""
        self._event(message, EventKind.HELD, None, {"reason": reason})
        self._batch.hold.append(
            (message.id, message.shop, message.route, message.target, reason, until_ms, message.tries - 1)
        )
        self._leave(message)

    def dropped(self, message: Outgoing) -> None:
        """A claimed message turned out to be settled already: there is nothing to do but to end its flight."""
        self._land(message)

    # From segments to messages -------------------------------------------------------------------------------------

    def _answered(self, message: Outgoing) -> None:
        message.outstanding -= 1
        if not message.outstanding and not message.waiting:
            self._done(message)
        self._stir()

    def _done(self, message: Outgoing) -> None:
        if message.fate is not Fate.AGAIN:
            self._land(message)
            return
        tries = message.tries
        if message.delay_s > 0:
            due = wall_ms() + int(message.delay_s * 1000)
            self._batch.later.append((due, message.id, message.route, message.rank, message.shop, tries))
        else:
            self._batch.queue.append((message.route, message.rank, message.id, message.shop, tries))
        self._leave(message)

    def _leave(self, message: Outgoing) -> None:
        self._batch.left.append((message.flight.id, message.id))
        self._land(message)

    def _land(self, message: Outgoing) -> None:
        flight = message.flight
        flight.left -= 1
        if not flight.left:
            self._batch.landed.append(flight.id)
        self._stir()

    def _final(
        self, message: Outgoing, segment: int, link: int | None, state: State, error: str
    ) -> None:
        now = wall_ms()
        self._batch.status.append(
            (message.id, segment, link, state, message.tries, now if link else None, now, None, error)
        )
        self._event(message, EventKind[state.name], segment, {"reason": error})

    def _event(
        self, message: Outgoing, kind: EventKind, segment: int | None, detail: dict[str, Any]
    ) -> None:
        self._batch.events.append(
            (message.id, self._ids.next(), message.shop, kind, segment, wall_ms(), json.dumps(detail))
        )
        self._stir()

    # Writing it down -------------------------------------------------------------------------------------------------

    def _stir(self) -> None:
        self._is_idle.clear()
        self._wake.set()

    async def run(self) -> None:
        """Commit what gathers, for ever."""
        while True:
            await self._wake.wait()
            await asyncio.sleep(FLUSH_S)
            self._wake.clear()
            batch, self._batch = self._batch, Batch()
            if batch:
                await self._persist(batch)
            if not self._batch:
                self._is_idle.set()

    async def drained(self) -> None:
        """Wait until everything reported so far is committed."""
        await self._is_idle.wait()

    async def _persist(self, batch: Batch) -> None:
        """Commit a batch, however long it takes."""
        failures = 0
        is_unknown = False
        while True:
            try:
                if not self._may_write():
                    raise Fenced("the node's lease was not renewed")
                if is_unknown and await self._is_committed(batch):
                    break
                is_unknown = True
                await self._commit(batch)
                break
            except (StoreDown, Fenced) as error:
                failures += 1
                if failures in (1, 10) or failures % 100 == 0:
                    log.warning("outcomes of %d segments wait for the store: %s", len(batch.status), error)
                await asyncio.sleep(min(0.05 * 2**failures, 2.0) * random.uniform(0.5, 1.0))  # noqa: S311
        self._after(batch)

    async def _is_committed(self, batch: Batch) -> bool:
        """Whether a commit whose answer was lost took effect: then the messages that moved are in their flights no more."""
        if not batch.left:
            return False
        flight, message = batch.left[0]
        rows = await self._connection.fetch(SQL["is_in_flight"], flight, message)
        return not rows

    async def _commit(self, batch: Batch) -> None:
        moved = batch.events or batch.left or batch.doubt
        if not moved:
            await self._connection.fetch(SQL["flush"], *self._flush_columns(batch))
            return

        async def write(connection: asyncpg.Connection) -> None:
            await connection.fetch(SQL["flush"], *self._flush_columns(batch))
            landed = set(batch.landed)
            staying = [(flight, message) for flight, message in batch.left if flight not in landed]
            for name, columns in (
                ("leave_flights", _columns(staying, 2)),
                ("add_events", _columns(batch.events, 7)),
                ("requeue", _columns(batch.queue, 5)),
                ("defer", _columns(batch.later, 6)),
                ("put_on_hold", _columns(batch.hold, 7)),
                ("doubt", _columns(batch.doubt, 5)),
            ):
                if columns[0]:
                    await connection.execute(SQL[name], *columns)

        await self._connection.transact(write)

    def _flush_columns(self, batch: Batch) -> list[Any]:
        times = self._routes.take_advanced()
        return [*_columns(batch.status, 9), batch.landed, *_columns(times, 3)]

    def _after(self, batch: Batch) -> None:
        for flight in batch.landed:
            self._flights.forget(flight)
        for id_, rank, *_ in batch.queue:
            route = self._routes.get(id_)
            route.cursors.inserted(rank)
            route.wake()
        carriers = [(row[2], row[7]) for row in batch.status if row[7] is not None]
        if carriers:
            self._on_carrier_ids(carriers)


def _columns(rows: list[Any], width: int) -> list[list[Any]]:
    """Rows as the columns that unnest() takes."""
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(width)]
