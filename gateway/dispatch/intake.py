"""Group commit: what callers post waits a moment for its turn, is stored together, and is answered
when it is durable.

One writer task. What gathers while a commit is under way is the next commit: no delay is added,
and under load one fsync serves many posts. Where a route's queue is empty and its link has room,
the messages are committed as a flight and handed to the link from memory; the rest goes through
the queue.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice

import asyncpg
import msgspec

from gateway.dispatch.acceptance import (
    Draft,
    answer,
    choose_route,
    choose_sender,
    settle_draft,
)
from gateway.dispatch.flights import Flights
from gateway.dispatch.group import (
    Accepted,
    Direct,
    Idempotency,
    Item,
    Outcome,
    Plan,
    Post,
    Waiter,
    arguments,
)
from gateway.dispatch.routes import Route, Routes
from gateway.errors import Fault, Fenced, Refusal, StoreDown
from gateway.ids import IdSource, wall_ms
from gateway.model import Place
from gateway.store.database import HotConnection, is_row_fault
from gateway.store.queries import load

__all__ = ["Accepted", "Idempotency", "Intake", "Outcome"]

log = logging.getLogger(__name__)

SQL = load("dispatch")

GROUP_MAX = 500
"""Messages in one commit: enough to share the sync, few enough not to hold the event loop."""

GROUP_MIN = 50
"""So many go at once where the link has no room, or so little, and its queue may end soon."""

ROOM_WAITS = 10
ROOM_WAIT_S = 0.001
ROOM_PATIENCE = 5
"""How often the writer looks for room, how long it waits in between, and how many looks in a row
may find nothing changed.
"""

KEYS_MAX = 2_000
"""Keys that one statement looks up."""

DEADLINE_S = 5.0
"""How long a commit may take before all who wait are told that nothing can be stored now."""

_encode = msgspec.json.Encoder().encode


class Intake:
    """The writer: the only task that stores accepted messages."""

    def __init__(
        self,
        connection: HotConnection,
        ids: IdSource,
        routes: Routes,
        flights: Flights,
        *,
        node: int,
        epoch: int,
        waiting_max: int,
        may_write: Callable[[], bool] = lambda: True,
        on_accepted: Callable[[int, int], None] = lambda shop, count: None,
        on_queued: Callable[[int, int], None] = lambda route, rank: None,
        on_unknown: Callable[[], None] = lambda: None,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        """`on_accepted` gets shop and count of what was stored and waits, `on_queued` route and
        rank of what other nodes may claim, `on_unknown` is called when a commit's outcome is not
        known, so that orphaned flights are looked for.
        """
        self._connection = connection
        self._ids = ids
        self._routes = routes
        self._flights = flights
        self._node = node
        self._epoch = epoch
        self._waiting_max = waiting_max
        self._may_write = may_write
        self._on_accepted = on_accepted
        self._on_queued = on_queued
        self._on_unknown = on_unknown
        self._deadline_s = deadline_s
        self._waiting: deque[Item] = deque()
        self._group: list[Item] = []
        self._granted: tuple[Route | None, int] = (None, 0)
        self._is_stuck = False
        self._wake = asyncio.Event()

    def require_room(self, messages: int) -> None:
        """Raise Refusal `unavailable` when too much waits already, or the store does not answer."""
        if self._is_stuck:
            raise _unavailable()
        if len(self._waiting) + messages > self._waiting_max:
            raise Refusal("unavailable", "Too many requests wait to be stored.", retry_after_s=1)

    async def accept(
        self, drafts: Sequence[Draft], keys: Sequence[Idempotency | None] = ()
    ) -> list[Outcome]:
        """Store the drafts, each by itself accepted or refused. What is Accepted is durable when
        this
        returns; what is refused as `unavailable` may have been stored all the same.

        The order of the answers is that of the drafts. Raises Refusal `unavailable` when too much
        waits already.
        """
        self.require_room(len(drafts))
        if not drafts:
            return []
        done = asyncio.get_running_loop().create_future()
        post = Post([None] * len(drafts), len(drafts), done)
        for index, draft in enumerate(drafts):
            self._waiting.append(Item(draft, keys[index] if keys else None, post, index))
        self._wake.set()
        await done
        return [outcome for outcome in post.outcomes if outcome is not None]

    def submit(self, draft: Draft, key: Idempotency | None, waiter: Waiter, index: int) -> None:
        """Store one draft and tell `waiter` by callback: no task, no future, as a post by itself
        costs. Raises Refusal as `accept` does.
        """
        self.require_room(1)
        self._waiting.append(Item(draft, key, waiter, index))
        self._wake.set()

    async def replay(self, shop: int, key: Idempotency) -> Outcome | None:
        """The first answer given under this key, a Refusal if it was to another request, or None if
        the key is new.
        """
        return (await self.replays([(shop, key)]))[0]

    async def replays(self, asked: Sequence[tuple[int, Idempotency]]) -> list[Outcome | None]:
        """`replay` for many shops and keys at once. A store that does not answer in time refuses
        them all as `unavailable`.
        """
        known: dict[tuple[int, str], asyncpg.Record] = {}
        try:
            async with asyncio.timeout(self._deadline_s):
                for start in range(0, len(asked), KEYS_MAX):
                    part = asked[start : start + KEYS_MAX]
                    shops, keys = [shop for shop, _ in part], [key.key for _, key in part]
                    rows = await self._connection.fetch(SQL["find_keys"], shops, keys)
                    known |= {(row["shop"], row["key"]): row for row in rows}
        except (StoreDown, TimeoutError):
            return [_unavailable() for _ in asked]
        found = [(known.get((shop, key.key)), key) for shop, key in asked]
        return [None if row is None else _replayed(row, key) for row, key in found]

    async def run(self) -> None:
        """Commit groups, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            await self._wake.wait()
            has_room = await self._wait_for_room()
            self._group = self._take_group(has_room=has_room)
            if not self._group:
                self._wake.clear()
                continue
            watch = loop.call_later(self._deadline_s, self._on_stuck)
            try:
                await self._handle(self._group)
            finally:
                watch.cancel()
                self._is_stuck = False

    async def _wait_for_room(self) -> bool:
        """Wait some milliseconds for a link that has its hands full, as long as it gets on and
        nobody else waits. Whether it then has room for what waits.

        What is queued costs more than what skips the queue: a queue that once begins under a load
        that the direct way could carry would last as long as the load.
        """
        patience, seen = ROOM_PATIENCE, None
        for _ in range(ROOM_WAITS):
            route = self._only_route()
            if route is None or not route.members or route.backlog > GROUP_MAX:
                return False
            now = (route.direct_room(), route.backlog)
            if now[0] >= min(len(self._waiting), GROUP_MIN):
                return True
            patience = patience - 1 if now == seen else ROOM_PATIENCE
            if not patience:
                return False
            seen = now
            await asyncio.sleep(ROOM_WAIT_S)
        return False

    def _only_route(self) -> Route | None:
        """The route of the posts that wait first, if they have one in common."""
        routes = {item.message.route for item in islice(self._waiting, GROUP_MIN)}
        return self._routes.get(routes.pop()) if len(routes) == 1 else None

    def _take_group(self, *, has_room: bool) -> list[Item]:
        """The next items that somebody still waits for: no more than the link has room for, if it
        has room.
        """
        group: list[Item] = []
        most = GROUP_MAX
        self._granted = (None, 0)
        while self._waiting and len(group) < most:
            item = self._waiting.popleft()
            if not item.is_abandoned:
                if not group and has_room:
                    most = self._grant(self._routes.get(item.message.route))
                group.append(item)
        return group

    def _grant(self, route: Route) -> int:
        """How many messages the next group may have, by the room of a route's link, which is kept
        for them: it is an estimate that changes while they are judged.
        """
        room = min(route.direct_room(), GROUP_MAX)
        self._granted = (route, room)
        return room or GROUP_MAX

    def _on_stuck(self) -> None:
        """A commit takes too long: nobody is kept waiting for it, and nobody joins them."""
        self._is_stuck = True
        log.warning("the store has not answered for %.0f s", self._deadline_s)
        self._refuse_all(self._group)

    async def _handle(self, group: list[Item]) -> None:
        """Store a group, or tell each caller why not."""
        try:
            if not self._may_write():
                raise Fenced("the node's lease was not renewed")
            group = self._judge(await self._without_replays(group), await self._contacts(group))
            await self._store(group)
        except (StoreDown, Fenced) as error:
            log.warning("%d messages could not be stored: %s", len(group), error)
            self._refuse_all(group)
        except Exception:
            log.exception("%d messages could not be stored", len(group))
            self._refuse_all(group)

    def _refuse_all(self, group: Sequence[Item]) -> None:
        """Answer a group, and what waits behind it, that nothing can be stored now."""
        refusal = _unavailable()
        # Answering a post may bring the next one of its connection: that one waits anew.
        waiting, self._waiting = self._waiting, deque()
        for item in (*group, *waiting):
            item.settle(refusal)

    # Before the commit ----------------------------------------------------------------------------

    async def _without_replays(self, group: list[Item]) -> list[Item]:
        """Answer what was posted before; put off what has the key of another item of this group."""
        keyed = [(item.message.shop, item.key.key) for item in group if item.key is not None]
        if not keyed:
            return group
        rows = await self._connection.fetch(
            SQL["find_keys"], [shop for shop, _ in keyed], [key for _, key in keyed]
        )
        known = {(row["shop"], row["key"]): row for row in rows}
        fresh: list[Item] = []
        put_off: list[Item] = []
        seen: set[tuple[int, str]] = set()
        for item in group:
            if item.key is None:
                fresh.append(item)
                continue
            name = (item.message.shop, item.key.key)
            if name in known:
                item.settle(_replayed(known[name], item.key))
            elif name in seen:
                put_off.append(item)
            else:
                seen.add(name)
                fresh.append(item)
        self._waiting.extendleft(reversed(put_off))
        return fresh

    async def _contacts(self, group: list[Item]) -> dict[tuple[int, str], asyncpg.Record]:
        """What the store knows of the phones that the requests did not describe."""
        unknown = [item.message for item in group if item.draft.needs_contact]
        if not unknown:
            return {}
        rows = await self._connection.fetch(
            SQL["find_contacts"], [m.shop for m in unknown], [m.target for m in unknown]
        )
        return {(row["shop"], row["phone"]): row for row in rows}

    def _judge(
        self, group: list[Item], contacts: dict[tuple[int, str], asyncpg.Record]
    ) -> list[Item]:
        """Let the gate judge each draft; refusals are answered here. What an earlier request of the
        group said of a contact holds for the later ones.
        """
        accepted = []
        now_ms = wall_ms()
        said: dict[tuple[int, str], str] = {}
        for item in group:
            message, draft = item.message, item.draft
            whom = (message.shop, message.target)
            known = contacts.get(whom)
            if draft.alerts is not None:
                said[whom] = draft.alerts
            try:
                alerts = said.get(whom, known["sms_alerts"] if known else None)
                choose_sender(draft, known["number"] if known else None)
                if draft.routing is not None and draft.needs_contact:
                    choose_route(draft, alerts if draft.alerts is None else draft.alerts)
                settle_draft(
                    draft,
                    alerts,
                    None,
                    has_link=self._routes.get(message.route).is_served,
                    now_ms=now_ms,
                )
            except Refusal as refusal:
                item.settle(refusal)
                continue
            item.answer = _encode(answer(draft))
            accepted.append(item)
        return accepted

    # The commit -----------------------------------------------------------------------------------

    async def _store(self, group: list[Item]) -> None:
        """Commit a group. If a row of it cannot be stored, halve it until that row stands alone,
        and refuse that row alone.
        """
        if not group:
            return
        plan = self._plan(group)
        try:
            await self._connection.fetch(
                SQL["accept"], *arguments(group, plan, self._node, self._epoch)
            )
        except asyncpg.PostgresError as error:
            self._release(plan)
            if not is_row_fault(error):
                raise
            if len(group) == 1:
                await self._refuse(group[0], error)
                return
            middle = len(group) // 2
            await self._store(group[:middle])
            await self._store(group[middle:])
        except BaseException:
            self._release(plan)
            self._on_unknown()
            raise
        else:
            self._hand_over(group, plan)

    def _plan(self, group: list[Item]) -> Plan:
        """Rank what is to be sent, and choose what skips the queue: as much as the links have room
        for, in order of rank.
        """
        plan = Plan()
        ready: dict[int, list[Item]] = {}
        for item in group:
            message = item.message
            if message.place in (Place.QUEUE, Place.FLIGHT):
                message.place = Place.QUEUE
                if not message.rank:
                    ranker = self._routes.get(message.route).ranker
                    message.rank = ranker.rank(message.lane, message.shop)
                ready.setdefault(message.route, []).append(item)
        for id_, items in ready.items():
            route = self._routes.get(id_)
            room = route.direct_room()
            if room and self._granted[0] is route:
                room = max(room, self._granted[1])
            items.sort(key=_by_rank)
            start = 0
            for member, count in route.share(min(room, len(items))) if room else ():
                direct = items[start : start + count]
                start += count
                flight = self._ids.next()
                self._flights.begin(flight)
                member.way.reserved += count
                plan.direct.append(Direct(route, member.way, flight, direct))
                for item in direct:
                    item.message.place = Place.FLIGHT
            plan.queued += [(route, item.message.rank) for item in items[start:]]
        return plan

    def _release(self, plan: Plan) -> None:
        """Nothing in memory answers for the flights of a plan."""
        for direct in plan.direct:
            direct.way.reserved -= len(direct.items)
            self._flights.forget(direct.flight)

    async def _refuse(self, item: Item, error: asyncpg.PostgresError) -> None:
        """A row that cannot be stored: its key was used meanwhile, or PostgreSQL cannot hold it."""
        if isinstance(error, asyncpg.UniqueViolationError) and item.key is not None:
            replayed = await self.replay(item.message.shop, item.key)
            if replayed is not None:
                item.settle(replayed)
                return
        log.error("a message could not be stored: %s", error.sqlstate)
        fault = Fault("text", "holds something that the database refuses", "send plain characters")
        item.settle(Refusal("invalid-request", "The message cannot be stored.", (fault,)))

    # After the commit -----------------------------------------------------------------------------

    def _hand_over(self, group: list[Item], plan: Plan) -> None:
        if self._may_write():
            for direct in plan.direct:
                self._send(direct)
        else:
            # Too late to send: by now another node may have taken the flights over.
            self._release(plan)
            self._on_unknown()
        for route, rank in plan.queued:
            route.queued(rank)
            self._on_queued(route.id, rank)
            route.wake()
        waiting: dict[int, int] = {}
        for item in group:
            item.settle(Accepted(item.answer))
            if item.message.place not in (Place.FLIGHT, Place.STATUS):
                waiting[item.message.shop] = waiting.get(item.message.shop, 0) + 1
        for shop, count in waiting.items():
            self._on_accepted(shop, count)

    def _send(self, direct: Direct) -> None:
        direct.way.reserved -= len(direct.items)
        outgoing = direct.outgoing()
        for message in outgoing:
            self._routes.claimed(direct.route, message.rank)
        direct.way.link.take(outgoing)


def _by_rank(item: Item) -> tuple[int, int]:
    return item.message.rank, item.message.id


def _unavailable() -> Refusal:
    return Refusal(
        "unavailable",
        "The gateway cannot store messages now. Nothing is known to be accepted: post again with "
        "the same key.",
        retry_after_s=2,
    )


def _replayed(row: asyncpg.Record, key: Idempotency) -> Outcome:
    if row["fingerprint"] != key.fingerprint:
        fault = Fault(
            "Idempotency-Key", "belongs to another request", "use a new key for a new request"
        )
        return Refusal("key-reused", "The idempotency key was used for another request.", (fault,))
    return Accepted(row["answer"].encode(), is_replay=True)
