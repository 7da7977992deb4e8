"""SIGTERM: a node ends in good order, and at once when told twice."""

from __future__ import annotations

import asyncio
import signal

import pytest

from tests.crash.load import Load, judge, repeats, seeded
from tests.crash.stage import hanging_database, staged

pytestmark = pytest.mark.crash


async def test_sigterm_under_load_leaves_nothing_under_way() -> None:
    """Told to stop, it waits for the answers that are due, stores them, unbinds, and exits with 0.

    What was not handed to the carrier is in the queue; the next process sends it, nothing twice.
    """
    async with staged() as stage:
        smsc = stage.smsc
        load = Load(stage, seeded())
        smsc.behaviour.response_delay_s = 0.02
        process = await stage.start()
        load.begin(process.url)
        await smsc.wait_for_count(100)
        process.signal(signal.SIGTERM)
        assert await process.ended() == 0, process.said()
        await load.finish()
        assert smsc.unbinds == 1
        assert (await stage.fetch("SELECT count(*) AS left FROM flight"))[0]["left"] == 0
        process = await stage.start()
        await stage.drained()
        assert await process.stop() == 0
        assert not repeats(smsc.received)
        await judge(load)


async def test_a_second_sigterm_ends_it_at_once() -> None:
    """A carrier that answers no more cannot keep a process that is told to stop twice."""
    async with staged() as stage:
        smsc = stage.smsc
        load = Load(stage, seeded())
        process = await stage.start()
        smsc.behaviour.is_silent = True
        await load.post(process.url, 5)
        await smsc.wait_until(lambda: smsc.submits > 0)
        process.signal(signal.SIGTERM)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await process.process.wait()
        process.signal(signal.SIGTERM)
        assert await process.ended() == 1
        smsc.behaviour.is_silent = False
        process = await stage.start()
        await stage.drained()
        await process.stop()
        await judge(load)


async def test_answers_that_never_come_do_not_keep_a_process() -> None:
    """With the wait for answers over, what has none is in doubt and settled before the end."""
    async with staged() as stage:
        smsc = stage.smsc
        load = Load(stage, seeded())
        process = await stage.start()
        smsc.behaviour.is_silent = True
        await load.post(process.url, 6)
        await smsc.wait_until(lambda: smsc.submits > 0)
        assert await process.stop() == 0
        assert (await stage.fetch("SELECT count(*) AS left FROM flight"))[0]["left"] == 0
        smsc.behaviour.is_silent = False
        process = await stage.start()
        await stage.drained()
        await process.stop()
        await judge(load)


async def test_a_database_that_hangs_does_not_keep_a_process_that_is_told_to_stop() -> None:
    """With PostgreSQL hanging SIGTERM still ends the process; its next start settles the rest."""
    async with staged() as stage:
        load = Load(stage, seeded())
        stage.smsc.behaviour.response_delay_s = 0.02
        process = await stage.start()
        load.begin(process.url)
        await stage.smsc.wait_for_count(50)
        with hanging_database(stage):
            process.signal(signal.SIGTERM)
            began = asyncio.get_running_loop().time()
            assert await process.ended() == 0, process.said()
            print(asyncio.get_running_loop().time() - began)
        await load.end()
        await stage.without_backends()
        process = await stage.start()
        await stage.drained()
        await process.stop()
        await judge(load)
