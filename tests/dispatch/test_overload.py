"""More posts than a link takes at once: they go past the queue as long as the link gets on."""

from __future__ import annotations

import asyncio

from gateway.dispatch.members import Grant, Way
from gateway.dispatch.ranking import Ranker
from gateway.dispatch.routes import Route
from gateway.store.embedded import ConnectParameters
from tests.dispatch.stage import DEADLINE_S, PlayedLink, Stage, stage


async def carry(node: Stage, count: int) -> None:
    """Play a quick carrier: answer what the link has in hand until so many were taken."""
    while len(node.link.taken) < count or node.link.unanswered:
        while node.link.unanswered:
            node.link.accept(f"c{node.ids.next()}")
        await asyncio.sleep(0)


async def test_posts_beyond_the_room_wait_for_a_link_that_gets_on(
    database: ConnectParameters,
) -> None:
    """With a quick carrier nothing is queued, however much comes at once."""
    async with stage(database, room=60) as node:
        await node.queue_is_known_empty()
        posts = [asyncio.create_task(node.post(node.draft(text=f"{n}."))) for n in range(300)]
        async with asyncio.timeout(DEADLINE_S):
            await carry(node, 300)
            await asyncio.gather(*posts)
        assert await node.rows("SELECT count(*) FROM message WHERE place = 2") == [(300,)]
        await node.settled()
        assert await node.rows("SELECT id FROM flight") == []


async def test_no_group_is_larger_than_the_room(database: ConnectParameters) -> None:
    """What a link has in hand never exceeds what it said it would take."""
    async with stage(database, room=60) as node:
        await node.queue_is_known_empty()
        posts = [asyncio.create_task(node.post(node.draft(text=f"{n}."))) for n in range(150)]
        async with asyncio.timeout(DEADLINE_S):
            await node.link.has_taken(60)
            assert len(node.link.unanswered) <= 60
            await carry(node, 150)
            await asyncio.gather(*posts)


async def test_posts_do_not_wait_for_a_link_that_stands_still(database: ConnectParameters) -> None:
    """Without an answer from the carrier they are queued, and answered, soon."""
    async with stage(database, room=5) as node:
        await node.queue_is_known_empty()
        async with asyncio.timeout(DEADLINE_S):
            ids = [await node.accept() for _ in range(8)]
        assert [message.id for message in node.link.taken] == ids[:5]
        assert [await node.place(id_) for id_ in ids[5:]] == ["queue"] * 3


def test_a_backlog_is_known_once_a_claim_found_the_end() -> None:
    """Before that nobody knows; afterwards it is what was queued and not claimed."""
    route = Route(1, "acme", Ranker())
    assert route.backlog == float("inf")
    link = PlayedLink(None)  # type: ignore[arg-type]
    member = route.add_link(Way(link, lambda: None))
    route.begin_claim(member, Grant(10))
    route.queued(7)
    route.end_claim(member, Grant(10), [])
    assert route.backlog == 1
    route.queued(8)
    route.begin_claim(member, Grant(2))
    route.end_claim(member, Grant(2), [7, 8])
    assert route.backlog == 0
    assert member.cursors.may_have
    route.begin_claim(member, Grant(2))
    route.end_claim(member, Grant(2), [])
    assert (route.backlog, member.cursors.may_have) == (0, False)
