"""Texts from phones: each becomes one reply, stored before it is acknowledged."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.dispatch.ranking import lane_of
from gateway.errors import StoreDown
from gateway.model import Category, Channel, Lane
from gateway.store import numbers, shops
from gateway.store.database import Database
from gateway.store.embedded import ConnectParameters
from protocols.smpp.status import ESME_RX_R_APPN
from tests.inbound.parts import (
    LINK,
    NUMBER,
    PHONE,
    SETTINGS,
    Carrier,
    Node,
    bodies,
    prepare,
    replies,
    running,
    text,
)
from tests.store.sample import SAMPLE, SMS, opened


async def test_a_text_becomes_a_reply_of_the_shop_that_has_the_number(
    store: Database, node: Node
) -> None:
    """Phone and number are stored in E.164 form, whatever form the carrier writes."""
    carrier = Carrier(node.texts)
    carrier.deliver(
        text("Is Saturday free?", 1),
        text("Or Sunday?", 2, source="2125550123", source_ton=0, dest="2125550101", dest_ton=2),
    )
    assert await carrier.answered(2) == [(1, 0), (2, 0)]
    shop = node.directory.shop("sample")
    assert shop is not None
    assert [
        (row["shop"], row["link"], row["phone"], row["number"], row["body"], row["segments"])
        for row in await replies(store)
    ] == [
        (shop.id, LINK, PHONE, NUMBER, "Is Saturday free?", 1),
        (shop.id, LINK, PHONE, NUMBER, "Or Sunday?", 1),
    ]


async def test_each_reply_has_a_forward_in_the_queue_of_mails(store: Database, node: Node) -> None:
    """The forward is a message of its own, made in the same transaction; whoever sends is told."""
    carrier = Carrier(node.texts)
    carrier.deliver(text("Hello"))
    await carrier.answered(1)
    [reply] = await replies(store)
    [message] = await store.fetch("SELECT * FROM message")
    assert message["parent"] == reply["id"]
    assert (message["channel"], message["category"]) == (Channel.EMAIL, Category.SERVICE)
    assert (message["target"], message["sender"]) == ("owner@example.com", "gateway@example.com")
    assert (message["body"], message["segments"], message["encoding"]) == ("Hello", 1, 0)
    [queued] = await store.fetch("SELECT * FROM queue")
    assert (queued["id"], queued["route"]) == (message["id"], message["route"])
    assert lane_of(queued["rank"]) is Lane.SERVICE
    assert node.queued == [(queued["route"], queued["rank"])]


async def test_without_a_mail_host_the_reply_stays_readable(store: Database) -> None:
    """No forward is made, and the text is acknowledged all the same."""
    route = await prepare(store)
    node = Node(store, 1, type(SETTINGS)(), route)
    async with running(node) as texts:
        carrier = Carrier(texts)
        carrier.deliver(text("Hello"))
        assert await carrier.answered(1) == [(1, 0)]
    assert await bodies(store) == ["Hello"]
    assert await store.fetch("SELECT FROM message") == []


async def test_texts_are_stored_and_answered_in_order(store: Database, node: Node) -> None:
    """However many wait, the order of arrival is that of ids and of answers."""
    carrier = Carrier(node.texts)
    carrier.deliver(*(text(f"text {n}", n) for n in range(1, 501)))
    assert await carrier.answered(500) == [(n, 0) for n in range(1, 501)]
    assert await bodies(store) == [f"text {n}" for n in range(1, 501)]


async def test_nothing_is_acknowledged_before_the_store_has_it(database: ConnectParameters) -> None:
    """While the store is away the texts wait; when it is back they are stored, then answered."""
    attempts = 0
    is_up = asyncio.Event()
    failed_twice = asyncio.Event()

    async def source() -> dict[str, object]:
        nonlocal attempts
        if not is_up.is_set():
            attempts += 1
            if attempts >= 2:
                failed_twice.set()
            raise StoreDown("no server")
        return {**database}

    async with opened(database) as store:
        route = await prepare(store)
        node = Node(store, 1, SETTINGS, route, texts_database=Database(source))
        async with running(node) as texts:
            carrier = Carrier(texts)
            carrier.deliver(text("one", 1), text("two", 2))
            await failed_twice.wait()
            assert carrier.answers == []
            is_up.set()
            assert await carrier.answered(2) == [(1, 0), (2, 0)]
        assert await bodies(store) == ["one", "two"]


async def test_a_text_for_a_number_of_no_shop_is_kept_and_counted(
    store: Database, node: Node
) -> None:
    """It is acknowledged and belongs to nobody, so nobody is mailed."""
    carrier = Carrier(node.texts)
    carrier.deliver(text("Wrong number?", dest="12125550199"))
    assert await carrier.answered(1) == [(1, 0)]
    [reply] = await replies(store)
    assert (reply["shop"], reply["number"]) == (None, "+12125550199")
    assert await store.fetch("SELECT FROM message") == []
    assert node.counts == ["unrouted"]


async def test_the_contact_knows_which_number_it_last_talked_to(
    store: Database, node: Node
) -> None:
    """What else is known of the contact stays as it is."""
    other = "+12125550102"
    await store.run(lambda c: numbers.assign_number(c, other, "sample", "acme", "smpp", SMS))
    await node.directory.load()
    await store.fetch(
        "INSERT INTO contact (shop, phone, name, number) SELECT id, $1, 'Ann Sample', $2 FROM shop",
        PHONE,
        NUMBER,
    )
    carrier = Carrier(node.texts)
    carrier.deliver(text("to the other number", 1, dest="12125550102"))
    carrier.deliver(text("from someone new", 2, source="12125550124"))
    await carrier.answered(2)
    rows = await store.fetch("SELECT phone, name, number FROM contact ORDER BY phone")
    assert [tuple(row) for row in rows] == [
        (PHONE, "Ann Sample", other),
        ("+12125550124", None, NUMBER),
    ]


async def test_a_text_that_cannot_be_stored_is_refused_alone(store: Database, node: Node) -> None:
    """The texts around it are stored, and all are answered in order."""
    await store.fetch("ALTER TABLE reply ADD CHECK (body <> 'poison')")
    carrier = Carrier(node.texts)
    carrier.deliver(*(text("poison" if n == 3 else f"text {n}", n) for n in range(1, 8)))
    answers = await carrier.answered(7)
    assert answers == [(n, ESME_RX_R_APPN if n == 3 else 0) for n in range(1, 8)]
    assert await bodies(store) == [f"text {n}" for n in (1, 2, 4, 5, 6, 7)]
    assert node.counts.count("refused") == 1


class TestReassignedNumber:
    """A number that another shop gave up lately: late answers are not the new shop's."""

    @pytest.fixture
    async def node(self, store: Database) -> AsyncIterator[Node]:
        """The number went from the sample shop to another one."""
        route = await prepare(store)
        other = SAMPLE | {"code": "other", "name": "Other Bridal", "main_phone": "+12125550140"}
        await store.run(lambda c: shops.add_shop(c, other, SMS))
        await store.run(lambda c: numbers.release_number(c, NUMBER, SMS))
        await store.run(lambda c: numbers.assign_number(c, NUMBER, "other", "acme", "smpp", SMS))
        node = Node(store, 1, SETTINGS, route)
        async with running(node):
            yield node

    async def owner(self, store: Database, node: Node) -> str | None:
        carrier = Carrier(node.texts)
        carrier.deliver(text("Is my dress ready?"))
        await carrier.answered(1)
        rows = await store.fetch("SELECT s.code FROM reply r LEFT JOIN shop s ON s.id = r.shop")
        return rows[0]["code"]

    async def test_a_stranger_to_the_new_shop_reaches_nobody(
        self, store: Database, node: Node
    ) -> None:
        """The text may be meant for the old shop."""
        assert await self.owner(store, node) is None
        assert await store.fetch("SELECT FROM message") == []

    async def test_a_phone_that_the_new_shop_texted_reaches_it(
        self, store: Database, node: Node
    ) -> None:
        """It answers the new shop."""
        await store.fetch(
            "INSERT INTO message (id, shop, route, rank, place, channel, category, encoding,"
            " segments, expires_ms, sender, target, body)"
            " SELECT 1, id, 1, 0, 5, 1, 1, 0, 1, 0, $1, $2, 'hi' FROM shop WHERE code = 'other'",
            NUMBER,
            PHONE,
        )
        assert await self.owner(store, node) == "other"

    async def test_after_thirty_days_the_number_is_the_new_shops(
        self, store: Database, node: Node
    ) -> None:
        """Whoever texts then means the shop that has the number."""
        await store.fetch(
            "UPDATE number_assignment SET until = now() - interval '31 days'"
            " WHERE until IS NOT NULL"
        )
        assert await self.owner(store, node) == "other"
