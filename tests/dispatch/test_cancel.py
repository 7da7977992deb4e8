"""Canceling, wherever the message is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from gateway.dispatch.cancel import CancelResult, cancel
from gateway.ids import wall_ms
from gateway.model import EventKind, State
from gateway.store.database import Database
from gateway.store.embedded import ConnectParameters
from tests.dispatch.stage import Stage, a_shop, at, stage

LONG = "Your gown is ready for pickup. " * 12
"""Three segments."""


async def _cancel(node: Stage, id_: int, shop: int | None = 1) -> CancelResult:
    return await cancel(node.database, shop, id_, now_ms=wall_ms(), event_id=node.ids.next())


@pytest.mark.parametrize("place", ["queue", "later", "hold"])
async def test_a_waiting_message_is_canceled_and_gone(
    database: ConnectParameters, place: str
) -> None:
    """Its row leaves the table, its end is in its timeline, and a second time says so."""
    shop = a_shop(1, is_held=place == "hold")
    async with stage(database, shops=(shop,)) as node:
        due = at(wall_ms() + 3_600_000) if place == "later" else None
        id_ = await node.accept(send_at=due)
        assert await node.place(id_) == place
        assert await _cancel(node, id_) is CancelResult.DONE
        assert await node.place(id_) is None
        assert await node.states(id_) == {0: State.CANCELED}
        assert (await node.events(id_))[-1] is EventKind.CANCELED
        assert await _cancel(node, id_) is CancelResult.ALREADY_FINAL


async def test_a_message_that_is_being_sent_cannot_be_canceled(
    database: ConnectParameters,
) -> None:
    """Nor one that a carrier has taken."""
    async with stage(database) as node:
        id_ = await node.accept()
        node.link.allow(1)
        await node.link.has_taken(1)
        assert await _cancel(node, id_) is CancelResult.BEING_SENT
        node.link.accept("c1")
        await node.settled()
        assert await _cancel(node, id_) is CancelResult.ALREADY_FINAL
        assert await node.states(id_) == {0: State.SUBMITTED}


async def test_a_message_of_another_shop_is_not_found(database: ConnectParameters) -> None:
    """Only an administrator cancels for every shop."""
    async with stage(database) as node:
        id_ = await node.accept()
        assert await _cancel(node, id_, 2) is CancelResult.NOT_FOUND
        assert await _cancel(node, id_ + 1) is CancelResult.NOT_FOUND
        assert await _cancel(node, id_, None) is CancelResult.DONE


async def test_a_retry_is_canceled_though_its_row_stays(database: ConnectParameters) -> None:
    """Whoever comes to the row drops it."""
    async with stage(database) as node:
        id_ = await node.accept(text=LONG)
        node.link.allow(3)
        await node.link.has_taken(1)
        node.link.accept("c1", segment=1)
        node.link.put_off(EventKind.RETRIED, delay_s=3600.0)
        node.link.put_off(EventKind.RETRIED, delay_s=3600.0)
        await node.settled()
        assert await _cancel(node, id_) is CancelResult.DONE
        assert await node.states(id_) == {0: State.CANCELED, 1: State.SUBMITTED}
        await node.rows("UPDATE later SET due_ms = 1")
        await node.turn()
        assert await node.place(id_) is None
        assert len(node.link.taken) == 1


async def test_cancel_and_claim_race_for_a_message(database: ConnectParameters) -> None:
    """Either it is canceled and never sent, or it is being sent and stays so."""
    async with stage(database) as node:
        for n in range(20):
            id_ = await node.accept()
            node.link.allow(1)
            result = await _cancel(node, id_)
            if result is CancelResult.BEING_SENT:
                await node.link.has_taken(1)
                node.link.accept(f"c{n}")
                await node.settled()
                assert await node.states(id_) == {0: State.SUBMITTED}
            else:
                assert result is CancelResult.DONE
                assert await node.states(id_) == {0: State.CANCELED}
            assert [m.id for m in node.link.taken] == ([id_] if node.link.taken else [])
            node.link.taken.clear()
            await node.check()


async def test_two_cancel_at_once(database: ConnectParameters) -> None:
    """One of them does it, the other finds it done."""
    async with stage(database) as node:
        id_ = await node.accept()
        results = await asyncio.gather(*(_cancel(node, id_) for _ in range(4)))
        assert sorted(result.value for result in results) == ["already-final"] * 3 + ["done"]
        assert await node.events(id_) == [EventKind.CANCELED]


async def test_a_cancel_that_comes_with_the_end_of_the_validity(
    database: ConnectParameters,
) -> None:
    """The first row decides: what expired meanwhile is final."""
    async with stage(database, shops=(a_shop(1, is_held=True),)) as node:
        id_ = await node.accept()
        await node.rows("UPDATE message SET expires_ms = 1")
        results = await asyncio.gather(_cancel(node, id_), node.upkeep._sweeps.expire_held())
        states = await node.states(id_)
        if results[0] is CancelResult.DONE:
            assert states == {0: State.CANCELED}
        else:
            assert (results[0], states) == (CancelResult.ALREADY_FINAL, {0: State.EXPIRED})


async def test_a_message_that_leaves_its_flight_during_the_cancel_is_not_lost(
    database: ConnectParameters,
) -> None:
    """What a carrier took in the last moment counts; the rest is canceled."""
    async with stage(database) as node:
        id_ = await node.accept(text=LONG)
        node.link.allow(3)
        await node.link.has_taken(1)
        node.link.most = 0

        async def answers() -> None:
            node.link.accept("c0", segment=0)
            node.link.put_off(EventKind.THROTTLED)
            node.link.put_off(EventKind.THROTTLED)
            await node.settled()

        result = await cancel(
            _Interrupted(node.database, answers),  # type: ignore[arg-type]
            1,
            id_,
            now_ms=wall_ms(),
            event_id=node.ids.next(),
        )
        assert result is CancelResult.DONE
        assert await node.states(id_) == {0: State.SUBMITTED, 1: State.CANCELED}


class _Interrupted:
    """A store in which something happens between the first reading of a cancel and the next."""

    def __init__(self, database: Database, happens: Callable[[], Awaitable[None]]) -> None:
        self._database = database
        self._happens = happens
        self._has_happened = False

    async def run(self, work: Callable[[Any], Awaitable[CancelResult]]) -> CancelResult:
        """Run the cancel on this connection."""

        async def on_this(inner: asyncpg.Connection) -> CancelResult:
            self._inner = inner
            return await work(self)

        return await self._database.run(on_this)

    async def execute(self, *args: Any) -> None:
        """Pass it on."""
        await self._inner.execute(*args)

    async def fetchrow(self, *args: Any) -> asyncpg.Record | None:
        """Pass it on."""
        return await self._inner.fetchrow(*args)

    async def fetch(self, *args: Any) -> list[asyncpg.Record]:
        """The states; let it happen after or before them, whichever comes first."""
        rows: list[asyncpg.Record] = await self._inner.fetch(*args)
        await self._let_it_happen()
        return rows

    async def fetchval(self, *args: Any) -> Any:
        """Whether it flies, and the end."""
        await self._let_it_happen()
        return await self._inner.fetchval(*args)

    async def _let_it_happen(self) -> None:
        if not self._has_happened:
            self._has_happened = True
            await self._happens()
