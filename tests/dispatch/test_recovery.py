"""Taking over what a dead process left in flight."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from gateway.model import EventKind, State
from gateway.store.embedded import ConnectParameters
from tests.dispatch.stage import Stage, stage

LONG = "Your gown is ready for pickup. " * 12
"""Three segments."""


async def _flying(node: Stage, category: str) -> int:
    """A message of three segments that a process has in hand; the second is answered."""
    id_ = await node.accept(text=LONG, category=category)
    node.link.allow(3)
    await node.link.has_taken(1)
    node.link.accept("c1", segment=1)
    await node.settled()
    return id_


@pytest.mark.parametrize("takes_over", ["itself, started again", "another node"])
async def test_transactional_segments_without_an_answer_go_again(
    database: ConnectParameters, takes_over: str
) -> None:
    """At once after a restart; after its lease by another node."""
    async with stage(database) as dead:
        id_ = await _flying(dead, "transactional")
        await dead.rows("UPDATE node SET until = now() - interval '1 second'")
        node, epoch = (1, 2) if takes_over.startswith("itself") else (2, 1)
        async with stage(database, node=node, epoch=epoch) as heir:
            await heir.turn()
            assert await heir.events(id_) == [EventKind.RESENT]
            heir.link.allow(3)
            await heir.link.has_taken(1)
            assert heir.link.sent == [(id_, 0), (id_, 2)]
            heir.link.accept("d0")
            heir.link.accept("d2")
            await heir.settled()
            assert await heir.states(id_) == dict.fromkeys(range(3), State.SUBMITTED)


async def test_marketing_segments_without_an_answer_stay_in_doubt(
    database: ConnectParameters,
) -> None:
    """They may have left: only a receipt can tell."""
    async with stage(database) as dead:
        id_ = await _flying(dead, "marketing")
        async with stage(database, epoch=2, room=9) as heir:
            await heir.turn()
            assert await heir.states(id_) == {
                0: State.IN_DOUBT,
                1: State.SUBMITTED,
                2: State.IN_DOUBT,
            }
            assert await heir.events(id_) == [EventKind.IN_DOUBT, EventKind.IN_DOUBT]
            doubts = await heir.rows("SELECT link, id, segment FROM in_doubt ORDER BY segment")
            assert doubts == [(1, id_, 0), (1, id_, 2)]
            assert heir.link.taken == []


async def test_a_living_node_keeps_its_flights(database: ConnectParameters) -> None:
    """Its lease has not run out."""
    async with stage(database) as living:
        id_ = await _flying(living, "transactional")
        async with stage(database, node=2) as other:
            await other.turn()
            assert await other.place(id_) == "flight"
        await living.turn()
        assert await living.place(id_) == "flight"
        assert len(living.link.taken) == 1


async def test_a_node_that_only_slept_cannot_go_on_after_it_was_taken_over(
    database: ConnectParameters,
) -> None:
    """Taking its flights ends its epoch: it cannot renew its lease, and moves nothing again."""
    async with stage(database) as sleeper:
        id_ = await _flying(sleeper, "transactional")
        await sleeper.rows("UPDATE node SET until = now() - interval '1 second' WHERE id = 1")
        async with stage(database, node=2) as other:
            await other.turn()
            assert await other.rows("SELECT epoch FROM node WHERE id = 1") == [(2,)]
            sleeper.link.most = 0
            sleeper.link.cut()
            await sleeper.settled()
            assert await other.rows("SELECT id FROM queue") == [(id_,)]


async def test_after_an_outage_of_the_store_living_nodes_keep_their_flights(
    database: ConnectParameters,
) -> None:
    """All leases ran out in it: until every node had the time to renew, none is taken for dead."""
    async with stage(database) as living:
        id_ = await _flying(living, "transactional")
        async with stage(database, node=2) as other:
            await other.rows("UPDATE node SET until = now() - interval '1 second'")
            other.may_judge = False
            await other.turn()
            assert await other.rows("SELECT epoch FROM node WHERE id = 1") == [(1,)]
            assert await other.place(id_) == "flight"
            other.may_judge = True
            await other.turn()
            assert await other.place(id_) == "queue"


async def test_two_nodes_take_over_once(database: ConnectParameters) -> None:
    """However they race."""
    async with stage(database) as dead:
        ids = [await dead.accept(text=f"Text {n}") for n in range(20)]
        dead.link.allow(20)
        await dead.link.has_taken(20)
        await dead.rows("UPDATE node SET until = now() - interval '1 second' WHERE id = 1")
        async with stage(database, node=2) as one, stage(database, node=3) as two:
            await asyncio.gather(one.recovery.run_once(), two.recovery.run_once())
            assert sorted(await one.rows("SELECT id FROM queue")) == [(id_,) for id_ in ids]


async def test_a_settled_message_of_an_orphan_is_left_alone(database: ConnectParameters) -> None:
    """A flight outlives its first messages: those have their rows."""
    async with stage(database) as dead:
        ids = [await dead.accept() for _ in range(2)]
        dead.link.allow(2)
        await dead.link.has_taken(2)
        dead.link.accept("c1")
        await dead.settled()
        async with stage(database, epoch=2) as heir:
            await heir.turn()
            assert await heir.rows("SELECT id FROM queue") == [(ids[1],)]


async def test_a_flight_that_begins_during_the_look_is_no_orphan(
    database: ConnectParameters,
) -> None:
    """It was not known when the look began, and is in the store before the look reaches it."""
    async with stage(database, room=5) as node:
        await node.queue_is_known_empty()
        connection = node.recovery._connection
        transact = connection.transact
        posted: list[int] = []

        async def slowly(work: Any) -> Any:
            async def run(inner: asyncpg.Connection) -> Any:
                return await work(_Slow(inner, node, posted))

            return await transact(run)

        connection.transact = slowly  # type: ignore[method-assign]
        await node.recovery.run_once()
        assert [message.id for message in node.link.taken] == posted
        assert await node.place(posted[0]) == "flight"


class _Slow:
    """A connection on which a query takes long enough for a message to be accepted meanwhile."""

    def __init__(self, inner: asyncpg.Connection, node: Stage, posted: list[int]) -> None:
        self.execute = inner.execute
        self._inner = inner
        self._node = node
        self._posted = posted

    async def fetch(self, query: str, *args: object) -> list[asyncpg.Record]:
        """Accept a message, then ask."""
        self._posted.append(await self._node.accept())
        rows: list[asyncpg.Record] = await self._inner.fetch(query, *args)
        return rows
