"""What keeps messages moving besides new ones coming in: due times, releases, validity, routes without links, and the poll that
makes up for every wake-up lost.

Each job works in bounded portions and starts again where it ended. Those that must run once in an installation hold an advisory lock for the portion.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from enum import IntEnum

import asyncpg

from gateway.dispatch.recovery import Recovery
from gateway.dispatch.routes import Routes
from gateway.errors import Fenced, StoreDown
from gateway.ids import IdSource, lowest_at, wall_ms
from gateway.model import LANES, Category, EventKind, State
from gateway.policy.gate import Reason
from gateway.store.database import HotConnection
from gateway.store.directory import Shop
from gateway.store.queries import load

log = logging.getLogger(__name__)

SQL = load("dispatch")
NODES = load("nodes")

POLL_S = 1.0
PORTION = 1000
KEEP_KEYS_MS = 7 * 86_400_000
"""How long an idempotency key and its answer are kept."""

_IDLE_S = 60.0


class Once(IntEnum):
    """Advisory locks of the jobs that one node at a time does."""

    PROMOTE = 1
    EXPIRE = 2
    RECEIPTS = 3
    CLEAN = 4


class Upkeep:
    """The recurring jobs of one node."""

    def __init__(
        self,
        connection: HotConnection,
        ids: IdSource,
        routes: Routes,
        recovery: Recovery,
        *,
        receipt_s: float,
        may_write: Callable[[], bool] = lambda: True,
        on_queued: Callable[[int, int], None] = lambda route, rank: None,
    ) -> None:
        self._connection = connection
        self._ids = ids
        self._routes = routes
        self._recovery = recovery
        self._receipt_s = receipt_s
        self._may_write = may_write
        self._on_queued = on_queued
        self._orphans = asyncio.Event()
        self._releases: set[tuple[int, str]] = set()
        self._walks: dict[int, tuple[int, int]] = {}
        self._hold_walk = 0
        self._ticks = 0

    def look_for_orphans(self) -> None:
        """A commit's outcome is unknown: a flight may exist that nobody holds."""
        self._orphans.set()

    def shop_changed(self, old: Shop | None, new: Shop | None) -> None:
        """A shop was changed: what was held for its old condition may go. Called by the directory."""
        if old is None or new is None:
            return
        now = wall_ms()
        if old.is_held and not new.is_held:
            self._releases.add((new.id, Reason.SHOP_HELD))
        if new.is_supported(now) and old.support_until != new.support_until:
            self._releases.add((new.id, Reason.SUPPORT_ENDED))

    async def run(self) -> None:
        """Do the jobs, once a second, for ever."""
        self._orphans.set()
        while True:
            for job in (
                self._recover,
                self._poll,
                self._promote,
                self._release,
                self._sweep,
                self._tidy,
            ):
                await self._attempt(job)
            self._ticks += 1
            await asyncio.sleep(POLL_S)

    async def _attempt(self, job: Callable[[], Awaitable[None]]) -> None:
        try:
            if not self._may_write():
                raise Fenced("the node's lease was not renewed")
            await job()
        except (StoreDown, Fenced) as error:
            log.debug("%s waits: %s", getattr(job, "__name__", "a job"), error)

    # Jobs --------------------------------------------------------------------------------------------------------------

    async def _recover(self) -> None:
        """Orphans of this process when it has reason to think so; those of dead nodes every few seconds."""
        if self._orphans.is_set() or self._ticks % 3 == 0:
            self._orphans.clear()
            await self._recovery.run_once()

    async def _poll(self) -> None:
        """Which routes have work, with one query, whatever their number. Stale cursors end here."""
        for route in self._routes:
            route.cursors.reset()
        for row in await self._connection.fetch(SQL["routes_with_work"]):
            route = self._routes.get(row["id"])
            if route.has_link:
                route.cursors.inserted(row["rank"])
                route.wake()
            else:
                await self._strand(row["id"])

    async def _strand(self, route: int) -> None:
        """Hold a portion of what waits for a route that no link serves."""

        async def move(connection: asyncpg.Connection) -> None:
            await connection.execute(SQL["lock_route"], route)
            rows = await connection.fetch(SQL["strand"], route, PORTION)
            await self._note(connection, rows, EventKind.HELD, Reason.NO_LINK)

        await self._connection.transact(move)

    async def _promote(self) -> None:
        """Move what is due from `later` to `queue`."""
        while True:
            moved = await self._once(Once.PROMOTE, self._promote_portion)
            if moved < PORTION:
                return

    async def _promote_portion(self, connection: asyncpg.Connection) -> list[tuple[int, int]]:
        rows = await connection.fetch(SQL["promote"], wall_ms(), PORTION)
        return await self._requeue(connection, rows)

    async def _release(self) -> None:
        """Let go what is held no more."""
        if self._ticks % 60 == 0:
            for reason in (Reason.SHOP_HELD, Reason.SUPPORT_ENDED):
                await self._look_for_releases(reason)
        for row in await self._connection.fetch(SQL["held_routes"]):
            if self._routes.get(row["id"]).has_link:
                await self._release_all("release_route", row["id"], PORTION)
        while self._releases:
            shop, reason = next(iter(self._releases))
            await self._release_all("release", shop, reason, PORTION)
            self._releases.discard((shop, reason))

    shop_by_id: Callable[[int], Shop | None] = staticmethod(lambda _: None)

    async def _look_for_releases(self, reason: Reason) -> None:
        """Shops whose condition has ended while nobody watched: the process was down, or the agreement was renewed elsewhere."""
        for row in await self._connection.fetch(SQL["held_shops"], reason.value):
            shop = self.shop_by_id(row["id"])
            if shop is None:
                continue
            is_free = (
                not shop.is_held if reason is Reason.SHOP_HELD else shop.is_supported(wall_ms())
            )
            if is_free:
                self._releases.add((shop.id, reason))

    async def _release_all(self, statement: str, *args: object) -> None:
        async def move(connection: asyncpg.Connection) -> list[tuple[int, int]]:
            rows = await connection.fetch(SQL[statement], *args)
            await self._note(connection, rows, EventKind.RELEASED, None)
            return await self._requeue(connection, rows)

        while True:
            moved = await self._connection.transact(move)
            self._queued(moved)
            if len(moved) < PORTION:
                return

    async def _sweep(self) -> None:
        """Expire what waits past its validity: a portion of each queue that has work, and of what is held, at each turn."""
        for route in list(self._routes):
            if route.cursors.may_have:
                await self._sweep_route(route.id)
        await self._sweep_hold()

    async def _sweep_route(self, route: int) -> None:
        rank, id_ = self._walks.get(route, (-1, 0))
        rows = await self._connection.fetch(SQL["walk_queue"], route, rank, id_, PORTION)
        now = wall_ms()
        late = [row for row in rows if row["expires_ms"] <= now]
        self._walks[route] = (rows[-1]["rank"], rows[-1]["id"]) if len(rows) == PORTION else (-1, 0)
        if not late:
            return

        async def expire(connection: asyncpg.Connection) -> None:
            await connection.execute(SQL["lock_route"], route)
            await connection.execute(
                SQL["expire_queued"],
                route,
                [row["rank"] for row in late],
                [row["id"] for row in late],
                now,
                self._ids.next(),
            )

        await self._connection.transact(expire)

    async def _sweep_hold(self) -> None:
        rows = await self._connection.fetch(SQL["walk_hold"], self._hold_walk, PORTION)
        self._hold_walk = rows[-1]["id"] if len(rows) == PORTION else 0
        now = wall_ms()
        late = [row["id"] for row in rows if row["expires_ms"] <= now]
        if late:
            await self._connection.fetch(SQL["expire_held"], late, now, self._ids.next())

    async def _tidy(self) -> None:
        """Note receipts that never came, and forget old idempotency keys."""
        if self._ticks * POLL_S % _IDLE_S == 0:
            while await self._once(Once.RECEIPTS, self._note_missing_receipts) == PORTION:
                pass
            await self._once(Once.CLEAN, self._forget_keys)

    async def _note_missing_receipts(self, connection: asyncpg.Connection) -> list[tuple[int, int]]:
        until = lowest_at(wall_ms() - int(self._receipt_s * 1000))
        position = await connection.fetchval(SQL["read_progress"], "no-receipt") or 0
        rows = await connection.fetch(SQL["walk_unanswered"], position, until, PORTION)
        if not rows:
            return []
        last = rows[-1]["id"]
        if len(rows) == PORTION and rows[0]["id"] != last:
            rows = [row for row in rows if row["id"] != last]
            last = rows[-1]["id"]
        events = [
            (
                row["id"],
                self._ids.next(),
                row["shop"],
                EventKind.NO_RECEIPT,
                row["segment"],
                wall_ms(),
                None,
            )
            for row in rows
            if row["state"] in (State.SUBMITTED, State.IN_DOUBT)
        ]
        if events:
            await connection.execute(SQL["add_events"], *map(list, zip(*events, strict=True)))
        await connection.execute(SQL["keep_progress"], "no-receipt", last)
        return [(0, 0)] * PORTION

    async def _forget_keys(self, connection: asyncpg.Connection) -> list[tuple[int, int]]:
        await connection.execute(SQL["forget_keys"], wall_ms() - KEEP_KEYS_MS, 10 * PORTION)
        return []

    # Shared steps --------------------------------------------------------------------------------------------------------

    async def _once(
        self, job: Once, work: Callable[[asyncpg.Connection], Awaitable[list[tuple[int, int]]]]
    ) -> int:
        """Run a portion of a job unless another node is at it; what it queued is made known after the commit."""

        async def attempt(connection: asyncpg.Connection) -> list[tuple[int, int]]:
            if not await connection.fetchval(SQL["once"], job):
                return []
            return await work(connection)

        moved = await self._connection.transact(attempt)
        self._queued(moved)
        return len(moved)

    async def _requeue(
        self, connection: asyncpg.Connection, rows: list[asyncpg.Record]
    ) -> list[tuple[int, int]]:
        """Rank messages that are ready now, unless they kept a rank, and put them into the queue."""
        items = []
        for row in sorted(rows, key=lambda row: row["id"]):
            rank = row.get("rank") or self._routes.get(row["route"]).ranker.rank(
                LANES[Category(row["category"])], row["shop"]
            )
            items.append((row["route"], rank, row["id"], row["shop"], row["tries"]))
        if items:
            await connection.execute(SQL["requeue"], *map(list, zip(*items, strict=True)))
        return [(route, rank) for route, rank, *_ in items]

    async def _note(
        self,
        connection: asyncpg.Connection,
        rows: list[asyncpg.Record],
        kind: EventKind,
        reason: Reason | None,
    ) -> None:
        detail = json.dumps({"reason": reason.value}) if reason else None
        events = [
            (row["id"], self._ids.next(), row["shop"], kind, None, wall_ms(), detail)
            for row in rows
        ]
        if events:
            await connection.execute(SQL["add_events"], *map(list, zip(*events, strict=True)))

    def _queued(self, moved: list[tuple[int, int]]) -> None:
        for id_, rank in moved:
            if not id_:
                continue
            route = self._routes.get(id_)
            route.cursors.inserted(rank)
            self._on_queued(id_, rank)
            route.wake()
