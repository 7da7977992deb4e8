"""Turns that shops share."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Refusal
from gateway.voice.sharing import SharedTurns


class Visit:
    """Somebody of a shop who wants a turn, and keeps it until told to go."""

    def __init__(self, turns: SharedTurns, shop: int) -> None:
        self.shop = shop
        self.has_turn = False
        self.meanwhile: Visit | None = None
        """Whom to cancel when the turn ends, before the next begins."""
        self._may_go = asyncio.Event()
        self.task = asyncio.create_task(self._have(turns))

    async def _have(self, turns: SharedTurns) -> None:
        async with turns.turn(self.shop):
            self.has_turn = True
            try:
                await self._may_go.wait()
            finally:
                self.has_turn = False
        if self.meanwhile is not None:
            self.meanwhile.task.cancel()

    async def go(self) -> None:
        """End the turn."""
        self._may_go.set()
        await self.task

    @property
    def is_refused(self) -> bool:
        return self.task.done() and isinstance(self.task.exception(), Refusal)


async def settle() -> None:
    """Let all go on who can."""
    for _ in range(5):
        await asyncio.sleep(0)


async def visits(turns: SharedTurns, *shops: int) -> list[Visit]:
    """One of each shop, one after the other."""
    made = []
    for shop in shops:
        made.append(Visit(turns, shop))
        await settle()
    return made


async def end(all_visits: list[Visit]) -> None:
    """Let all end, also those that get their turn only now."""
    for visit in all_visits:
        visit._may_go.set()
    await asyncio.gather(*(visit.task for visit in all_visits), return_exceptions=True)


async def test_a_shop_has_half_of_the_turns_at_most() -> None:
    """So another one begins at once, however slow the engine of the first is."""
    turns = SharedTurns(4, 10, 60.0)
    made = await visits(turns, 1, 1, 1, 2, 2, 2, 3)
    assert [visit.has_turn for visit in made] == [True, True, False, True, True, False, False]
    await made[0].go()
    await settle()
    assert made[2].has_turn and not made[6].has_turn
    await made[3].go()
    await settle()
    assert made[6].has_turn or made[5].has_turn
    await end(made)


async def test_shops_that_wait_have_their_turns_one_after_the_other() -> None:
    """However many of one wait; within a shop the first that came is the first."""
    turns = SharedTurns(1, 10, 60.0)
    made = await visits(turns, 1, 1, 1, 1, 2, 3, 2)
    order = []
    while left := [visit for visit in made if not visit.task.done()]:
        (now,) = (visit for visit in left if visit.has_turn)
        order.append(made.index(now))
        await now.go()
        await settle()
    assert order == [0, 1, 4, 5, 2, 6, 3]


async def test_the_shop_that_has_most_waiting_gives_up_a_place() -> None:
    """Its last goes; when it has no more than the others, the newcomer does."""
    turns = SharedTurns(1, 4, 60.0)
    made = await visits(turns, 1, 1, 1, 1, 1)
    (own,) = await visits(turns, 1)
    assert own.is_refused
    first, second, third = await visits(turns, 2, 2, 2)
    assert [visit.is_refused for visit in made] == [False, False, False, True, True]
    assert not first.is_refused and not second.is_refused and third.is_refused
    await end([*made, first, second])
    assert first.task.exception() is None and second.task.exception() is None


async def test_nobody_waits_for_ever() -> None:
    """The answer says when to try again, and the place is free for others."""
    turns = SharedTurns(1, 1, 0.001)
    (holder,) = await visits(turns, 1)
    for _ in range(3):
        with pytest.raises(Refusal) as caught:
            async with turns.turn(2):
                pass
        assert (caught.value.type, caught.value.retry_after_s) == ("unavailable", 2)
    await end([holder])


async def test_who_goes_away_takes_no_turn_along() -> None:
    """Neither before it has one nor in the moment in which it is given one."""
    turns = SharedTurns(1, 10, 60.0)
    holder, waits, last = await visits(turns, 1, 2, 3)
    waits.task.cancel()
    await settle()
    await holder.go()
    await settle()
    assert last.has_turn
    again, following = await visits(turns, 1, 2)
    last.meanwhile = again
    await last.go()
    await settle()
    assert following.has_turn and again.task.cancelled()
    following.task.cancel()
    await settle()
    async with turns.turn(1):
        pass


async def test_who_was_cancelled_is_passed_over() -> None:
    """Though it has not been told yet."""
    turns = SharedTurns(1, 1, 60.0)
    holder, waits = await visits(turns, 1, 2)
    waits.task.cancel()
    holder._may_go.set()
    await settle()
    async with turns.turn(3):
        pass


@given(st.lists(st.tuples(st.sampled_from("cgx"), st.integers(0, 3)), max_size=60))
def test_no_turn_is_lost_and_none_given_twice(steps: list[tuple[str, int]]) -> None:
    """Whoever comes, goes and gives up in whatever order, all turns are there in the end."""

    async def run() -> None:
        turns = SharedTurns(3, 4, 60.0)
        made: list[Visit] = []
        for what, number in steps:
            if what == "c":
                made.append(Visit(turns, number))
            elif made:
                chosen = made[number % len(made)]
                chosen._may_go.set() if what == "g" else chosen.task.cancel()
            if number:
                await settle()
            assert sum(visit.has_turn for visit in made) <= 3
        await settle()
        for visit in made:
            visit._may_go.set()
            with suppress(Refusal, asyncio.CancelledError):
                await visit.task
        after = await visits(turns, 1, 2, 3)
        assert all(visit.has_turn for visit in after)
        await end(after)

    asyncio.run(run())
