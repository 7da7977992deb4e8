"""Messages and replies as people look at them, against PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from gateway.dispatch.timeline import compose
from gateway.dispatch.wording import WHOLE
from gateway.ids import lowest_at, wall_ms
from gateway.model import EventKind, Place, State
from gateway.store import reading
from gateway.store.database import Database
from gateway.store.embedded import ConnectParameters
from gateway.store.numbers import assign_number
from gateway.store.queries import load
from gateway.store.reading import (
    FIRST_REPLY,
    ReplyPlace,
    Search,
    StoredMessage,
    StoredReply,
    read_due,
    read_events,
    read_message,
    read_replies,
    search,
)
from gateway.store.shops import add_shop
from tests.postgres import connected
from tests.store.sample import NUMBER, SAMPLE, SMS, store_of

NOW = wall_ms()
PHONE = "+12125550123"


class Rows:
    """Puts rows into the store as the gateway does."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.count = 0
        self.shops: dict[str, int] = {}

    async def set_up(self) -> None:
        """Two shops, a route and its link."""

        async def work(connection: asyncpg.Connection) -> None:
            for code in ("sample", "other"):
                shop = await add_shop(connection, SAMPLE | {"code": code}, SMS)
                self.shops[code] = shop.id
            await assign_number(connection, NUMBER, "sample", "acme", "smpp", SMS)
            await connection.execute("INSERT INTO link (name, kind) VALUES ('acme', 'smpp')")

        await self.database.run(work)

    async def add(self, table: str, **values: Any) -> None:
        """Insert one row."""
        columns = ", ".join(values)
        places = ", ".join(f"${n}" for n in range(1, len(values) + 1))
        query = f"INSERT INTO {table} ({columns}) VALUES ({places})"  # noqa: S608 - ours
        await self.database.fetch(query, *values.values())

    async def message(self, **values: Any) -> int:
        """Insert a message, by default of the sample shop, in the queue, accepted a minute ago."""
        self.count += 1
        id_ = values.pop("id", lowest_at(NOW - 60_000) + self.count)
        row = {
            "id": id_,
            "shop": self.shops["sample"],
            "route": 1,
            "rank": 1,
            "place": Place.QUEUE,
            "channel": 1,
            "category": 1,
            "encoding": 0,
            "segments": 1,
            "expires_ms": NOW + 3_600_000,
            "sender": NUMBER,
            "target": PHONE,
            "body": "Your gown is ready.",
        }
        await self.add("message", **row | values)
        return int(id_)

    async def status(self, id_: int, segment: int, state: State, **values: Any) -> None:
        """Insert a status row."""
        row = {"id": id_, "segment": segment, "state": state, "tries": 1, "link": 1}
        await self.add("status", **row | values)

    async def event(self, id_: int, kind: EventKind, at_ms: int, **detail: Any) -> None:
        """Insert an event row."""
        self.count += 1
        await self.add(
            "event",
            message=id_,
            id=lowest_at(at_ms) + self.count,
            shop=self.shops["sample"],
            kind=kind,
            at_ms=at_ms,
            detail=json.dumps(detail) if detail else None,
        )

    async def look(self, id_: int, shop: str | None = "sample") -> StoredMessage | None:
        """Read a message back."""
        shop_id = None if shop is None else self.shops[shop]
        return await self.database.run(lambda c: read_message(c, id_, shop_id))

    async def due(self, id_: int) -> int | None:
        """When a message is due."""
        message = await self.look(id_)
        assert message is not None
        return await self.database.run(lambda c: read_due(c, message))

    async def state(self, id_: int) -> str:
        """The state of a message as users see it."""
        message = await self.look(id_)
        assert message is not None
        return message.state(NOW).word

    async def told(self, id_: int) -> list[str]:
        """The sentences of a message's timeline."""
        message = await self.look(id_)
        assert message is not None
        events = await self.database.run(lambda c: read_events(c, id_))
        return [entry.text for entry in compose(message, events)]

    async def reply(self, id_: int, shop: str | None) -> None:
        """Insert a reply."""
        row = {"id": id_, "shop": None if shop is None else self.shops[shop], "link": 1}
        body = "When do you close?"
        await self.add("reply", **row, number=NUMBER, phone=PHONE, body=body, segments=1)

    async def replies(
        self, shop: str | None, after: ReplyPlace = FIRST_REPLY, limit: int = 10
    ) -> list[StoredReply]:
        """Replies behind a place."""
        shop_id = None if shop is None else self.shops[shop]
        return await self.database.read(lambda c: read_replies(c, shop_id, after, limit))


@pytest.fixture
async def rows(database: ConnectParameters) -> AsyncIterator[Rows]:
    """A store with two shops."""
    store = store_of(database)
    rows = Rows(store)
    await rows.set_up()
    yield rows
    await store.close()


async def test_the_state_follows_the_place(rows: Rows) -> None:
    """What waits is queued or held, what is claimed is submitting."""
    queued = await rows.message()
    assert await rows.state(queued) == "queued"
    held = await rows.message(place=Place.HOLD)
    await rows.add("hold", id=held, shop=1, route=1, phone=PHONE, reason="no-link", tries=0)
    assert await rows.state(held) == "held"
    flying = await rows.message(place=Place.FLIGHT)
    await rows.add("flight", id=1, node=1, epoch=1, route=1, link=1, ids=[flying])
    assert await rows.state(flying) == "submitting"


async def test_the_state_is_folded_from_the_segments(rows: Rows) -> None:
    """A message of two segments is delivered when both are, undelivered when one is."""
    id_ = await rows.message(segments=2)
    await rows.status(id_, 0, State.DELIVERED, carrier="1a", sent_ms=NOW, done_ms=NOW)
    assert await rows.state(id_) == "queued"
    await rows.status(id_, 1, State.SUBMITTED, carrier="1b", sent_ms=NOW)
    assert await rows.state(id_) == "submitted"
    await rows.database.fetch(
        "UPDATE status SET state = 6, error = 'UNDELIV 01B' WHERE segment = 1"
    )
    message = await rows.look(id_)
    assert message is not None
    assert message.state(NOW) is State.UNDELIVERED
    assert message.reason(State.UNDELIVERED) == "UNDELIV 01B"
    assert [part.link for part in message.parts] == ["acme", "acme"]


async def test_what_waits_past_its_validity_is_expired(rows: Rows) -> None:
    """A message nobody swept yet already shows as expired."""
    id_ = await rows.message(expires_ms=NOW - 1)
    assert await rows.state(id_) == "expired"


async def test_another_shops_message_is_not_there(rows: Rows) -> None:
    """A shop reads its own messages only; an admin reads all."""
    id_ = await rows.message()
    assert await rows.look(id_, "other") is None
    assert await rows.look(id_, None) is not None
    assert await rows.look(id_ + 1, None) is None


async def test_a_retry_shows_when_it_is_due(rows: Rows) -> None:
    """What waits in `later` has a due time, what waits for its turn has none."""
    first, second = await rows.message(), await rows.message()
    scheduled = await rows.message(place=Place.LATER, due_ms=NOW + 7)
    retried, promoted = [await rows.message(place=Place.LATER, due_ms=NOW - 9) for _ in range(2)]
    for id_, due_ms, rank in ((first, NOW + 5, 1), (scheduled, NOW + 7, 0), (retried, NOW + 9, 1)):
        await rows.add("later", due_ms=due_ms, id=id_, route=1, rank=rank, shop=1, tries=rank)
    found = [await rows.due(id_) for id_ in (first, second, scheduled, retried, promoted)]
    assert found == [NOW + 5, None, NOW + 7, NOW + 9, None]


async def test_looking_at_a_message_never_reads_what_waits_for_later(rows: Rows) -> None:
    """However much that is: only an index by id or by due time and id is used."""
    query = (
        "INSERT INTO later SELECT $1::int8 + n, n, 1, n % 2, 1, 0 FROM generate_series(1, 20000) n"
    )
    await rows.database.fetch(query, NOW)
    await rows.database.fetch("ANALYZE later")
    explain = f"EXPLAIN (FORMAT JSON) EXECUTE due (7, {NOW})"

    async def plan(connection: asyncpg.Connection) -> str:
        await connection.execute("SET plan_cache_mode = force_generic_plan")
        await connection.execute("PREPARE due (int8, int8) AS " + load("reading")["due"])
        return str(await connection.fetchval(explain))

    told = await rows.database.run(plan)
    assert "later_retry" in told and "Seq Scan" not in told
    conditions = {line.strip() for line in told.splitlines() if "Index Cond" in line}
    assert conditions == {
        '"Index Cond": "(id = $1)"',
        '"Index Cond": "((due_ms = $2) AND (id = $1))"',
    }


async def test_the_timeline_tells_why_a_message_did_not_arrive(rows: Rows) -> None:
    """Message, segments and events make one story in order of time, in the carrier's words."""
    id_ = await rows.message(segments=2, source="automation")
    await rows.event(id_, EventKind.THROTTLED, NOW - 50_000, error="ESME_RTHROTTLED", retry_s=3.0)
    await rows.event(id_, EventKind.RESENT, NOW - 45_000, cause="cut")
    sent = {"sent_ms": NOW - 40_000, "link": 1}
    await rows.status(id_, 0, State.DELIVERED, carrier="1A", done_ms=NOW - 30_000, **sent)
    await rows.status(
        id_, 1, State.UNDELIVERED, carrier="1B", done_ms=NOW - 20_000, error="UNDELIV 27", **sent
    )
    await rows.event(id_, EventKind.UNDELIVERED, NOW - 20_000, word="UNDELIV")
    await rows.event(id_, EventKind.RECEIPT, NOW - 10_000, word="DELIVRD", is_ignored=True)
    assert await rows.told(id_) == [
        "accepted: a transactional text in 2 segments, from automation",
        "queued for acme",
        "throttled by acme: ESME_RTHROTTLED, tried again in 3 s",
        "sent again: the connection was cut before the answer came",
        "segment 1 of 2: accepted by acme as 1A",
        "segment 2 of 2: accepted by acme as 1B",
        "segment 1 of 2: delivered",
        "segment 2 of 2: undelivered: UNDELIV 27",
        "undelivered: UNDELIV 27",
        "a later receipt says DELIVRD: the first final one holds",
    ]


async def test_the_timeline_of_one_segment_says_nothing_twice(rows: Rows) -> None:
    """A single text is accepted, queued, accepted by the carrier and delivered: four lines."""
    id_ = await rows.message()
    await rows.status(id_, 0, State.DELIVERED, carrier="1A", sent_ms=NOW - 9, done_ms=NOW - 5)
    await rows.event(id_, EventKind.DELIVERED, NOW - 5)
    assert await rows.told(id_) == [
        "accepted: a transactional text in 1 segment",
        "queued for acme",
        "accepted by acme as 1A",
        "delivered",
    ]


async def test_a_text_sent_whole_tells_what_the_carrier_bills(rows: Rows) -> None:
    """One submit_sm carries it, and it costs three segments."""
    id_ = await rows.message(encoding=WHOLE, body="Your gown is ready. " * 20)
    assert (await rows.told(id_))[0] == "accepted: a transactional text in 3 segments"


async def test_holds_and_suppressions_are_told_in_words(rows: Rows) -> None:
    """Each reason of the gate stands as a sentence."""
    id_ = await rows.message(place=Place.HOLD)
    await rows.event(id_, EventKind.HELD, NOW - 9, reason="no-link")
    await rows.event(id_, EventKind.RELEASED, NOW - 8)
    await rows.event(id_, EventKind.SUPPRESSED, NOW - 7, reason="no-sms")
    assert (await rows.told(id_))[1:] == [
        "held: no configured link serves its route",
        "released: it waits for its turn",
        "suppressed: the contact's SMS Alerts field says No SMS",
    ]


async def test_every_kind_of_event_has_a_sentence(rows: Rows) -> None:
    """No event row, of whatever kind, breaks a timeline."""
    id_ = await rows.message()
    for n, kind in enumerate(EventKind):
        await rows.event(id_, kind, NOW + n)
    assert len(await rows.told(id_)) == 2 + len(EventKind)


async def test_messages_are_found_by_phone_reference_and_time(rows: Rows) -> None:
    """Each way of looking finds the same messages, the newest first, in pages."""
    first = await rows.message(reference="todo-1")
    second = await rows.message()
    elsewhere = await rows.message(target="+12125550199")
    await rows.message(shop=rows.shops["other"], reference="todo-1")

    async def find(**wanted: Any) -> list[int]:
        values = {
            "shop": rows.shops["sample"],
            "phone": None,
            "reference": None,
            "low": 0,
            "high": 1 << 62,
            "limit": 10,
        } | wanted
        found = await rows.database.run(lambda c: search(c, Search(**values)))
        return [message.id for message in found.messages]

    assert await find() == [elsewhere, second, first]
    assert await find(limit=2) == [elsewhere, second]
    assert await find(high=second) == [first]
    assert await find(low=second) == [elsewhere, second]
    assert await find(phone=PHONE) == [second, first]
    assert await find(phone=PHONE, reference="todo-1") == [first]
    assert await find(reference="todo-1") == [first]
    assert len(await find(shop=None)) == 4


async def test_a_search_by_state_goes_on_over_what_is_in_another(
    rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many lie between; a page looks at no more than so many, and says where it stopped."""
    monkeypatch.setattr(reading, "_PORTION", 2)
    monkeypatch.setattr(reading, "LOOKED_AT_MAX", 4)
    ids = [await rows.message() for _ in range(9)]
    for n in (0, 7):
        await rows.status(ids[n], 0, State.FAILED, error="ESME_RINVDSTADR", done_ms=NOW)

    async def page(
        state: State, high: int = 1 << 62, limit: int = 10
    ) -> tuple[list[int], int | None]:
        wanted = Search(rows.shops["sample"], None, None, 0, high, limit, state, NOW)
        found = await rows.database.run(lambda c: search(c, wanted))
        return [message.id for message in found.messages], found.next

    assert await page(State.FAILED, limit=1) == ([ids[7]], ids[7])
    assert await page(State.FAILED) == ([ids[7]], ids[5])
    assert await page(State.FAILED, ids[5]) == ([], ids[1])
    assert await page(State.FAILED, ids[1]) == ([ids[0]], None)
    assert await page(State.QUEUED, ids[2]) == ([ids[1]], None)


async def test_replies_come_in_order_with_their_forwards(rows: Rows) -> None:
    """A reply shows how its mail to the shop fares; others' and unrouted ones are the admin's."""
    ids = [lowest_at(NOW - 10_000) + n for n in range(4)]
    for id_, shop in zip(ids, ("sample", "other", None, "sample"), strict=True):
        await rows.reply(id_, shop)
    forward = await rows.message(parent=ids[0], category=3, channel=2, target="owner@example.com")
    await rows.status(forward, 0, State.FAILED, error="550 no such user", done_ms=NOW)
    found = await rows.replies("sample")
    assert [reply.id for reply in found] == [ids[0], ids[3]]
    assert found[0].forward is not None
    assert found[0].forward.is_forward
    assert found[0].forward.state(NOW) is State.FAILED
    assert found[1].forward is None
    assert [r.id for r in await rows.replies("sample", found[0].place)] == [ids[3]]
    assert [r.shop_code for r in await rows.replies(None)] == ["sample", "other", None, "sample"]
    assert len(await rows.replies(None, limit=3)) == 3


async def test_a_reply_shows_at_once(rows: Rows) -> None:
    """Where nothing else is being stored."""
    await rows.reply(lowest_at(wall_ms()), "sample")
    assert len(await rows.replies("sample")) == 1


@pytest.mark.parametrize("shop", ["sample", None])
async def test_a_reader_never_passes_a_reply_that_is_still_being_stored(
    rows: Rows, database: ConnectParameters, shop: str | None
) -> None:
    """However long that takes, and whatever its id is: it comes behind what was read before."""
    low, middle, high = (lowest_at(NOW) + n for n in range(3))
    insert = (
        "INSERT INTO reply (id, shop, link, number, phone, body, segments)"
        " VALUES ($1, $2, 1, '+12125550101', '+12125550123', 'late', 1)"
    )
    async with connected(database) as slow:
        async with slow.transaction():
            await slow.execute(insert, middle, rows.shops["sample"])
            await rows.reply(high, "sample")
            assert await rows.replies(shop) == []
        first, second = await rows.replies(shop)
    assert (first.id, second.id) == (middle, high)
    await rows.reply(low, "sample")
    assert [reply.id for reply in await rows.replies(shop, second.place)] == [low]
