"""The gateway is killed with -9 under load, again and again."""

from __future__ import annotations

import asyncio
import random

import pytest

from gateway.sandbox.submitted import Submitted
from tests.crash.load import (
    WINDOW,
    Load,
    Segment,
    densest,
    judge,
    recorded,
    repeats,
    seeded,
    segment_of,
)
from tests.crash.stage import ROUNDS, Stage, staged

pytestmark = pytest.mark.crash


async def test_twenty_kills_lose_nothing_and_repeat_only_what_had_no_answer() -> None:
    """After any number of kill -9 under load every accepted text has reached the carrier.

    No marketing text went twice, and only segments whose answer was not stored went again: at most
    the window and 20 ms of traffic each time.
    """
    chance = seeded()
    async with staged() as stage:
        load = Load(stage, chance)
        stored: set[Segment] = set()
        lives: list[list[Submitted]] = []
        for _ in range(ROUNDS):
            stage.smsc.behaviour.response_delay_s = chance.choice((0, 0, 0.002, 0.01))
            before = stage.smsc.submits
            if chance.random() < 0.2:
                await _kill_while_it_starts(stage, chance)
            process = await stage.start()
            load.begin(process.url)
            await stage.smsc.wait_for_count(before + 1)
            await asyncio.sleep(chance.uniform(0.05, 0.5))
            await process.kill()
            await load.finish()
            await stage.without_backends()
            lives.append([one for one in stage.smsc.received if one.order > before])
            now_stored = await recorded(load)
            _require_bounded_doubt(lives[-1], now_stored)
            _require_no_repeat(lives[-1], stored)
            stored = now_stored
        process = await stage.start()
        await stage.drained()
        await stage.receipted()
        assert await process.stop() == 0
        await judge(load)
        again = repeats(stage.smsc.received)
        print(f"{len(load.accepted)} accepted, {stage.smsc.submits} segments, {len(again)} again")


async def _kill_while_it_starts(stage: Stage, chance: random.Random) -> None:
    """Also what takes over from a dead process may die of it."""
    process = await stage.begin()
    await asyncio.sleep(chance.uniform(0.2, 1.0))
    await process.kill()
    await stage.without_backends()


def _require_bounded_doubt(life: list[Submitted], stored: set[Segment]) -> None:
    """What had left without its answer being stored when the process died."""
    doubt = [one for one in life if segment_of(one) not in stored]
    bound = WINDOW + densest(life)
    print(f"{len(life)} segments, {len(doubt)} in doubt, bound {bound}")
    assert len(doubt) <= bound


def _require_no_repeat(life: list[Submitted], stored: set[Segment]) -> None:
    """What the store knew before this life was not sent in it."""
    again = {segment_of(one) for one in life} & stored
    assert not again
