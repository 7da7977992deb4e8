"""How late an event loop is for what waits in it.

`python -m bench.lag` tells of the first text of a server, for which it loads what speaks: two
numbers in JSON, the own lag at most and the time it took, in ms. Nothing is imported here that a
server would not have imported by then.
"""

from __future__ import annotations

import asyncio
import gc
import json
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, NamedTuple

_SCHEDSTAT = Path("/proc/thread-self/schedstat")
_SLEEP_S = 0.001


class Late(NamedTuple):
    """How late a sleeper woke, and how late less what its thread waited for a processor
    meanwhile: other processes are the cause of that. Linux tells it; elsewhere both are equal."""

    ms: float
    own_ms: float


async def probed(work: Awaitable[Any]) -> tuple[list[Late], Any]:
    """How late a sleeper woke in the loop each time while some work went on, and what it gave."""
    lates: list[Late] = []

    async def probe() -> None:
        while True:
            begun, waited_ms = time.perf_counter(), _waited_ms()
            await asyncio.sleep(_SLEEP_S)
            late_ms = (time.perf_counter() - begun - _SLEEP_S) * 1e3
            lates.append(Late(late_ms, late_ms - (_waited_ms() - waited_ms)))

    probing = asyncio.create_task(probe())
    try:
        return lates, await work
    finally:
        probing.cancel()


def calm_collector() -> None:
    """As the server does: else the collector stops the loop for 20 ms now and then."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def _waited_ms() -> float:
    """How long this thread has been ready to run and had no processor."""
    try:
        return int(_SCHEDSTAT.read_bytes().split()[1]) / 1e6
    except OSError:
        return 0.0


async def _first_text() -> None:
    import gateway.app  # noqa: F401 - what a server has loaded when it is ready
    from config.speech import SpeechSettings
    from gateway.store.records import ShopSpeech
    from gateway.voice.speech import SpeechDesk

    calm_collector()
    desk = SpeechDesk(SpeechSettings(workers=1, timeout_s=60.0), None)
    begun = time.perf_counter()
    lates, _ = await probed(desk.say("Your gown is ready.", "en", ShopSpeech()))
    took_ms = (time.perf_counter() - begun) * 1e3
    await desk.close()
    print(json.dumps([max(late.own_ms for late in lates), took_ms]))


if __name__ == "__main__":
    asyncio.run(_first_text())
