"""Turns of the event loop: given on whatever happens to who has one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from tts import turns as module
from tts.steps import Steps
from tts.turns import WOKEN_AT_A_TIME, Bell, Turns


def steps(count: int, result: str) -> Steps[str]:
    for _ in range(count):
        yield
    return result


def failing() -> Steps[str]:
    yield
    raise LookupError("no such word")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each step is a slice of its own."""
    monkeypatch.setattr(module, "SLICE_S", 0.0)
    yield


@pytest.mark.usefixtures("small")
async def test_work_that_fails_gives_its_turn_on() -> None:
    """Its error is its asker's, the others are done in their order."""
    turns = Turns()
    works = (steps(3, "a"), failing(), steps(0, "b"), failing(), steps(2, "c"))
    async with asyncio.timeout(10):
        outcomes = await asyncio.gather(*map(turns.do, works), return_exceptions=True)
    assert [str(each) for each in outcomes] == ["a", "no such word", "b", "no such word", "c"]


@pytest.mark.usefixtures("small")
async def test_an_asker_who_leaves_gives_its_turn_on() -> None:
    """At whichever moment; the work is not gone on with, and is closed."""
    for moment in range(12):
        turns = Turns()
        closed: list[bool] = []

        def endless(closed: list[bool] = closed) -> Steps[str]:
            try:
                while True:
                    yield
            finally:
                closed.append(True)

        first = asyncio.create_task(turns.do(endless()))
        others = [asyncio.create_task(turns.do(steps(2, name))) for name in "ab"]
        for _ in range(moment):
            await asyncio.sleep(0)
        first.cancel()
        others[0].cancel()
        async with asyncio.timeout(10):
            assert await others[1] == "b"
            await asyncio.gather(first, others[0], return_exceptions=True)
        assert closed == [True] * (moment > 0)


async def test_a_process_that_stood_still_does_not_pause_as_long_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A step that took an hour by the clock was stopped from outside."""
    ahead_s = 0.0
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + ahead_s)
    monkeypatch.setattr(module, "time", clock)

    def stopped() -> Steps[str]:
        nonlocal ahead_s
        ahead_s += 3600.0
        yield
        ahead_s += 3600.0
        return "spoken"

    turns = Turns()
    async with asyncio.timeout(10):
        assert await turns.do(stopped()) == "spoken"
        assert await turns.do(steps(1, "next")) == "next"


async def test_a_bell_rung_while_some_have_left() -> None:
    """Wakes all others, in their order; who comes later does not wait."""
    bell, woken = Bell(), []

    async def wait(number: int) -> None:
        await bell.wait()
        woken.append(number)

    many = 3 * WOKEN_AT_A_TIME
    tasks = [asyncio.create_task(wait(number)) for number in range(many)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    bell.ring()
    tasks[-1].cancel()
    async with asyncio.timeout(10):
        await asyncio.gather(*tasks, return_exceptions=True)
        await bell.wait()
    assert woken == list(range(1, many - 1, 2))
