"""Tells other nodes what was queued, and hears it from them: at most one NOTIFY in 10 ms, with
route and lowest rank.

It only saves them their poll of a second: a notification lost costs time, not messages. PostgreSQL
takes a lock of the whole database for each commit that notifies, so it is never part of a
message's own transaction, and not sent at all while this node is alone.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import asyncpg

from gateway.dispatch.ranking import LANE_BITS, lane_of
from gateway.dispatch.routes import Routes
from gateway.errors import StoreDown
from gateway.store.database import CONNECTION_ERRORS, Database
from gateway.store.queries import load

log = logging.getLogger(__name__)

SQL = load("nodes")

CHANNEL = "gateway_queue"
GATHER_S = 0.01
COUNT_S = 2.0
"""How often a node asks whether it is alone."""
RETRY_S = 1.0

_FAILURES: tuple[type[BaseException], ...] = (
    *CONNECTION_ERRORS,
    StoreDown,
    asyncpg.PostgresError,
)


class Notifier:
    """Both directions, over one connection of its own."""

    def __init__(self, database: Database, routes: Routes, node: int) -> None:
        self._database = database
        self._routes = routes
        self._node = node
        self._connection: asyncpg.Connection | None = None
        self._lowest: dict[tuple[int, int], int] = {}
        self._wake = asyncio.Event()
        self._has_company = True

    def queued(self, route: int, rank: int) -> None:
        """A message of this rank was committed to a route's queue."""
        if not self._has_company:
            return
        key = (route, rank >> LANE_BITS)
        if rank < self._lowest.get(key, rank + 1):
            self._lowest[key] = rank
            self._wake.set()

    async def run(self) -> None:
        """Send and listen, for ever."""
        try:
            await self._serve()
        finally:
            self._drop()

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        counted = 0.0
        while True:
            try:
                if self._connection is None or self._connection.is_closed():
                    self._connection = await self._database.connect()
                    await self._connection.add_listener(CHANNEL, self._heard)
                if loop.time() - counted >= COUNT_S:
                    counted = loop.time()
                    self._has_company = await self._connection.fetchval(SQL["others"], self._node)
                await self._send(self._connection)
            except _FAILURES as error:
                log.debug("notifications wait: %s", error)
                self._drop()
                await asyncio.sleep(RETRY_S)
            try:
                async with asyncio.timeout(COUNT_S):
                    await self._wake.wait()
            except TimeoutError:
                continue
            await asyncio.sleep(GATHER_S)

    async def _send(self, connection: asyncpg.Connection) -> None:
        self._wake.clear()
        lowest, self._lowest = self._lowest, {}
        if lowest:
            payloads = [f"{self._node} {route} {rank}" for (route, _), rank in lowest.items()]
            await connection.execute(SQL["notify"], CHANNEL, payloads)

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    def _heard(self, _connection: Any, _pid: int, _channel: str, payload: object) -> None:
        try:
            node, route_id, rank = map(int, str(payload).split())
            lane_of(rank)
        except ValueError:
            return
        route = self._routes.get(route_id)
        if node != self._node and route.members:
            route.inserted(rank)
            route.wake()
