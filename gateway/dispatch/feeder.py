"""Claims from the queue for one link: a little at a time, as its window and pace allow, and past
the gate once more.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Sequence

import asyncpg

from gateway.dispatch.flights import Fate, Flight, Flights, Outgoing
from gateway.dispatch.members import Grant
from gateway.dispatch.outcomes import columns
from gateway.dispatch.routes import Link, Member, Route, Routes, Serving, Way
from gateway.dispatch.settle import Settler
from gateway.errors import Fenced, StoreDown
from gateway.ids import IdSource, wall_ms
from gateway.model import Category, Channel, State, is_settled
from gateway.policy.gate import Action, decide
from gateway.store.database import HotConnection
from gateway.store.directory import Directory
from gateway.store.queries import load

log = logging.getLogger(__name__)

SQL = load("dispatch")

CLAIM_MAX = 500
_RETRY_S = 0.5
_TELL_S = 60.0
_TRIES_MAX = 32_767
"""What a column of two octets holds."""

_Sender = tuple[int, str]
"""Shop and number."""


class Feeder:
    """Feeds one link from the routes that it serves."""

    def __init__(
        self,
        link: Link,
        serves: Sequence[Serving],
        *,
        connection: HotConnection,
        directory: Directory,
        ids: IdSource,
        routes: Routes,
        flights: Flights,
        settler: Settler,
        node: int,
        epoch: int,
        may_write: Callable[[], bool] = lambda: True,
        on_unknown: Callable[[], None] = lambda: None,
        on_claimed: Callable[[int, int], None] = lambda shop, count: None,
    ) -> None:
        """`on_unknown` is called when a claim's outcome is not known, so that its flight is looked
        for; `on_claimed` gets shop and count of what left the queue.
        """
        self._link = link
        self._way = Way(link, self.wake)
        self._serves: list[tuple[Route, Member]] = []
        self._connection = connection
        self._directory = directory
        self._ids = ids
        self._routes = routes
        self._flights = flights
        self._settler = settler
        self._node = node
        self._epoch = epoch
        self._may_write = may_write
        self._on_unknown = on_unknown
        self._on_claimed = on_claimed
        self._wake = asyncio.Event()
        self._is_stopping = False
        self._told: float | None = None
        """When (loop time) the log was last told of the failure that lasts."""
        self._is_idle = asyncio.Event()
        self._is_idle.set()
        self.serve(serves)

    def serve(self, serves: Sequence[Serving]) -> None:
        """Feed the link from these routes from now on, and from no other."""
        old = {route.id: member for route, member in self._serves}
        self._serves = []
        for each in serves:
            route, member = each.route, old.pop(each.route.id, None)
            part = each.weight, each.standby
            if member is not None and (member.weight, member.standby) != part:
                route.remove_link(member)
                member = None
            if member is None:
                member = route.add_link(self._way, *part)
            route.has_link = True
            self._serves.append((route, member))
        for route_id, member in old.items():
            self._routes.get(route_id).remove_link(member)
        self.wake()

    def wake(self) -> None:
        """There may be something to claim, or room for it."""
        self._wake.set()

    def stop(self) -> None:
        """Claim no more, and leave the routes."""
        self._is_stopping = True
        for route, member in self._serves:
            route.remove_link(member)
        self._serves = []

    async def run(self) -> None:
        """Claim whenever there is work and room, for ever."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            self._is_idle.clear()
            try:
                await self._feed()
                self._told = None
            except (StoreDown, Fenced) as error:
                self._tell(error)
                await asyncio.sleep(_RETRY_S)
                self._wake.set()
            finally:
                self._is_idle.set()

    def _tell(self, error: Exception) -> None:
        now = asyncio.get_running_loop().time()
        if self._told is None or now - self._told >= _TELL_S:
            self._told = now
            log.warning("link %s: nothing can be claimed: %s", self._link.name, error)

    async def finished(self) -> None:
        """Wait until no claim is under way. After `stop` none begins."""
        await self._is_idle.wait()

    async def _feed(self) -> None:
        """Claim until the link is full or its routes are empty, from one route after the other."""
        while not self._is_stopping:
            room = min(self._way.free(), CLAIM_MAX)
            if room <= 0 or (found := self._next(room)) is None:
                return
            if not self._may_write():
                raise Fenced("the node's lease was not renewed")
            route, member, granted = found
            self._way.reserved += granted.count
            try:
                await self._claim(route, member, granted)
            finally:
                self._way.reserved -= granted.count

    def _next(self, room: int) -> tuple[Route, Member, Grant] | None:
        """The next route of which something may wait for the link, and what it may claim there:
        higher lanes first, and among routes of the same lane one after the other.
        """
        serves = self._serves
        if len(serves) > 1:
            serves = sorted(serves, key=_by_lane)
        for each in serves:
            route, member = each
            granted = route.grant(member, room)
            if granted.count:
                # Its turn comes again after the others'.
                self._serves.remove(each)
                self._serves.append(each)
                return route, member, granted
        return None

    async def _claim(self, route: Route, member: Member, granted: Grant) -> None:
        flight = self._ids.next()
        self._flights.begin(flight)
        positions = route.begin_claim(member, granted)
        mine = flight, self._node, self._epoch, self._link.id

        async def claim(
            connection: asyncpg.Connection,
        ) -> tuple[list[asyncpg.Record], set[_Sender]]:
            await connection.execute(SQL["lock_route"], route.id)
            count = granted.count
            if granted.pinned:
                sql = SQL["claim_pinned"]
                rows = await connection.fetch(sql, route.id, count, *mine, granted.pinned)
            else:
                where = *positions, count, *mine, granted.passed_over
                rows = await connection.fetch(SQL["claim"], route.id, *where)
            return rows, await self._released(connection, rows)

        try:
            rows, released = await self._connection.transact(claim)
        except BaseException:
            self._flights.forget(flight)
            route.forget_claim(member, granted)
            self._on_unknown()
            raise
        route.end_claim(member, granted, [row["rank"] for row in rows])
        if not rows:
            self._flights.forget(flight)
        elif self._may_write():
            self._pass_on(route, rows, released, flight)
        else:
            # Too late to send: by now another node may have taken the flight over.
            self._flights.forget(flight)
            self._on_unknown()

    async def _released(
        self, connection: asyncpg.Connection, rows: list[asyncpg.Record]
    ) -> set[_Sender]:
        """Senders of these texts that their shops have no more.

        The directory may not know yet of a number just assigned, so the store has the last word.
        """
        doubtful = {
            (row["shop"], row["sender"])
            for row in rows
            if row["channel"] == Channel.SMS and not self._has_number(row["shop"], row["sender"])
        }
        if not doubtful:
            return doubtful
        kept = await connection.fetch(SQL["assigned_numbers"], *columns(list(doubtful)))
        return doubtful - {(row["shop"], row["number"]) for row in kept}

    def _has_number(self, shop_id: int, sender: str) -> bool:
        shop = self._directory.shop_by_id(shop_id)
        return shop is None or any(number.number == sender for number in shop.numbers)

    def _pass_on(
        self,
        route: Route,
        rows: list[asyncpg.Record],
        released: set[_Sender],
        flight_id: int,
    ) -> None:
        """Let the gate judge what was claimed, and give the link what may go."""
        for shop, count in Counter(row["shop"] for row in rows).items():
            self._on_claimed(shop, count)
        flight = Flight(flight_id, len(rows))
        now_ms = wall_ms()
        sending = []
        for row in sorted(rows, key=_by_rank):
            message = _outgoing(row, route, flight)
            self._routes.claimed(route, message.rank)
            if message.fate is None and (message.shop, message.sender) in released:
                self._settler.gate(message, State.FAILED, "its number was released")
            elif self._may_go(message, row["sms_alerts"], now_ms):
                sending.append(message)
        if sending:
            self._link.take(sending)

    def _may_go(self, message: Outgoing, sms_alerts: str | None, now_ms: int) -> bool:
        if message.fate is not None:
            self._settler.dropped(message)
            return False
        # A shop that the directory has not read yet was judged when the message was accepted.
        shop = self._directory.shop_by_id(message.shop)
        verdict = decide(
            category=message.category,
            expires_ms=message.expires_ms,
            send_at_ms=None,
            is_supported=shop is None or shop.is_supported(now_ms),
            is_held=shop is not None and shop.is_held,
            sms_alerts=sms_alerts,
            has_link=True,
            now_ms=now_ms,
        )
        if verdict.action is Action.SEND:
            return True
        if verdict.action is Action.EXPIRE:
            self._settler.gate(message, State.EXPIRED, "its validity passed while it waited")
        elif verdict.action is Action.SUPPRESS and verdict.reason:
            self._settler.gate(message, State.SUPPRESSED, verdict.reason.value)
        elif verdict.reason:
            self._settler.held(message, verdict.reason.value, verdict.until_ms)
        return False


def _by_lane(serving: tuple[Route, Member]) -> int:
    return serving[1].cursors.lane


def _by_rank(row: asyncpg.Record) -> tuple[int, int]:
    return row["rank"], row["id"]


def _outgoing(row: asyncpg.Record, route: Route, flight: Flight) -> Outgoing:
    """A claimed row. One that is settled already (canceled while it waited, or sent whole) comes
    with FAILED as its fate.
    """
    message = Outgoing(
        id=row["id"],
        shop=row["shop"],
        route=route.id,
        channel=_CHANNELS[row["channel"]],
        category=_CATEGORIES[row["category"]],
        rank=row["rank"],
        tries=min(row["tries"] + 1, _TRIES_MAX),
        sender=row["sender"],
        target=row["target"],
        body=row["body"],
        encoding=row["encoding"],
        segments=row["segments"],
        expires_ms=row["expires_ms"],
        parent=row["parent"],
        flight=flight,
        pin=row["pin"],
    )
    if row["answered"]:
        rows = [divmod(value, 16) for value in row["answered"]]
        message.answered = tuple(segment for segment, _ in rows)
        if is_settled(message.segments, [State(state) for _, state in rows]):
            message.fate = Fate.FAILED
    return message


_CHANNELS = {channel.value: channel for channel in Channel}
_CATEGORIES = {category.value: category for category in Category}
