"""A node without a carrier: the parts of dispatch on a real store, and a link that tests play."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from typing import Any

from config.settings import LimitSettings, SmsSettings
from gateway.dispatch.acceptance import Acceptance, Draft
from gateway.dispatch.feeder import Feeder
from gateway.dispatch.flights import Flights, Outgoing
from gateway.dispatch.intake import Accepted, Idempotency, Intake, Outcome
from gateway.dispatch.receipts import Receipts
from gateway.dispatch.recovery import Recovery
from gateway.dispatch.request import Contact, SendRequest
from gateway.dispatch.routes import Routes, Serving
from gateway.dispatch.settle import Settler
from gateway.dispatch.upkeep import Upkeep
from gateway.ids import IdSource, read, wall_ms
from gateway.model import Cause, EventKind, State
from gateway.store.database import Database, HotConnection
from gateway.store.directory import Number, Shop
from gateway.store.embedded import ConnectParameters
from tests.accounts import check_accounts
from tests.store.sample import store_of

ROUTE = 1
LINK = 1
DEADLINE_S = 20.0


def a_shop(id_: int = 1, **changes: Any) -> Shop:
    """A sample shop with one number on route 1."""
    number = f"+1212555010{id_ % 10}"
    fields: dict[str, Any] = {
        "id": id_,
        "code": f"sample-{id_}",
        "name": "Sample Bridal",
        "main_phone": "+12125550100",
        "contact_email": "owner@example.com",
        "time_zone": "America/New_York",
        "support_until": None,
        "method": None,
        "is_held": False,
        "numbers": (Number(number, id_, ROUTE, "acme"),),
    }
    return Shop(**(fields | changes))


def ended(shop: Shop) -> Shop:
    """The shop after its support agreement."""
    return a_shop(shop.id, support_until=date(2025, 1, 1))


class MemoryDirectory:
    """The shops that a test has."""

    def __init__(self, *shops: Shop) -> None:
        self.shops = {shop.id: shop for shop in shops}

    def shop_by_id(self, id_: int) -> Shop | None:
        """The shop, as the directory would know it."""
        return self.shops.get(id_)


class PlayedLink:
    """A link whose test answers for the carrier. It hands everything to the socket at once."""

    def __init__(self, settler: Settler, id_: int = LINK, room: int = 0) -> None:
        self.id = id_
        self.name = "acme"
        self.most = room
        self.is_up = True
        self.is_stopped = False
        self.taken: list[Outgoing] = []
        self.sent: list[tuple[int, int]] = []
        """Message and segment of all that was ever handed to the socket."""
        self.unanswered: list[tuple[Outgoing, int]] = []
        self._settler = settler
        self._changed = asyncio.Event()
        self.feeder: Feeder | None = None

    def room(self) -> int:
        """What the test allows."""
        return max(0, self.most - len(self.unanswered))

    def is_usable(self) -> bool:
        """What the test says."""
        return self.is_up

    def take(self, messages: list[Outgoing]) -> None:
        """Hand every segment without an answer to the socket."""
        for message in messages:
            self.taken.append(message)
            message.waiting = [n for n in range(message.segments) if n not in message.answered]
            while message.waiting:
                segment = message.waiting.pop(0)
                message.outstanding += 1
                self.sent.append((message.id, segment))
                self.unanswered.append((message, segment))
        self._changed.set()

    def allow(self, room: int) -> None:
        """Open the window, and ask for more."""
        self.most = room
        if self.feeder is not None:
            self.feeder.wake()

    async def has_taken(self, count: int) -> list[Outgoing]:
        """Wait until so many messages were taken in all."""
        async with asyncio.timeout(DEADLINE_S):
            while len(self.taken) < count:
                self._changed.clear()
                await self._changed.wait()
        return self.taken

    def _next(self, message: Outgoing | None, segment: int | None) -> tuple[Outgoing, int]:
        for n, (one, number) in enumerate(self.unanswered):
            if message in (None, one) and segment in (None, number):
                return self.unanswered.pop(n)
        raise AssertionError("nothing waits for this answer")

    def accept(
        self,
        carrier: str | None = None,
        message: Outgoing | None = None,
        segment: int | None = None,
    ) -> Outgoing:
        """The carrier takes a segment, the oldest unless told otherwise."""
        one, number = self._next(message, segment)
        self._settler.sent(one, number, self.id, carrier)
        return one

    def refuse(self, error: str = "ESME_RINVDSTADR: the destination is wrong") -> None:
        """The carrier refuses the oldest segment for good."""
        one, number = self._next(None, None)
        self._settler.refused(one, number, self.id, error)

    def put_off(
        self, kind: EventKind, delay_s: float = 0.0, *, is_its_own: bool = False
    ) -> None:
        """The carrier refuses the oldest segment for now, for reasons of its own or not."""
        one, number = self._next(None, None)
        avoid = self.id if is_its_own else None
        self._settler.again(
            one, number, kind, "ESME_RTHROTTLED: too much", delay_s, avoid=avoid
        )

    def cut(self, cause: Cause = Cause.CUT) -> None:
        """The bind is gone: nothing is answered any more."""
        lost, self.unanswered = self.unanswered, []
        for message, segment in lost:
            self._settler.lost(message, segment, self.id, cause)


class Stage:
    """One node's dispatch. Tasks run for the length of `stage()`."""

    def __init__(
        self, parameters: ConnectParameters, node: int, epoch: int, shops: tuple[Shop, ...]
    ) -> None:
        self.database: Database = store_of(parameters)
        self.node, self.epoch = node, epoch
        self.shops = shops
        self.may_write = self.may_judge = True
        self.unknown = 0
        self.seen = 0
        self.accepted: list[tuple[int, int]] = []
        self.claimed: list[tuple[int, int]] = []
        self.ids = IdSource(node)
        self.now = 0.0
        """The clock of the routes."""
        self.routes = Routes(clock=lambda: self.now)
        self.flights = Flights()
        self.directory = MemoryDirectory(*shops)
        common = {"may_write": lambda: self.may_write}
        self.intake_connection = HotConnection(self.database, "intake")
        self.settler_connection = HotConnection(self.database, "settler")
        self.receipts_connection = HotConnection(self.database, "receipts")
        self.receipts = Receipts(
            self.receipts_connection, self.ids, early_per_link=5, **common
        )
        self.settler = Settler(
            self.settler_connection,
            self.ids,
            self.flights,
            self.routes,
            on_carrier_ids=self.receipts.carrier_ids,
            **common,
        )
        self.link = PlayedLink(self.settler)
        self.intake = Intake(
            self.intake_connection,
            self.ids,
            self.routes,
            self.flights,
            node=node,
            epoch=epoch,
            waiting_max=10_000,
            on_accepted=lambda shop, count: self.accepted.append((shop, count)),
            on_unknown=self._on_unknown,
            deadline_s=0.5,
            **common,
        )
        self.claims_connection = HotConnection(self.database, "claims")
        self.recovery = Recovery(
            HotConnection(self.database, "recovery"),
            self.ids,
            self.routes,
            self.flights,
            node=node,
            epoch=epoch,
            may_judge=lambda: self.may_judge,
        )
        self.upkeep = Upkeep(
            HotConnection(self.database, "upkeep"),
            self.ids,
            self.routes,
            self.recovery,
            node=node,
            receipt_s=259_200.0,
            **common,
        )
        self.upkeep.shop_by_id = self.directory.shop_by_id
        self.acceptance = Acceptance(SmsSettings(), LimitSettings(), self.ids, {})
        self._tasks: list[asyncio.Task[None]] = []
        self.feeder: Feeder | None = None

    def _on_unknown(self) -> None:
        self.unknown += 1
        self.upkeep.look_for_orphans()

    def attach_link(self) -> None:
        """Let the link serve route 1."""
        self.feeder = self._feed(self.link, Serving(self.routes.get(ROUTE, "acme")))

    def add_link(self, id_: int, *, weight: int = 1, standby: int = 0, room: int = 0) -> PlayedLink:
        """Another link that serves route 1."""
        link = PlayedLink(self.settler, id_, room)
        self._feed(link, Serving(self.routes.get(ROUTE), weight, standby)).wake()
        return link

    def _feed(self, link: PlayedLink, serving: Serving) -> Feeder:
        feeder = Feeder(
            link,
            [serving],
            connection=self.claims_connection,
            directory=self.directory,  # type: ignore[arg-type]
            ids=self.ids,
            routes=self.routes,
            flights=self.flights,
            settler=self.settler,
            node=self.node,
            epoch=self.epoch,
            may_write=lambda: self.may_write,
            on_unknown=self._on_unknown,
            on_claimed=lambda shop, count: self.claimed.append((shop, count)),
        )
        link.feeder = feeder
        self.start(feeder.run)
        return feeder

    def start(self, run: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        """Run a part until the end of the stage."""
        task = asyncio.ensure_future(run())
        self._tasks.append(task)
        return task

    async def close(self) -> None:
        """End every task; none of them may have failed."""
        failed = [t.exception() for t in self._tasks if t.done() and not t.cancelled()]
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.database.close()
        assert not failed, failed

    # What tests do -------------------------------------------------------------------------------

    def draft(self, *, shop: Shop | None = None, **fields: Any) -> Draft:
        """A draft of a send request to a sample phone."""
        owner = shop or self.shops[0]
        values: dict[str, Any] = {"text": "Your gown is ready.", "to": "+12125550123"}
        if "contact" in fields:
            values.pop("to")
            fields["contact"] = Contact(**({"primary_phone": "+12125550123"} | fields["contact"]))
        return self.acceptance.draft(owner, SendRequest(**(values | fields)), wall_ms())

    async def post(
        self, *drafts: Draft, keys: tuple[Idempotency | None, ...] = ()
    ) -> list[Outcome]:
        """Post drafts, in one call."""
        async with asyncio.timeout(DEADLINE_S):
            return await self.intake.accept(drafts, keys)

    async def accept(self, **fields: Any) -> int:
        """Post one message that is accepted; returns its id."""
        draft = self.draft(**fields)
        (outcome,) = await self.post(draft)
        assert isinstance(outcome, Accepted), outcome
        return draft.message.id

    async def settled(self) -> None:
        """Wait until everything that the link reported is committed."""
        async with asyncio.timeout(DEADLINE_S):
            await self.settler.drained()

    async def until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        """Wait until the store shows something."""
        async with asyncio.timeout(DEADLINE_S):
            while not await condition():  # noqa: ASYNC110 - nobody announces it
                await asyncio.sleep(0.002)

    async def queue_is_known_empty(self) -> None:
        """Wait until the feeder has found nothing to claim, so that messages skip the queue."""
        route = self.routes.get(ROUTE)

        async def is_known() -> bool:
            route.wake()
            return not any(m.cursors.may_have or m.way.reserved for m in route.members)

        await self.until(is_known)

    async def queue_is_known_empty_for(self, link: PlayedLink) -> None:
        """Wait until one link has found nothing to claim."""
        (member,) = (m for m in self.routes.get(ROUTE).members if m.way.link is link)

        async def is_known() -> bool:
            assert link.feeder is not None
            link.feeder.wake()
            return not member.cursors.may_have and not member.way.reserved

        await self.until(is_known)

    async def turn(self) -> None:
        """Let upkeep do all of its jobs once, to the end."""
        now = asyncio.get_running_loop().time()
        self.upkeep._done_at.clear()
        while await self.upkeep.turn(now):
            pass

    # What tests see ------------------------------------------------------------------------------

    async def rows(self, query: str, *args: object) -> list[tuple[Any, ...]]:
        """Rows of the store, as tuples."""
        return [tuple(row) for row in await self.database.fetch(query, *args)]

    async def place(self, id_: int) -> str | None:
        """The table that holds an unsettled message."""
        for table in ("queue", "later", "hold"):
            if await self.rows(f"SELECT 1 FROM {table} WHERE id = $1", id_):  # noqa: S608
                return table
        if await self.rows("SELECT 1 FROM flight WHERE $1 = ANY (ids)", id_):
            return "flight"
        return None

    async def states(self, id_: int) -> dict[int, State]:
        """The states of a message's segments."""
        rows = await self.rows("SELECT segment, state FROM status WHERE id = $1", id_)
        return {segment: State(state) for segment, state in rows}

    async def events(self, id_: int) -> list[EventKind]:
        """What the event rows of a message tell, in order."""
        rows = await self.rows("SELECT kind FROM event WHERE message = $1 ORDER BY id", id_)
        return [EventKind(kind) for (kind,) in rows]

    async def check(self) -> None:
        """The accounts."""
        connection = await self.database.connect()
        try:
            await check_accounts(connection)
        finally:
            await connection.close()


@asynccontextmanager
async def stage(
    parameters: ConnectParameters,
    *,
    node: int = 1,
    epoch: int = 1,
    shops: tuple[Shop, ...] = (),
    has_link: bool = True,
    room: int = 0,
) -> AsyncIterator[Stage]:
    """A node that runs; the accounts are checked at the end."""
    one = Stage(parameters, node, epoch, shops or (a_shop(1), a_shop(2)))
    await one.database.fetch(
        "INSERT INTO node VALUES ($1, $2, $3, now() + interval '1 hour')"
        " ON CONFLICT (id) DO UPDATE SET epoch = excluded.epoch, until = excluded.until",
        node,
        f"node-{node}",
        epoch,
    )
    for name in ("acme", "other"):
        for table in ("link", "route"):
            await one.database.fetch(
                f"INSERT INTO {table} (name, kind) VALUES ($1, 'smpp') ON CONFLICT DO NOTHING",  # noqa: S608
                name,
            )
    await one.database.fetch(
        "INSERT INTO route_link VALUES (1, 1, 1, 0), (2, 2, 1, 0) ON CONFLICT DO NOTHING"
    )
    one.routes.get(ROUTE, "acme")
    if has_link:
        one.link.most = room
        one.attach_link()
        assert one.feeder is not None
        one.feeder.wake()
    for run in (one.intake.run, one.settler.run):
        one.start(run)
    try:
        yield one
        await one.check()
    finally:
        await one.close()


def message_id(outcome: Outcome) -> int:
    """The id in an answer."""
    assert isinstance(outcome, Accepted), outcome
    text = outcome.answer.decode().split('"id":"')[1].split('"')[0]
    id_ = read("msg", text)
    assert id_ is not None
    return id_


def at(ms: int) -> datetime:
    """Milliseconds since the epoch as a request has them."""
    return datetime.fromtimestamp(ms / 1000, UTC)
