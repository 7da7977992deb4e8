"""Long texts: each segment is stored and acknowledged by itself, the last one makes the reply."""

from __future__ import annotations

import itertools

import pytest

from gateway.inbound.sweeping import Sweeper
from gateway.store.database import Database
from tests.inbound.parts import (
    SETTINGS,
    Carrier,
    Node,
    bodies,
    now_ms,
    part,
    prepare,
    replies,
    running,
)

HOUR_MS = 3_600_000


async def test_the_last_segment_makes_the_reply(store: Database, node: Node) -> None:
    """Segments before it are acknowledged, and nothing is made of them yet."""
    carrier = Carrier(node.texts)
    carrier.deliver(part("See you ", 1, 2))
    assert await carrier.answered(1) == [(1, 0)]
    assert await bodies(store) == []
    carrier.deliver(part("on Saturday", 2, 2))
    assert await carrier.answered(2) == [(1, 0), (2, 0)]
    [reply] = await replies(store)
    assert (reply["body"], reply["segments"], reply["missing"]) == ("See you on Saturday", 2, [])
    [message] = await store.fetch("SELECT parent, body FROM message")
    assert tuple(message) == (reply["id"], "See you on Saturday")


async def test_any_order_over_two_nodes_makes_one_reply(store: Database) -> None:
    """It does not matter which node got which segment, nor that both get some at once."""
    route = await prepare(store)
    first, second = Node(store, 1, SETTINGS, route), Node(store, 2, SETTINGS, route)
    words = ["one ", "two ", "three ", "four"]
    async with running(first), running(second):
        carriers = [Carrier(first.texts), Carrier(second.texts)]
        orders = list(itertools.permutations(range(4)))
        for reference, order in enumerate(orders):
            for turn, index in enumerate(order):
                segment = part(words[index], index + 1, 4, reference=reference)
                carriers[(turn + reference) % 2].deliver(segment)
        for carrier in carriers:
            await carrier.answered(2 * len(orders))
    assert await bodies(store) == ["one two three four"] * len(orders)
    assert len(await store.fetch("SELECT FROM queue")) == len(orders)


async def test_a_segment_that_comes_again_makes_nothing_new(store: Database, node: Node) -> None:
    """Neither while the text is incomplete, nor after it became a reply."""
    carrier = Carrier(node.texts)
    one, two = part("See you ", 1, 2), part("on Saturday", 2, 2)
    carrier.deliver(one, one, two, one, two)
    assert len(await carrier.answered(5)) == 5
    carrier.deliver(two, one)
    assert [status for _, status in await carrier.answered(7)] == [0] * 7
    assert await bodies(store) == ["See you on Saturday"]


async def test_a_reference_used_again_makes_another_text(store: Database, node: Node) -> None:
    """The same reference with other words is another text, not a copy."""
    carrier = Carrier(node.texts)
    carrier.deliver(part("See you ", 1, 2), part("on Saturday", 2, 2))
    carrier.deliver(part("I will ", 1, 2), part("be late", 2, 2))
    await carrier.answered(4)
    assert await bodies(store) == ["See you on Saturday", "I will be late"]


async def test_segments_of_different_phones_are_not_mixed(store: Database, node: Node) -> None:
    """Two phones may use the same reference at the same time."""
    carrier = Carrier(node.texts)
    carrier.deliver(
        part("mine ", 1, 2),
        part("theirs ", 1, 2, source="12125550124"),
        part("yours", 2, 2, source="12125550124"),
        part("too", 2, 2),
    )
    await carrier.answered(4)
    assert sorted(await bodies(store)) == ["mine too", "theirs yours"]


async def test_an_incomplete_text_is_delivered_when_its_time_is_over(
    store: Database, node: Node
) -> None:
    """The reply says which segments are missing, and is forwarded like any other."""
    carrier = Carrier(node.texts)
    carrier.deliver(part("See ", 1, 4), part("Saturday", 4, 4))
    await carrier.answered(2)
    await node.texts.sweep(now_ms())
    assert await bodies(store) == []
    await node.texts.sweep(now_ms() + HOUR_MS + 1000)
    [reply] = await replies(store)
    assert (reply["body"], list(reply["missing"])) == ("See […]Saturday", [2, 3])
    assert node.queued and await store.fetch("SELECT FROM queue")
    await node.texts.sweep(now_ms() + HOUR_MS + 2000)
    assert len(await replies(store)) == 1


async def test_segments_of_finished_texts_are_kept_an_hour(store: Database, node: Node) -> None:
    """So long a copy is known as one; then the store forgets them."""
    carrier = Carrier(node.texts)
    carrier.deliver(part("See you ", 1, 2), part("on Saturday", 2, 2))
    await carrier.answered(2)
    await node.texts.sweep(now_ms() + HOUR_MS - 60_000)
    assert len(await store.fetch("SELECT FROM mo_part")) == 2
    await node.texts.sweep(now_ms() + HOUR_MS + 60_000)
    assert await store.fetch("SELECT FROM mo_part") == []


async def test_too_many_incomplete_texts_are_delivered_early(
    store: Database, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest go first, as they are, and the bound holds after the sweep."""
    monkeypatch.setattr(Sweeper, "incomplete_max", 3)
    carrier = Carrier(node.texts)
    for reference in range(5):
        carrier.deliver(part(f"text {reference}", 1, 2, reference=reference))
        await carrier.answered(reference + 1)
    await node.texts.sweep(now_ms())
    assert await bodies(store) == ["text 0[…]", "text 1[…]"]


async def test_a_flood_of_incomplete_texts_needs_no_sweep_to_be_bounded(
    store: Database, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Storing them looks after the bound by itself."""
    monkeypatch.setattr(Sweeper, "incomplete_max", 3)
    carrier = Carrier(node.texts)
    carrier.deliver(*(part(f"text {n}", 1, 2, reference=n, sequence=n + 1) for n in range(10)))
    await carrier.answered(10)
    await node.texts.drained()
    assert await bodies(store) == [f"text {n}[…]" for n in range(7)]


async def test_an_incomplete_text_that_cannot_be_stored_is_dropped_alone(
    store: Database, node: Node
) -> None:
    """The others are delivered."""
    await store.fetch("ALTER TABLE reply ADD CHECK (body NOT LIKE 'poison%')")
    carrier = Carrier(node.texts)
    for reference, body in enumerate(("one", "poison", "three")):
        carrier.deliver(part(body, 1, 2, reference=reference))
    await carrier.answered(3)
    await node.texts.sweep(now_ms() + HOUR_MS + 1000)
    assert sorted(await bodies(store)) == ["one[…]", "three[…]"]
    await node.texts.sweep(now_ms() + HOUR_MS + 2000)
    assert len(await replies(store)) == 2
