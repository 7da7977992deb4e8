"""Group commit: what callers post waits a moment for its turn, is stored together, and is answered when it is durable.

One writer task. What gathers while a commit is under way is the next commit: no delay is added, and under load one fsync serves many posts.
Where a route's queue is empty and its link has room, the messages are committed as a flight and handed to the link
from memory; the rest goes through the queue.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import asyncpg
import msgspec

from gateway.dispatch.acceptance import Draft, answer, settle_draft
from gateway.dispatch.flights import Flight, Flights, Outgoing
from gateway.dispatch.routes import Route, Routes
from gateway.errors import Fault, Fenced, Refusal, StoreDown
from gateway.ids import IdSource, wall_ms
from gateway.model import Place
from gateway.store.database import HotConnection
from gateway.store.queries import load

log = logging.getLogger(__name__)

SQL = load("dispatch")

GROUP_MAX = 500
"""Messages in one commit: enough to share the sync, few enough not to hold the event loop."""

_UNAVAILABLE = "The gateway cannot store messages now. Nothing is known to be accepted: post again with the same key."
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Idempotency:
    """A caller's key, and the SHA-256 of the request that it belongs to."""

    key: str
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class Accepted:
    """A message is durable. `answer` is the body of the 202; `is_replay`: an earlier request with this key was answered so."""

    answer: bytes
    is_replay: bool = False


Outcome = Accepted | Refusal


@dataclass(slots=True)
class _Post:
    """What one call of `accept` waits for."""

    outcomes: list[Outcome | None]
    left: int
    done: asyncio.Future[None]

    def settle(self, index: int, outcome: Outcome) -> None:
        if self.outcomes[index] is not None:
            return
        self.outcomes[index] = outcome
        self.left -= 1
        if not self.left and not self.done.done():
            self.done.set_result(None)


@dataclass(slots=True)
class _Item:
    draft: Draft
    key: Idempotency | None
    post: _Post
    index: int
    answer: bytes = b""

    def settle(self, outcome: Outcome) -> None:
        self.post.settle(self.index, outcome)


@dataclass(slots=True)
class _Plan:
    """Where the messages of a group go."""

    direct: dict[int, tuple[Route, int, list[_Item]]] = field(default_factory=dict)
    queued: list[tuple[Route, int]] = field(default_factory=list)


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
    ) -> None:
        """`on_accepted` gets shop and count of what was stored, `on_queued` route and rank of what other nodes may claim,
        `on_unknown` is called when a commit's outcome is not known, so that orphaned flights are looked for."""
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
        self._waiting: deque[_Item] = deque()
        self._wake = asyncio.Event()

    def require_room(self, messages: int) -> None:
        """Raise Refusal `unavailable` when too much waits already."""
        if len(self._waiting) + messages > self._waiting_max:
            raise Refusal("unavailable", "Too many requests wait to be stored.", retry_after_s=1)

    async def accept(
        self, drafts: Sequence[Draft], keys: Sequence[Idempotency | None] = ()
    ) -> list[Outcome]:
        """Store the drafts, each by itself accepted or refused. What is Accepted is durable when this returns.

        The order of the answers is that of the drafts. Raises Refusal `unavailable` when too much waits already.
        """
        self.require_room(len(drafts))
        done = asyncio.get_running_loop().create_future()
        post = _Post([None] * len(drafts), len(drafts), done)
        if not drafts:
            return []
        for index, draft in enumerate(drafts):
            self._waiting.append(_Item(draft, keys[index] if keys else None, post, index))
        self._wake.set()
        await done
        return [outcome for outcome in post.outcomes if outcome is not None]

    async def replay(self, shop: int, key: Idempotency) -> Outcome | None:
        """The first answer given under this key, a Refusal if it was to another request, or None if the key is new."""
        try:
            rows = await self._connection.fetch(SQL["find_keys"], [shop], [key.key])
        except StoreDown:
            return Refusal("unavailable", _UNAVAILABLE, retry_after_s=1)
        return _replayed(rows[0], key) if rows else None

    async def run(self) -> None:
        """Commit groups, for ever."""
        while True:
            await self._wake.wait()
            if not self._waiting:
                self._wake.clear()
                continue
            count = min(len(self._waiting), GROUP_MAX)
            await self._handle([self._waiting.popleft() for _ in range(count)])

    async def _handle(self, group: list[_Item]) -> None:
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

    def _refuse_all(self, group: list[_Item]) -> None:
        """Answer a group, and what waits behind it, that nothing can be stored now."""
        refusal = Refusal("unavailable", _UNAVAILABLE, retry_after_s=2)
        for item in (*group, *self._waiting):
            item.settle(refusal)
        self._waiting.clear()

    # Before the commit ---------------------------------------------------------------------------------------------

    async def _without_replays(self, group: list[_Item]) -> list[_Item]:
        """Answer what was posted before; put off what has the key of another item of this group."""
        keyed = [item for item in group if item.key is not None]
        if not keyed:
            return group
        rows = await self._connection.fetch(
            SQL["find_keys"],
            [item.draft.shop.id for item in keyed],
            [item.key.key for item in keyed if item.key],
        )
        known = {(row["shop"], row["key"]): row for row in rows}
        fresh: list[_Item] = []
        seen: set[tuple[int, str]] = set()
        for item in group:
            if item.key is None:
                fresh.append(item)
                continue
            name = (item.draft.shop.id, item.key.key)
            if name in known:
                item.settle(_replayed(known[name], item.key))
            elif name in seen:
                self._waiting.appendleft(item)
            else:
                seen.add(name)
                fresh.append(item)
        return fresh

    async def _contacts(self, group: list[_Item]) -> dict[tuple[int, str], asyncpg.Record]:
        """What the store knows of the phones that the requests did not describe."""
        unknown = [item.draft.message for item in group if item.draft.needs_contact]
        if not unknown:
            return {}
        rows = await self._connection.fetch(
            SQL["find_contacts"], [m.shop for m in unknown], [m.target for m in unknown]
        )
        return {(row["shop"], row["phone"]): row for row in rows}

    def _judge(
        self, group: list[_Item], contacts: dict[tuple[int, str], asyncpg.Record]
    ) -> list[_Item]:
        """Let the gate judge each draft; refusals are answered here."""
        accepted = []
        now_ms = wall_ms()
        for item in group:
            message = item.draft.message
            known = contacts.get((message.shop, message.target)) if contacts else None
            try:
                settle_draft(
                    item.draft,
                    known["sms_alerts"] if known else None,
                    known["number"] if known else None,
                    has_link=self._routes.get(message.route).has_link,
                    now_ms=now_ms,
                )
            except Refusal as refusal:
                item.settle(refusal)
                continue
            item.answer = _encode(answer(item.draft))
            accepted.append(item)
        return accepted

    # The commit ----------------------------------------------------------------------------------------------------

    async def _store(self, group: list[_Item]) -> None:
        """Commit a group. If a row of it cannot be stored, halve it until that row stands alone, and refuse that row alone."""
        if not group:
            return
        plan = self._plan(group)
        try:
            await self._commit(group, plan)
        except asyncpg.PostgresError as error:
            self._release(plan)
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

    def _plan(self, group: list[_Item]) -> _Plan:
        """Rank what is to be sent, and choose what skips the queue: as much as the links have room for, in order of rank."""
        plan = _Plan()
        ready: dict[int, list[_Item]] = {}
        for item in group:
            message = item.draft.message
            if message.place in (Place.QUEUE, Place.FLIGHT):
                route = self._routes.get(message.route)
                message.place = Place.QUEUE
                if not message.rank:
                    message.rank = route.ranker.rank(message.lane, message.shop)
                ready.setdefault(message.route, []).append(item)
        for id_, items in ready.items():
            route = self._routes.get(id_)
            room = route.direct_room()
            items.sort(key=_by_rank)
            direct = items[:room]
            if direct:
                flight = self._ids.next()
                self._flights.begin(flight)
                route.reserved += len(direct)
                plan.direct[id_] = (route, flight, direct)
                for item in direct:
                    item.draft.message.place = Place.FLIGHT
            plan.queued += [(route, item.draft.message.rank) for item in items[room:]]
        return plan

    def _release(self, plan: _Plan) -> None:
        for route, flight, items in plan.direct.values():
            route.reserved -= len(items)
            self._flights.forget(flight)

    async def _commit(self, group: list[_Item], plan: _Plan) -> None:
        messages = [item.draft.message for item in group]
        keyed = [item for item in group if item.key is not None]
        flights = list(plan.direct.values())
        await self._connection.fetch(
            SQL["accept"],
            [m.id for m in messages],
            [m.shop for m in messages],
            [m.route for m in messages],
            [m.rank for m in messages],
            [m.place for m in messages],
            [m.channel for m in messages],
            [m.category for m in messages],
            [m.encoding for m in messages],
            [m.segments for m in messages],
            [m.due_ms for m in messages],
            [m.expires_ms for m in messages],
            [m.parent for m in messages],
            [m.sender for m in messages],
            [m.target for m in messages],
            [m.body for m in messages],
            [m.reference for m in messages],
            [m.source for m in messages],
            [m.reason for m in messages],
            wall_ms(),
            self._node,
            self._epoch,
            [flight for _, flight, _ in flights],
            [route.id for route, _, _ in flights],
            [route.link.id if route.link else 0 for route, _, _ in flights],
            *_contact_columns(group),
            [item.draft.shop.id for item in keyed],
            [item.key.key for item in keyed if item.key],
            [item.key.fingerprint for item in keyed if item.key],
            [item.answer.decode() for item in keyed],
        )

    async def _refuse(self, item: _Item, error: asyncpg.PostgresError) -> None:
        """A row that cannot be stored: its key was used meanwhile, or PostgreSQL cannot hold what it says."""
        if isinstance(error, asyncpg.UniqueViolationError) and item.key is not None:
            replayed = await self.replay(item.draft.shop.id, item.key)
            if replayed is not None:
                item.settle(replayed)
                return
        log.error("a message could not be stored: %s", error.sqlstate)
        item.settle(
            Refusal(
                "invalid-request",
                "The message cannot be stored.",
                (Fault("text", "holds something that the database refuses", "send plain characters"),),
            )
        )

    # After the commit ----------------------------------------------------------------------------------------------

    def _hand_over(self, group: list[_Item], plan: _Plan) -> None:
        for route, flight, items in plan.direct.values():
            route.reserved -= len(items)
            outgoing = _outgoing([item.draft for item in items], flight)
            for message in outgoing:
                self._routes.claimed(route, message.rank)
            assert route.link is not None  # noqa: S101 - direct_room() is 0 without one
            route.link.take(outgoing)
        for route, rank in plan.queued:
            route.cursors.inserted(rank)
            self._on_queued(route.id, rank)
            route.wake()
        for item in group:
            item.settle(Accepted(item.answer))
        counts: dict[int, int] = {}
        for item in group:
            counts[item.draft.shop.id] = counts.get(item.draft.shop.id, 0) + 1
        for shop, count in counts.items():
            self._on_accepted(shop, count)


def _by_rank(item: _Item) -> tuple[int, int]:
    return item.draft.message.rank, item.draft.message.id


def _replayed(row: asyncpg.Record, key: Idempotency) -> Outcome:
    if row["fingerprint"] != key.fingerprint:
        return Refusal(
            "key-reused",
            "The idempotency key was used for another request.",
            (Fault("Idempotency-Key", "belongs to another request", "use a new key for a new request"),),
        )
    return Accepted(row["answer"].encode(), is_replay=True)


def _contact_columns(group: list[_Item]) -> list[list[object]]:
    """The contacts of a group, one row a phone (the last word counts), in one order on every node against deadlocks."""
    rows: dict[tuple[int, str], tuple[object, ...]] = {}
    for item in group:
        contact = item.draft.contact
        if contact is not None:
            shop, phone = item.draft.message.shop, item.draft.message.target
            rows[shop, phone] = (
                shop,
                phone,
                contact.kind,
                contact.id,
                contact.name,
                contact.time_zone,
                item.draft.alerts,
            )
    if not rows:
        return [[] for _ in range(7)]
    return [list(column) for column in zip(*(rows[k] for k in sorted(rows)), strict=True)]


def _outgoing(drafts: list[Draft], flight_id: int) -> list[Outgoing]:
    flight = Flight(flight_id, len(drafts))
    return [
        Outgoing(
            id=m.id,
            shop=m.shop,
            route=m.route,
            channel=m.channel,
            category=m.category,
            rank=m.rank,
            tries=1,
            sender=m.sender,
            target=m.target,
            body=m.body,
            encoding=m.encoding,
            segments=m.segments,
            expires_ms=m.expires_ms,
            parent=m.parent,
            flight=flight,
        )
        for m in (draft.message for draft in drafts)
    ]
