"""A deadline for everything that waits for a commit, at the price of two dictionary entries.

`asyncio.timeout` arms and disarms a timer for each request, which costs more than decoding it.
Here one timer looks at all that wait, now and then: a deadline is kept to within `LOOK_S`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

from gateway.errors import Refusal

LOOK_S = 0.25

T = TypeVar("T")


class Deadline:
    """Gives up what takes longer than `limit_s`.

    Tasks are looked at in the order in which they came.
    """

    __slots__ = ("_late", "_limit_s", "_timer", "_waiting")

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._waiting: dict[asyncio.Task[Any], float] = {}
        self._late: set[asyncio.Task[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def keep(self, work: Awaitable[T]) -> T:
        """The result of `work`. Raises Refusal `unavailable` once the limit has passed."""
        loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        assert task is not None  # noqa: S101 - a coroutine runs in one
        self._waiting[task] = loop.time()
        if self._timer is None:
            self._timer = loop.call_later(LOOK_S, self._look, loop)
        try:
            return await work
        except asyncio.CancelledError:
            if task not in self._late or task.uncancel():
                raise
            raise Refusal(
                "unavailable",
                "The store did not answer in time. Whether the message is accepted is not known.",
                retry_after_s=2,
            ) from None
        finally:
            self._waiting.pop(task, None)
            self._late.discard(task)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Cancel what is late; stop looking when nothing waits."""
        self._timer = None
        latest = loop.time() - self._limit_s
        for task, start in list(self._waiting.items()):
            if start > latest:
                break
            del self._waiting[task]
            self._late.add(task)
            task.cancel()
        if self._waiting:
            self._timer = loop.call_later(LOOK_S, self._look, loop)
