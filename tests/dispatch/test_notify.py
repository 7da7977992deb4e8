"""What nodes tell each other of their queues."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.dispatch import notify
from gateway.dispatch.notify import CHANNEL, Notifier
from gateway.dispatch.ranking import floor
from gateway.dispatch.routes import Routes, Way
from gateway.model import Lane
from gateway.store.embedded import ConnectParameters
from tests.dispatch.stage import PlayedLink
from tests.postgres import connected
from tests.store.sample import opened


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Company is noticed soon, and connections come back soon."""
    monkeypatch.setattr(notify, "COUNT_S", 0.02)
    monkeypatch.setattr(notify, "RETRY_S", 0.01)


class Listening:
    """A notifier of one node, and what its route 1 was woken for."""

    def __init__(self, notifier: Notifier, routes: Routes) -> None:
        self.notifier = notifier
        self.route = routes.get(1, "acme")
        self.woken = asyncio.Event()
        link = PlayedLink(None)  # type: ignore[arg-type]
        self.cursors = self.route.add_link(Way(link, self.woken.set)).cursors
        self.cursors.may_have = False
        self.cursors.positions[Lane.TRANSACTIONAL] = 1000


@asynccontextmanager
async def listening(parameters: ConnectParameters, node: int) -> AsyncIterator[Listening]:
    """A notifier that runs."""
    async with opened(parameters) as store:
        await store.fetch(
            "INSERT INTO node VALUES ($1, $2, 1, now() + interval '1 hour')", node, f"node-{node}"
        )
        routes = Routes()
        one = Listening(Notifier(store, routes, node), routes)
        task = asyncio.ensure_future(one.notifier.run())
        try:
            yield one
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_another_node_hears_of_the_lowest_rank(database: ConnectParameters) -> None:
    """Its cursor goes back to it, and whoever claims is woken; the teller itself is not."""
    async with listening(database, 1) as teller, listening(database, 2) as hearer:
        async with asyncio.timeout(20):
            while not hearer.woken.is_set():
                for rank in (500, 7, 900):
                    teller.notifier.queued(1, rank)
                await asyncio.sleep(0.01)
        assert hearer.cursors.positions[Lane.TRANSACTIONAL] == 7
        assert hearer.cursors.may_have
        assert not teller.woken.is_set()


async def test_a_lost_connection_comes_back(database: ConnectParameters) -> None:
    """On both sides."""
    async with listening(database, 1) as teller, listening(database, 2) as hearer:
        for _ in range(2):
            hearer.woken.clear()
            async with asyncio.timeout(20):
                while not hearer.woken.is_set():
                    teller.notifier.queued(1, 7)
                    await asyncio.sleep(0.01)
            async with connected(database) as connection:
                await connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )


async def test_a_node_that_is_alone_tells_nobody(database: ConnectParameters) -> None:
    """A notification costs a lock of the whole database."""
    async with listening(database, 1) as teller:
        async with asyncio.timeout(20):
            while teller.notifier._has_company:  # noqa: ASYNC110 - nobody announces it
                await asyncio.sleep(0.01)
        teller.notifier.queued(1, 7)
        assert teller.notifier._lowest == {}


async def test_what_is_no_notification_of_ours_is_ignored(database: ConnectParameters) -> None:
    """Whoever can notify can at most wake."""
    notify_all = "SELECT pg_notify($1, p) FROM unnest($2::text[]) p"
    strange = ["", "x", "1 2", "1 1 x", f"1 1 {1 << 62}", "1 99 5", "2 1 5"]
    async with (
        listening(database, 2) as hearer,
        connected(database) as connection,
        asyncio.timeout(20),
    ):
        while not hearer.woken.is_set():
            await connection.execute(notify_all, CHANNEL, [*strange, f"1 1 {floor(Lane.SERVICE)}"])
            assert hearer.cursors.positions[Lane.TRANSACTIONAL] == 1000
            await asyncio.sleep(0.01)
