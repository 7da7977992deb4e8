"""The database goes away under load: killed, or so slow that it might as well be."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from functools import partial

import pytest

from gateway.model import State
from tests.crash.load import Load, judge, repeats, seeded
from tests.crash.stage import DEADLINE_S, Stage, eventually, hanging_database, staged
from tests.store.folders import SeenServer

pytestmark = pytest.mark.crash


async def test_a_killed_postmaster_comes_back_by_itself() -> None:
    """With the database killed requests get 503 and never a 202 that is not durable.

    It is started again, and all goes on: no text is lost, none goes twice, and the gateway lives.
    """
    async with staged() as stage:
        smsc = stage.smsc
        load = Load(stage, seeded())
        seen = SeenServer(stage.folder)
        process = await stage.start()
        load.begin(process.url)
        for _ in range(3):
            await smsc.wait_for_count(smsc.submits + 50)
            accepted = len(load.accepted)
            server = seen.server_pid()
            os.kill(server, signal.SIGKILL)

            async def is_back(before: int = accepted) -> bool:
                return len(load.accepted) > before + 20 and seen.server_pid() not in (0, server)  # noqa: B023

            await eventually(is_back, "requests are accepted again")
        await load.end()
        await stage.drained()
        assert await process.stop() == 0, process.said()
        assert set(load.refused) <= {503}
        assert not repeats(smsc.received)
        await judge(load)


async def test_a_database_that_hangs_costs_a_503_in_time_and_nothing_more() -> None:
    """While PostgreSQL hangs every request is refused within its deadline, no receipt and no text
    from a phone is acknowledged; afterwards all goes on by itself.
    """
    async with staged() as stage:
        smsc = stage.smsc
        load = Load(stage, seeded())
        process = await stage.start()
        smsc.behaviour.has_receipts = False
        await load.post(process.url, 10)
        await stage.drained()
        with hanging_database(stage):
            answers = asyncio.gather(
                smsc.deliver("12125550100", "12125550170", "Is it ready?", timeout_s=DEADLINE_S),
                smsc.receipt(smsc.received[0].message_id, timeout_s=DEADLINE_S),
            )
            statuses = [await load.post_one(process.url) for _ in range(2)]
            assert statuses == [503, 503]
            assert smsc.deliveries == 0

        async def is_accepted() -> bool:
            return await load.post_one(process.url) == 202

        await eventually(is_accepted, "requests are accepted again")
        await stage.drained()
        assert await answers == [[0], 0]
        replies = await stage.fetch("SELECT body FROM reply")
        assert [row["body"] for row in replies] == ["Is it ready?"]
        rows = await stage.fetch("SELECT FROM status WHERE state = $1", State.DELIVERED)
        assert len(rows) == 1
        assert await process.stop() == 0, process.said()
        await judge(load)


async def test_a_full_disk_refuses_and_loses_nothing() -> None:
    """With the disk full requests get 503 and never a 202; with room again all goes on."""
    async with staged(disk_mb=200) as stage:
        load = Load(stage, seeded())
        process = await stage.start()
        await load.post(process.url, 20)
        filler = stage.folder / "filler"
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(1 << 20))

        async def is_refused() -> bool:
            return await load.post_one(process.url) != 202

        await eventually(is_refused, "a full disk shows")
        filler.unlink()

        async def is_accepted() -> bool:
            return await load.post_one(process.url) == 202

        await eventually(is_accepted, "requests are accepted again")
        await stage.drained()
        assert await process.stop() == 0, process.said()
        assert set(load.refused) == {503}
        await judge(load)


async def test_nodes_do_not_take_each_other_for_dead_when_the_database_was_away() -> None:
    """When the database has hung for longer than all leases, every node goes on afterwards."""
    async with staged() as stage:
        smsc = stage.smsc
        load = Load(stage, seeded())
        nodes = [await stage.start(), await stage.start()]
        smsc.behaviour.is_silent = True
        await load.post(nodes[0].url, 6)
        await smsc.wait_until(lambda: smsc.submits >= 6)
        with hanging_database(stage):
            statuses = [await load.post_one(nodes[0].url) for _ in range(2)]
            assert statuses == [503, 503]
        for node in nodes:
            await eventually(partial(_is_ready, stage, node.url), "the node accepts again")
        smsc.drop_all()
        smsc.behaviour.is_silent = False
        await load.post(nodes[1].url, 6)
        await stage.drained()
        for node in nodes:
            assert await node.stop() == 0, node.said()
        await judge(load)


async def _is_ready(stage: Stage, url: str) -> bool:
    return (await stage.client.get(url, "/readyz"))[0] == 200
