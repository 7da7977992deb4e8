"""Daily caps: never passed, whoever counts, and nothing fails for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from gateway.channels.caps import DailyCap
from gateway.sandbox.smsc import SandboxSmsc
from gateway.store.database import Database
from gateway.store.embedded import ConnectParameters
from tests.channels.smpp_stage import message, stage, states
from tests.store.sample import opened

LONG = "Your gown is ready for pickup, and so are the dresses of all your bridesmaids. " * 5


class Clock:
    """Wall time that a test moves."""

    def __init__(self) -> None:
        self.now = datetime(2030, 1, 2, 3, tzinfo=UTC)

    def __call__(self) -> float:
        return self.now.timestamp()


async def a_cap(
    store: Database, most: int, clock: Callable[[], float], zone: str = "UTC"
) -> DailyCap:
    """A cap of link 1, drawn from the store."""
    await store.fetch(
        "INSERT INTO link (name, kind) VALUES ('acme', 'smpp') ON CONFLICT DO NOTHING"
    )
    return DailyCap(1, most, zone, database=store, wall=clock)


async def taken(cap: DailyCap) -> int:
    """How many segments a link could send one by one, as fast as the cap is drawn."""
    count = 0
    cap.start()
    async with asyncio.timeout(20):
        while not cap.is_reached:
            count += cap.take(1)
            await asyncio.sleep(0)
    await asyncio.sleep(0)
    return count


async def test_all_nodes_together_send_no_more_than_the_cap(database: ConnectParameters) -> None:
    """And all of it, if they take what others left."""
    async with opened(database) as store:
        clock = Clock()
        caps = [await a_cap(store, 120, clock) for _ in range(3)]
        counts = await asyncio.gather(*(taken(cap) for cap in caps))
        assert sum(counts) == 120
        for cap in caps:
            await cap.close()


async def test_a_restart_forgets_nothing(database: ConnectParameters) -> None:
    """In good order nothing of the day is lost; a killed process leaves at most its portion."""
    async with opened(database) as store:
        clock = Clock()
        first = await a_cap(store, 100, clock)
        first.start()
        async with asyncio.timeout(20):
            while not first.take(1):  # noqa: ASYNC110 - a portion comes from the store
                await asyncio.sleep(0)
        await first.close()
        second = await a_cap(store, 100, clock)
        assert await taken(second) == 99


async def test_the_day_ends_at_midnight_of_the_zone(database: ConnectParameters) -> None:
    """Then all is new; what is told names the moment."""
    async with opened(database) as store:
        clock = Clock()
        cap = await a_cap(store, 10, clock, "America/New_York")
        assert await taken(cap) == 10
        assert cap.words() == "the daily cap of 10 segments is reached (America/New_York)"
        assert datetime.fromtimestamp(cap.resumes_at(), UTC) == datetime(2030, 1, 2, 5, tzinfo=UTC)
        clock.now += timedelta(hours=2)
        cap._again()
        async with asyncio.timeout(20):
            while cap.is_reached:  # noqa: ASYNC110 - a portion comes from the store
                await asyncio.sleep(0.001)
        assert await taken(cap) == 10
        await cap.close()


async def test_what_comes_back_after_midnight_belongs_to_the_day_before(
    database: ConnectParameters,
) -> None:
    """Segments under way at midnight, and then refused, make no room beyond the new day's cap."""
    async with opened(database) as store:
        clock = Clock()
        cap = await a_cap(store, 10, clock)
        assert await taken(cap) == 10
        clock.now += timedelta(days=1)
        cap._again()
        async with asyncio.timeout(20):
            while cap.is_reached or not cap.left():  # noqa: ASYNC110 - a portion comes from the store
                await asyncio.sleep(0.001)
        cap.give_back(5)
        assert await taken(cap) == 10
        clock.now += timedelta(minutes=2)
        cap.give_back(2)
        assert await taken(cap) == 2
        await cap.close()


async def test_a_capped_link_returns_what_it_cannot_send(
    database: ConnectParameters, smsc: SandboxSmsc
) -> None:
    """Whole messages: none is sent in part. It stands, and says why it rests."""
    async with opened(database) as store:
        cap = await a_cap(store, 5, Clock())
        async with stage(smsc, cap=cap) as one:
            await one.books.until(lambda: one.link.room() > 0)
            for id_ in range(1, 9):
                await one.books.until(lambda: one.link.room() > 0 or cap.is_reached)
                one.send(message(id_, text=LONG if id_ == 3 else "Hello"))
            await one.books.until(lambda: cap.is_reached)
            await one.books.until(
                lambda: len(one.books.sent_ids) + len(one.books.returned_ids) >= 8
            )
            assert smsc.submits <= 5
            assert not one.books.refusals
            assert 3 in one.books.returned_ids or one.books.sent_ids.count(3) == 3
            assert states(one.link) == {"capped": 1}
            assert (one.link.room(), one.link.is_usable()) == (0, False)
            (report,) = one.link.reports()
            assert report.state.error == "the daily cap of 5 segments is reached (UTC)"
            assert report.state.next_try is not None
