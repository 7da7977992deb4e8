"""How many messages wait: sampled from the store now and then, on the pool for reports, never on
the message path.

Counting costs as much as there is to count, so that the pause between samples grows with the time
that one took. Between samples what this node accepted is added, and what it claimed taken away, so
that a shop's limit holds at once and no longer than it must.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Literal

import asyncpg

from gateway.errors import StoreDown
from gateway.ids import created_ms, lowest_at, wall_ms
from gateway.model import Lane
from gateway.store.queries import load

if TYPE_CHECKING:
    from gateway.observe.metrics import Metrics
    from gateway.store.database import Database

log = logging.getLogger(__name__)

INTERVAL_MIN_S = 2.0
INTERVAL_MAX_S = 5.0
PAUSES_PER_SAMPLE = 50
PAUSES_AT_LEAST = 4
"""Sampling takes a fiftieth of one connection's time, more where that would be seldomer than every
5 seconds, and a fifth at most.
"""
COUNT_TIMEOUT_MS = 25_000
"""How long one count may take, which is longer than people may wait for a search."""
FORWARDS_SINCE_MS = 3 * 86_400_000
_MOST_FORWARDS = 20
LINK_STALE_MS = 30_000

PlaceName = Literal["queue", "later", "hold"]


@dataclass(frozen=True, slots=True)
class Depth:
    """Messages of one shop that wait in one place of one route, and in the queue in one lane.

    `oldest_ms`: when the oldest was accepted; in `later`, when the next is due.
    """

    route: int
    shop: int
    place: PlaceName
    count: int
    oldest_ms: int
    lane: Lane | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class RouteName:
    """What a route is called, and the kind of link that serves it: `smpp` reports its binds,
    others do not.
    """

    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class RouteLink:
    """A link that serves a route, and its standby tier."""

    route: int
    link: str
    standby: int


@dataclass(frozen=True, slots=True)
class LinkState:
    """What the node that runs a bind last said of it. `rate`: segments a second, lately."""

    link: str
    bind: int
    state: str
    since: datetime
    error: str | None
    next_try: datetime | None
    rate: float
    updated: datetime

    @property
    def is_up(self) -> bool:
        """Whether the bind can send, if perhaps slowly."""
        return self.state in ("up", "throttled")

    def is_fresh(self, now_ms: int) -> bool:
        """Whether the node that said so still lives: it repeats itself every 10 seconds."""
        return now_ms - self.updated.timestamp() * 1000 < LINK_STALE_MS


@dataclass(frozen=True, slots=True)
class FailedForward:
    """A reply that could not be mailed to its shop. It stays readable as a reply."""

    message: int
    reply: int
    shop: int
    at_ms: int
    error: str | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One sample."""

    as_of_ms: int
    routes: dict[int, RouteName] = field(default_factory=dict)
    depths: tuple[Depth, ...] = ()
    flying: dict[int, int] = field(default_factory=dict)
    """Messages being sent, by route."""
    links: tuple[LinkState, ...] = ()
    shops: dict[int, str] = field(default_factory=dict)
    """Codes of the shops that `depths` and `failed_forwards` name."""
    failed_forwards: tuple[FailedForward, ...] = ()
    unrouted: int = 0
    """Texts of the last three days for numbers that belong to no shop."""
    route_links: tuple[RouteLink, ...] = ()


async def take_sample(connection: asyncpg.Connection) -> Snapshot:
    """Count everything, in the caller's transaction."""
    sql = load("depths")
    await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
    await connection.execute(f"SET LOCAL statement_timeout = {COUNT_TIMEOUT_MS}")
    now_ms = wall_ms()
    since = lowest_at(now_ms - FORWARDS_SINCE_MS)
    depths = await _depths(connection, sql)
    forwards = await connection.fetch(sql["failed_forwards"], since, _MOST_FORWARDS)
    flying = await connection.fetch(sql["flying"])
    named = {depth.shop for depth in depths} | {row["shop"] for row in forwards}
    codes = await connection.fetch(sql["shop_codes"], list(named))
    routes = await connection.fetch(sql["routes"])
    return Snapshot(
        as_of_ms=now_ms,
        routes={row["id"]: RouteName(row["name"], row["kind"]) for row in routes},
        depths=depths,
        flying={row["route"]: row["count"] for row in flying},
        links=tuple(LinkState(*row) for row in await connection.fetch(sql["links"])),
        route_links=tuple(
            RouteLink(*row) for row in await connection.fetch(sql["route_links"])
        ),
        shops={row["id"]: row["code"] for row in codes},
        failed_forwards=tuple(FailedForward(*row) for row in forwards),
        unrouted=await connection.fetchval(sql["unrouted"], since),
    )


async def _depths(connection: asyncpg.Connection, sql: dict[str, str]) -> tuple[Depth, ...]:
    found = [
        Depth(
            row["route"],
            row["shop"],
            "queue",
            row["count"],
            created_ms(row["oldest"]),
            lane=Lane(row["lane"]),
        )
        for row in await connection.fetch(sql["queued"])
    ]
    found += [
        Depth(row["route"], row["shop"], "later", row["count"], row["due_ms"])
        for row in await connection.fetch(sql["deferred"])
    ]
    found += [
        Depth(
            row["route"],
            row["shop"],
            "hold",
            row["count"],
            created_ms(row["oldest"]),
            reason=row["reason"],
        )
        for row in await connection.fetch(sql["held"])
    ]
    return tuple(found)


class Depths:
    """The latest sample, and what came and went since."""

    def __init__(self, database: Database, metrics: Metrics | None = None) -> None:
        self._database = database
        self._metrics = metrics
        self._latest = Snapshot(as_of_ms=0)
        self._sampled: dict[int, int] = {}
        self._accepted: dict[int, int] = {}

    @property
    def latest(self) -> Snapshot:
        """The last sample; an empty one, as of 0, before the first."""
        return self._latest

    def waiting(self, shop: int) -> int:
        """How many messages of a shop wait, on all nodes as of the last sample, on this one as
        of now.
        """
        return max(self._sampled.get(shop, 0) + self._accepted.get(shop, 0), 0)

    def accepted(self, shop: int, count: int) -> None:
        """This node stored so many messages of a shop that wait."""
        self._accepted[shop] = self._accepted.get(shop, 0) + count

    def claimed(self, shop: int, count: int) -> None:
        """This node took so many messages of a shop out of the queue."""
        self.accepted(shop, -count)

    async def sample(self) -> Snapshot:
        """Count now. Raises StoreDown; the last sample then stays."""
        before, self._accepted = self._accepted, {}
        try:
            snapshot = await self._database.read(take_sample)
        except BaseException:
            for shop, count in before.items():
                self.accepted(shop, count)
            raise
        sampled: dict[int, int] = {}
        for depth in snapshot.depths:
            sampled[depth.shop] = sampled.get(depth.shop, 0) + depth.count
        self._latest, self._sampled = snapshot, sampled
        if self._metrics is not None:
            _publish(self._metrics, snapshot)
        return snapshot

    async def run(self) -> None:
        """Sample for ever."""
        clock = asyncio.get_running_loop().time
        while True:
            start = clock()
            try:
                await self.sample()
            except (StoreDown, asyncpg.PostgresError) as error:
                log.warning("queues could not be counted: %s", error)
            await asyncio.sleep(pause_s(clock() - start))


def pause_s(took_s: float) -> float:
    """How long to wait after a sample that took so long."""
    longest_s = max(INTERVAL_MAX_S, PAUSES_AT_LEAST * took_s)
    return min(max(INTERVAL_MIN_S, PAUSES_PER_SAMPLE * took_s), longest_s)


def _publish(metrics: Metrics, snapshot: Snapshot) -> None:
    """Set the gauges, also those of routes where nothing waits any more."""
    for id_, route in snapshot.routes.items():
        name = route.name
        mine = [depth for depth in snapshot.depths if depth.route == id_]
        for place in ("queue", "later", "hold"):
            metrics.set_depth(name, place, sum(d.count for d in mine if d.place == place))
        metrics.set_depth(name, "flight", snapshot.flying.get(id_, 0))
        oldest = min((d.oldest_ms for d in mine if d.place == "queue"), default=snapshot.as_of_ms)
        metrics.set_oldest(name, (snapshot.as_of_ms - oldest) / 1000)
    for link in {state.link for state in snapshot.links}:
        is_up = any(
            s.is_up and s.is_fresh(snapshot.as_of_ms) for s in snapshot.links if s.link == link
        )
        metrics.set_link(link, is_up=is_up)
