"""Takes over what a dead process, or a lost answer of the database, left in flight.

A flight row without a living memory behind it is an orphan. Of an older epoch or of a node whose
lease has run out: its messages may have left, and the rules for doubt decide. Of this very process
(a commit whose answer was lost): the link never saw them, so they go back.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable

import asyncpg

from gateway.dispatch.flights import Flights
from gateway.dispatch.outcomes import Outcomes, columns
from gateway.dispatch.routes import Routes
from gateway.ids import IdSource, wall_ms
from gateway.model import (
    LANES,
    Category,
    Cause,
    Channel,
    EventKind,
    InDoubt,
    State,
    is_settled,
    settle_doubt,
)
from gateway.store.database import HotConnection
from gateway.store.queries import load

log = logging.getLogger(__name__)

SQL = load("dispatch")
NODES = load("nodes")

FLIGHTS_AT_ONCE = 50


class Recovery:
    """Resolves orphaned flights."""

    def __init__(
        self,
        connection: HotConnection,
        ids: IdSource,
        routes: Routes,
        flights: Flights,
        *,
        node: int,
        epoch: int,
        may_judge: Callable[[], bool] = lambda: True,
        on_queued: Callable[[int, int], None] = lambda route, rank: None,
    ) -> None:
        """`may_judge`: whether a lease that has run out tells of a dead node."""
        self._connection = connection
        self._ids = ids
        self._routes = routes
        self._flights = flights
        self._node = node
        self._epoch = epoch
        self._may_judge = may_judge
        self._on_queued = on_queued

    async def has_gone_nodes(self) -> bool:
        """Whether a node that is gone has left flights behind. Raises StoreDown."""
        return bool(await self._connection.fetch(NODES["gone_nodes"], self._node))

    async def run_once(self) -> int:
        """Resolve all orphans there are now; returns how many messages they held. Raises
        StoreDown.
        """
        if self._may_judge():
            await self._connection.fetch(NODES["fence_gone"], self._node)
        total = 0
        while True:
            decided, count = await self._connection.transact(self._take)
            for route_id, rank, *_, pin in decided.queue:
                route = self._routes.get(route_id)
                route.inserted(rank, pin)
                self._on_queued(route_id, rank)
                route.wake()
            if not count:
                return total
            total += count
            log.warning(
                "took over %d messages in flight: %d go again, %d segments stay in doubt",
                count,
                len(decided.queue),
                len(decided.doubt),
            )

    async def _take(self, connection: asyncpg.Connection) -> tuple[Outcomes, int]:
        # A flight that begins while the statement is on its way has an id above this one.
        newest = self._ids.next()
        rows = await connection.fetch(
            SQL["take_orphans"],
            self._node,
            self._epoch,
            list(self._flights),
            newest,
            FLIGHTS_AT_ONCE,
        )
        decided = Outcomes()
        for row in rows:
            self._decide(row, decided)
        if decided.status:
            await connection.execute(SQL["flush"], decided.status, [], [], [], [])
        for name, items in (
            ("requeue", decided.queue),
            ("add_events", decided.events),
            ("doubt", decided.doubt),
        ):
            if items:
                await connection.execute(SQL[name], *columns(items))
        return decided, len(rows)

    def _decide(self, row: asyncpg.Record, decided: Outcomes) -> None:
        answered = dict(divmod(value, 16) for value in row["answered"] or ())
        if is_settled(row["segments"], [State(state) for state in answered.values()]):
            return
        category, channel = Category(row["category"]), Channel(row["channel"])
        is_own = row["node"] == self._node and row["epoch"] == self._epoch
        if is_own or settle_doubt(category, channel, Cause.CRASH) is InDoubt.SEND_AGAIN:
            ranker = self._routes.get(row["route"]).ranker
            rank = row["rank"] or ranker.rank(LANES[category], row["shop"])
            # The rest of a message goes by the link that took the first part of it.
            pin = row["link"] if answered else None
            decided.queue.append((row["route"], rank, row["id"], row["shop"], 1, pin))
            if not is_own:
                self._event(row, EventKind.RESENT, None, decided)
            return
        now, cause = wall_ms(), Cause.CRASH.value
        for segment in range(row["segments"]):
            if segment not in answered:
                id_, link = row["id"], row["link"]
                decided.status.append(
                    (id_, segment, link, State.IN_DOUBT, 1, now, None, None, cause)
                )
                decided.doubt.append((link, row["target"], id_, segment, now))
                self._event(row, EventKind.IN_DOUBT, segment, decided)

    def _event(
        self, row: asyncpg.Record, kind: EventKind, segment: int | None, decided: Outcomes
    ) -> None:
        detail = json.dumps({"cause": Cause.CRASH.value})
        decided.events.append(
            (row["id"], self._ids.next(), row["shop"], kind, segment, wall_ms(), detail)
        )
