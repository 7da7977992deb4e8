"""Claims and outcomes while the store is away, or its answer is lost."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from gateway.dispatch import feeder
from gateway.errors import StoreDown
from gateway.model import EventKind, State
from gateway.store.embedded import ConnectParameters
from tests.dispatch.stage import stage
from tests.dispatch.waits import reaches, waiting


async def test_a_claim_whose_answer_is_lost_goes_back_and_is_sent_once(
    database: ConnectParameters,
) -> None:
    """The link never saw it: its flight is an orphan of this process."""
    async with stage(database) as node:
        id_ = await waiting(node, category="marketing")
        transact = node.claims_connection.transact

        async def lose(work: Any) -> None:
            await transact(work)
            node.claims_connection.transact = transact  # type: ignore[method-assign]
            raise StoreDown("the answer is lost")

        node.claims_connection.transact = lose  # type: ignore[method-assign,assignment]
        node.link.allow(1)
        await reaches(node, id_, "flight")
        assert node.link.taken == []
        await node.turn()
        await node.link.has_taken(1)
        await node.turn()
        assert node.link.sent == [(id_, 0)]


async def test_what_is_claimed_is_told_by_shop(database: ConnectParameters) -> None:
    """So that the limit of a shop's waiting messages knows."""
    async with stage(database) as node:
        for shop in (0, 1, 0):
            await waiting(node, shop=node.shops[shop])
        node.link.allow(5)
        await node.link.has_taken(3)
        assert sorted(node.claimed) == [(1, 2), (2, 1)]


async def test_an_outage_fills_no_log(
    database: ConnectParameters,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The first failure to claim is told, then one a minute, and the next outage anew."""
    monkeypatch.setattr(feeder, "_RETRY_S", 0.001)
    async with stage(database) as node:
        for outage in (1, 2):
            tries = 0

            def may_write() -> bool:
                nonlocal tries
                tries += 1
                return tries > 5

            await waiting(node)
            assert node.feeder is not None
            node.feeder._may_write = may_write
            node.link.allow(outage)
            await node.link.has_taken(outage)
            assert caplog.text.count("nothing can be claimed") == outage


async def test_a_claim_that_comes_after_the_lease_is_not_sent(database: ConnectParameters) -> None:
    """Another node may have taken the flight over."""
    async with stage(database) as node:
        id_ = await waiting(node)
        transact = node.claims_connection.transact

        async def slow(work: Any) -> Any:
            rows = await transact(work)
            node.may_write = False
            return rows

        node.claims_connection.transact = slow  # type: ignore[method-assign]
        node.link.allow(1)
        await reaches(node, id_, "flight")
        assert node.link.taken == []
        assert node.unknown == 1


@pytest.mark.parametrize("took_effect", [True, False])
async def test_outcomes_are_written_once_though_a_commits_answer_is_lost(
    database: ConnectParameters, took_effect: bool
) -> None:
    """Whether or not the lost commit took effect, and though what it moved was claimed again."""
    async with stage(database) as node:
        ids = [await waiting(node, category=c) for c in ("transactional", "marketing")]
        node.link.allow(2)
        await node.link.has_taken(2)
        transact = node.settler_connection.transact
        is_back = asyncio.Event()

        async def lose(work: Any) -> None:
            if took_effect:
                await transact(work)
                await node.rows("DELETE FROM queue WHERE id = $1", ids[0])
                flight = "INSERT INTO flight VALUES (77, 9, 1, 1, 1, ARRAY[$1::int8])"
                await node.rows(flight, ids[0])
            node.settler_connection.transact = transact  # type: ignore[method-assign]
            is_back.set()
            raise StoreDown("the answer is lost")

        node.settler_connection.transact = lose  # type: ignore[method-assign,assignment]
        node.link.most = 0
        node.link.cut()
        await is_back.wait()
        await node.settled()
        assert await node.place(ids[0]) == ("flight" if took_effect else "queue")
        assert len(await node.rows("SELECT id FROM queue")) == (0 if took_effect else 1)
        assert await node.events(ids[0]) == [EventKind.RESENT]
        assert await node.events(ids[1]) == [EventKind.IN_DOUBT]
        assert len(node.flights) == 0


async def test_a_long_outage_does_not_end_the_settler(
    database: ConnectParameters, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Outcomes wait, however often writing them fails."""

    async def no_sleep(_: float) -> None:
        await pause(0)

    pause = asyncio.sleep
    async with stage(database) as node:
        id_ = await waiting(node)
        node.link.allow(1)
        await node.link.has_taken(1)
        fetch = node.settler_connection.fetch
        failures = 0

        async def fail(query: str, *args: Any) -> list[asyncpg.Record]:
            nonlocal failures
            failures += 1
            if failures > 1100:
                return await fetch(query, *args)
            raise StoreDown("away")

        node.settler_connection.fetch = fail  # type: ignore[method-assign]
        monkeypatch.setattr(asyncio, "sleep", no_sleep)
        node.link.accept("c1")
        await node.settled()
        assert await node.states(id_) == {0: State.SUBMITTED}


async def test_a_fenced_node_writes_no_outcome(database: ConnectParameters) -> None:
    """It waits until its lease is renewed."""
    async with stage(database) as node:
        id_ = await waiting(node)
        node.link.allow(1)
        await node.link.has_taken(1)
        node.may_write = False
        node.link.accept("c1")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await node.settler.drained()
        assert await node.states(id_) == {}
        node.may_write = True
        await node.settled()
        assert await node.states(id_) == {0: State.SUBMITTED}
