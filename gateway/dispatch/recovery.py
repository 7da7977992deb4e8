"""Takes over what a dead process, or a lost answer of the database, left in flight.

A flight row without a living memory behind it is an orphan. Of an older epoch or of a node whose lease has run out: its messages may have left, and the
rules for doubt decide. Of this very process (a commit whose answer was lost): the link never saw them, so they go back.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from gateway.dispatch.flights import Flights
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


@dataclass(slots=True)
class _Decisions:
    """What becomes of the messages of some orphaned flights."""

    queue: list[tuple[int, int, int, int, int]] = field(default_factory=list)
    status: list[tuple[Any, ...]] = field(default_factory=list)
    doubt: list[tuple[int, str, int, int, int]] = field(default_factory=list)
    events: list[tuple[Any, ...]] = field(default_factory=list)


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
        on_queued: Callable[[int, int], None] = lambda route, rank: None,
    ) -> None:
        self._connection = connection
        self._ids = ids
        self._routes = routes
        self._flights = flights
        self._node = node
        self._epoch = epoch
        self._on_queued = on_queued

    async def run_once(self) -> int:
        """Resolve all orphans there are now; returns how many messages they held. Raises StoreDown."""
        total = 0
        while True:
            gone = await self._connection.fetch(NODES["gone_nodes"], self._node)
            nodes = [row["id"] for row in gone]
            decisions, count = await self._connection.transact(lambda c: self._take(c, nodes))  # noqa: B023
            for route_id, rank, *_ in decisions.queue:
                route = self._routes.get(route_id)
                route.cursors.inserted(rank)
                self._on_queued(route_id, rank)
                route.wake()
            if not count:
                return total
            total += count
            log.warning(
                "took over %d messages in flight: %d go again, %d segments stay in doubt",
                count,
                len(decisions.queue),
                len(decisions.doubt),
            )

    async def _take(
        self, connection: asyncpg.Connection, nodes: list[int]
    ) -> tuple[_Decisions, int]:
        rows = await connection.fetch(
            SQL["take_orphans"],
            self._node,
            self._epoch,
            list(self._flights),
            FLIGHTS_AT_ONCE,
            nodes,
        )
        decisions = _Decisions()
        for row in rows:
            self._decide(row, decisions)
        for name, items in (
            ("requeue", decisions.queue),
            ("add_events", decisions.events),
            ("doubt", decisions.doubt),
        ):
            if items:
                await connection.execute(SQL[name], *map(list, zip(*items, strict=True)))
        if decisions.status:
            columns = map(list, zip(*decisions.status, strict=True))
            await connection.execute(SQL["flush"], *columns, [], [], [], [])
        return decisions, len(rows)

    def _decide(self, row: asyncpg.Record, decisions: _Decisions) -> None:
        answered = dict(divmod(value, 16) for value in row["answered"] or ())
        if is_settled(row["segments"], [State(state) for state in answered.values()]):
            return
        category, channel = Category(row["category"]), Channel(row["channel"])
        is_own = row["node"] == self._node and row["epoch"] == self._epoch
        fate = InDoubt.SEND_AGAIN if is_own else settle_doubt(category, channel, Cause.CRASH)
        if fate is InDoubt.SEND_AGAIN:
            route = self._routes.get(row["route"])
            rank = row["rank"] or route.ranker.rank(LANES[category], row["shop"])
            decisions.queue.append((row["route"], rank, row["id"], row["shop"], 1))
            if not is_own:
                self._event(row, EventKind.RESENT, None, decisions)
            return
        now = wall_ms()
        for segment in range(row["segments"]):
            if segment not in answered:
                decisions.status.append(
                    (
                        row["id"],
                        segment,
                        row["link"],
                        State.IN_DOUBT,
                        1,
                        now,
                        None,
                        None,
                        Cause.CRASH.value,
                    )
                )
                decisions.doubt.append((row["link"], row["target"], row["id"], segment, now))
                self._event(row, EventKind.IN_DOUBT, segment, decisions)

    def _event(
        self, row: asyncpg.Record, kind: EventKind, segment: int | None, decisions: _Decisions
    ) -> None:
        detail = json.dumps({"cause": Cause.CRASH.value})
        decisions.events.append(
            (row["id"], self._ids.next(), row["shop"], kind, segment, wall_ms(), detail)
        )
