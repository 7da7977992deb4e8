"""What keeps messages moving besides new ones coming in: due times, releases, validity, routes
without links, and the poll that makes up for every wake-up lost.

Each job works in bounded portions, so that the poll is never late, and goes on where it ended.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Sequence

import asyncpg

from gateway.dispatch.outcomes import columns
from gateway.dispatch.recovery import Recovery
from gateway.dispatch.routes import Routes
from gateway.dispatch.sweeps import PORTION, SQL, Once, Sweeps, add_events, once
from gateway.errors import Fenced, StoreDown
from gateway.ids import IdSource, created_ms, wall_ms
from gateway.model import LANES, Category, EventKind
from gateway.policy.gate import Reason
from gateway.store.database import HotConnection
from gateway.store.directory import Shop

log = logging.getLogger(__name__)

POLL_S = 1.0
GONE_NODES_S = 3.0
STRANDED_S = 5.0
HELD_S = 10.0
RARELY_S = 60.0
KEEPS_UP_MS = 2_000
"""Where the first in a queue is younger than this, others claim from it as fast as it fills."""

Queued = list[tuple[int, int, int | None]]
"""Route, rank and pin of what was put into the queue."""

Release = tuple[str, tuple[int | str, ...]]
"""A statement that releases a portion, and what it is given besides the portion's size."""


class Upkeep:
    """The recurring jobs of one node."""

    def __init__(
        self,
        connection: HotConnection,
        ids: IdSource,
        routes: Routes,
        recovery: Recovery,
        *,
        node: int,
        receipt_s: float,
        may_write: Callable[[], bool] = lambda: True,
        on_queued: Callable[[int, int], None] = lambda route, rank: None,
    ) -> None:
        """`receipt_s`: after how long a receipt is not expected any more. `on_queued` gets route
        and rank of what other nodes may claim.
        """
        self.shop_by_id: Callable[[int], Shop | None] = lambda _: None
        """Finds a shop as the directory knows it."""
        self._connection = connection
        self._ids = ids
        self._routes = routes
        self._recovery = recovery
        self._node = node
        self._may_write = may_write
        self._on_queued = on_queued
        self._sweeps = Sweeps(connection, ids, receipt_s)
        self._wake = asyncio.Event()
        self._has_orphans = True
        self._releases: dict[Release, None] = {}
        self._working: set[int] = set()
        self._done_at: dict[str, float] = {}
        self._has_more_held = False

    def look_for_orphans(self) -> None:
        """A commit's outcome is unknown: a flight may exist that nobody holds."""
        self._has_orphans = True
        self._wake.set()

    def shop_changed(self, old: Shop | None, new: Shop | None) -> None:
        """A shop was changed: what was held for its old condition may go. For the directory."""
        if old is None or new is None:
            return
        if old.is_held and not new.is_held:
            self._release_shop(new.id, Reason.SHOP_HELD)
        if new.is_supported(wall_ms()) and old.support_until != new.support_until:
            self._release_shop(new.id, Reason.SUPPORT_ENDED)

    def _release_shop(self, shop: int, reason: Reason) -> None:
        self._releases["release", (shop, reason.value)] = None
        self._wake.set()

    async def run(self) -> None:
        """Do the jobs, once a second and on demand, for ever."""
        clock = asyncio.get_running_loop().time
        while True:
            self._wake.clear()
            began = clock()
            is_more = await self.turn(began)
            if is_more:
                continue
            try:
                async with asyncio.timeout(max(POLL_S - (clock() - began), 0.0)):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def turn(self, now: float) -> bool:
        """Do a portion of each job that is due at `now` (loop time); whether any has more to do."""
        is_more = False
        for job in (
            self._recover,
            self._poll,
            self._promote,
            self._release,
            self._sweep,
            self._tidy,
        ):
            is_more |= await self._attempt(job, now)
        return is_more

    async def _attempt(self, job: Callable[[float], Awaitable[bool]], now: float) -> bool:
        name = getattr(job, "__name__", "a job").strip("_")
        try:
            if not self._may_write():
                raise Fenced("the node's lease was not renewed")
            return await job(now)
        except (StoreDown, Fenced) as error:
            log.debug("%s waits: %s", name, error)
        except Exception:
            log.exception("%s failed; the next turn tries again", name)
        return False

    def _is_due(self, name: str, every_s: float, now: float) -> bool:
        """Whether a job was last done so long ago; it is then done now."""
        if now - self._done_at.get(name, -every_s) < every_s:
            return False
        self._done_at[name] = now
        return True

    # Jobs -----------------------------------------------------------------------------------------

    async def _recover(self, now: float) -> bool:
        """Orphans of this process when it has reason to think so; those of dead nodes always."""
        if not self._has_orphans and not self._is_due("orphans", RARELY_S, now):
            is_time = self._is_due("gone nodes", GONE_NODES_S, now)
            if not is_time or not await self._recovery.has_gone_nodes():
                return False
        self._has_orphans = False
        try:
            await self._recovery.run_once()
        except BaseException:
            self._has_orphans = True
            raise
        return False

    async def _poll(self, now: float) -> bool:
        """Which routes have work, with one query, whatever their number. Stale cursors end here."""
        if not self._is_due("poll", POLL_S, now):
            return False
        for route in self._routes:
            route.reset()
        self._working.clear()
        for row in await self._connection.fetch(SQL["poll_routes"], self._node):
            route = self._routes.get(row["id"], row["name"])
            route.is_served_elsewhere = row["is_served"]
            route.elsewhere = frozenset(row["elsewhere"])
            for rank in row["presents"]:
                route.ranker.claimed(rank)
            if row["rank"] is None or created_ms(row["first"]) > wall_ms() - KEEPS_UP_MS:
                route.others_keep_up()
            if row["rank"] is None:
                continue
            self._working.add(row["id"])
            if route.has_link:
                route.inserted(row["rank"])
                if row["has_pinned"]:
                    route.look_for_pinned()
                route.wake()
            elif not route.is_served:
                await self._strand(row["id"])
        return False

    async def _strand(self, route: int) -> None:
        """Hold a portion of what waits for a route that no link serves."""

        async def move(connection: asyncpg.Connection) -> None:
            await connection.execute(SQL["lock_route"], route)
            rows = await connection.fetch(SQL["strand"], route, PORTION)
            await self._note(connection, rows, EventKind.HELD, {"reason": Reason.NO_LINK.value})

        await self._connection.transact(move)

    async def _promote(self, _now: float) -> bool:
        """Move what is due from `later` to `queue`."""
        due = await self._connection.fetch(SQL["next_due"])
        if not due or due[0]["due_ms"] > wall_ms():
            return False

        async def move(connection: asyncpg.Connection) -> tuple[Queued, int]:
            rows = await connection.fetch(SQL["promote"], wall_ms(), PORTION)
            return await self._requeue(connection, rows), len(rows)

        queued, count = await once(self._connection, Once.PROMOTE, move) or ([], 0)
        self._announce(queued)
        return count == PORTION

    async def _release(self, now: float) -> bool:
        """Let go a portion of whatever is held no more."""
        if self._is_due("shops", RARELY_S, now):
            await self._look_for_shops()
        if self._is_due("stranded", STRANDED_S, now):
            for row in await self._connection.fetch(SQL["held_routes"]):
                if self._routes.get(row["id"]).is_served:
                    self._releases["release_route", (row["id"],)] = None
        for release in list(self._releases):
            if not await self._release_portion(release):
                del self._releases[release]
        return bool(self._releases)

    async def _look_for_shops(self) -> None:
        """Shops whose condition ended while nobody watched: the process was down, or it is time."""
        for reason in (Reason.SHOP_HELD, Reason.SUPPORT_ENDED):
            for row in await self._connection.fetch(SQL["held_shops"], reason.value):
                shop = self.shop_by_id(row["id"])
                if shop is None:
                    continue
                is_supported = shop.is_supported(wall_ms())
                if not shop.is_held if reason is Reason.SHOP_HELD else is_supported:
                    self._release_shop(shop.id, reason)

    async def _release_portion(self, release: Release) -> bool:
        statement, arguments = release

        async def move(connection: asyncpg.Connection) -> tuple[Queued, int]:
            rows = await connection.fetch(SQL[statement], *arguments, PORTION)
            live = [row for row in rows if not row["is_settled"]]
            await self._note(connection, live, EventKind.RELEASED, None)
            return await self._requeue(connection, rows), len(rows)

        queued, count = await self._connection.transact(move)
        self._announce(queued)
        return count == PORTION

    async def _sweep(self, now: float) -> bool:
        """Expire a portion of each queue that has work, and of what is held."""
        if self._is_due("queues", POLL_S, now):
            for route in sorted(self._working):
                await self._sweeps.expire_queued(route)
        if self._has_more_held or self._is_due("held", HELD_S, now):
            self._has_more_held = await self._sweeps.expire_held()
        return self._has_more_held

    async def _tidy(self, now: float) -> bool:
        """Note receipts that never came, and forget what is old."""
        is_more = False
        for name, work in (
            ("receipts", self._sweeps.note_missing_receipts),
            ("old", self._sweeps.forget),
        ):
            if self._is_due(name, RARELY_S, now) and await work():
                del self._done_at[name]
                is_more = True
        return is_more

    # Shared steps ---------------------------------------------------------------------------------

    async def _requeue(
        self, connection: asyncpg.Connection, rows: Sequence[asyncpg.Record]
    ) -> Queued:
        """Put messages that are ready now into the queue, unless they are settled meanwhile. They
        are ranked now unless they kept a rank.
        """
        items = []
        for row in sorted(rows, key=lambda row: row["id"]):
            if not row["is_settled"]:
                ranker = self._routes.get(row["route"]).ranker
                rank = row["rank"] or ranker.rank(LANES[Category(row["category"])], row["shop"])
                items.append((row["route"], rank, row["id"], row["shop"], row["tries"], row["pin"]))
        if items:
            await connection.execute(SQL["requeue"], *columns(items))
        return [(route, rank, pin) for route, rank, *_, pin in items]

    async def _note(
        self,
        connection: asyncpg.Connection,
        rows: Sequence[asyncpg.Record],
        kind: EventKind,
        detail: dict[str, str] | None,
    ) -> None:
        told = None if detail is None else json.dumps(detail)
        await add_events(
            connection,
            [
                (row["id"], self._ids.next(), row["shop"], kind, None, wall_ms(), told)
                for row in rows
            ],
        )

    def _announce(self, queued: Queued) -> None:
        for id_, rank, pin in queued:
            route = self._routes.get(id_)
            route.inserted(rank, pin)
            self._on_queued(id_, rank)
            route.wake()
