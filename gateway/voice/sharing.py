"""Turns that shops share, so that none has to wait for all that another one wants.

So many have a turn at a time, and one shop at most half of them, so that one whose engine is slow
leaves turns to the others. Who waits has its turn shop by shop, and within a shop in order. When as
many wait as may, the shop that has most of them waiting gives up its last for one that has fewer.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.errors import Refusal


class SharedTurns:
    """`at_once` turns, and `waiting_max` places to wait for one, at most `wait_s`."""

    def __init__(self, at_once: int, waiting_max: int, wait_s: float) -> None:
        self._free = at_once
        self._most = max(1, at_once // 2)
        self._waiting_max = waiting_max
        self._wait_s = wait_s
        self._had: dict[int, int] = {}
        self._lines: OrderedDict[int, deque[asyncio.Future[bool]]] = OrderedDict()
        """Who waits, the shop first that is next. True: it has a turn; False: it lost its place."""
        self._waiting = 0

    @asynccontextmanager
    async def turn(self, shop: int) -> AsyncIterator[None]:
        """Have a turn of a shop's. Raises Refusal `unavailable` where none comes."""
        if shop not in self._lines and self._may_have_one(shop):
            self._give(shop)
        else:
            await self._wait(shop)
        try:
            yield
        finally:
            self._end(shop)

    async def _wait(self, shop: int) -> None:
        if self._waiting >= self._waiting_max:
            self._make_place(shop)
        place: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._lines.setdefault(shop, deque()).append(place)
        self._waiting += 1
        try:
            async with asyncio.timeout(self._wait_s):
                has_turn = await place
        except BaseException as error:
            if place.cancelled():
                self._leave(shop, place)
            elif place.result():  # it was given one in the same moment
                self._end(shop)
            if isinstance(error, TimeoutError):
                raise _refusal() from None
            raise
        if not has_turn:
            raise _refusal()

    def _make_place(self, shop: int) -> None:
        """Let the longest line lose its last, unless this shop's would be as long. Raises Refusal
        then.
        """
        longest = max(self._lines, key=lambda each: len(self._lines[each]))
        if len(self._lines[longest]) <= len(self._lines.get(shop, ())) + 1:
            raise _refusal()
        last = self._lines[longest][-1]
        self._leave(longest, last)
        if not last.done():
            last.set_result(False)

    def _leave(self, shop: int, place: asyncio.Future[bool]) -> None:
        line = self._lines.get(shop)
        if line is None or place not in line:  # it lost its place before
            return
        line.remove(place)
        self._waiting -= 1
        if not line:
            del self._lines[shop]

    def _may_have_one(self, shop: int) -> bool:
        return self._free > 0 and self._had.get(shop, 0) < self._most

    def _give(self, shop: int) -> None:
        self._free -= 1
        self._had[shop] = self._had.get(shop, 0) + 1

    def _end(self, shop: int) -> None:
        self._free += 1
        self._had[shop] -= 1
        if not self._had[shop]:
            del self._had[shop]
        while (following := self._next()) is not None:
            place = self._lines[following][0]
            self._leave(following, place)
            if following in self._lines:
                self._lines.move_to_end(following)
            if not place.done():  # else whoever waited has gone this moment
                self._give(following)
                place.set_result(True)

    def _next(self) -> int | None:
        """The shop whose turn it is, if there is one to be had."""
        return next((shop for shop in self._lines if self._may_have_one(shop)), None)


def _refusal() -> Refusal:
    return Refusal("unavailable", "Too many previews wait.", retry_after_s=2)
