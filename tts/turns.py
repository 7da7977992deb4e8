"""Turns of the event loop, for work that many want done at a time.

When hundreds of texts are said at a time, hundreds of tasks become ready together, and the loop
runs all that are ready before it looks at its sockets and timers again. So what each has to do is
done in one place, one after another and a little in each turn of the loop.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import Final

from tts.steps import Steps, T

SLICE_S: Final = 0.0005
"""How long steps are taken without a pause."""

LONGEST_PAUSE_S: Final = 0.1
"""A step that seems to have taken longer did not: the whole process stood still meanwhile."""

WOKEN_AT_A_TIME: Final = 16


class Turns:
    """Does work in steps, first come first served, and never more than half of the time."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    async def do(self, work: Steps[T]) -> T:
        """What comes of the work. After each slice there is a pause as long as it took."""
        await self._lock.acquire()
        begun_s = time.monotonic()
        try:
            while True:
                next(work)
                if (took_s := time.monotonic() - begun_s) >= SLICE_S:
                    await asyncio.sleep(min(took_s, LONGEST_PAUSE_S))
                    begun_s = time.monotonic()
        except StopIteration as end:
            done: T = end.value
            return done
        finally:
            work.close()
            pause_s = min(time.monotonic() - begun_s, LONGEST_PAUSE_S)
            asyncio.get_running_loop().call_later(pause_s, self._lock.release)


class Bell:
    """Wakes all who wait for one thing that happens once, a few in each turn of the loop."""

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._has_rung = False

    async def wait(self) -> None:
        """Return once it has rung, in the order of those who wait."""
        if not self._has_rung:
            woken = asyncio.get_running_loop().create_future()
            self._waiting.append(woken)
            await woken

    def ring(self) -> None:
        """Let them go."""
        self._has_rung = True
        for _ in range(min(WOKEN_AT_A_TIME, len(self._waiting))):
            woken = self._waiting.popleft()
            if not woken.done():
                woken.set_result(None)
        if self._waiting:
            asyncio.get_running_loop().call_soon(self.ring)
