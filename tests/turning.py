"""How often an event loop has come round."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def loop_turns() -> Iterator[Callable[[], int]]:
    """Count the turns that the running loop makes meanwhile."""
    turns = 0

    async def tick() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    ticking = asyncio.create_task(tick())
    try:
        yield lambda: turns
    finally:
        ticking.cancel()
