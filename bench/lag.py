"""How late an event loop is for what waits in it.

`python -m bench.lag first` tells of the first text of a server, for which it loads what speaks: two
numbers in JSON, the own lag at most and the time it took, in ms. Nothing is imported here that a
server would not have imported by then. `python -m bench.lag idle` prints a line when it has begun
and, when its input ends, how late a sleeper woke meanwhile in a loop that did nothing else: at most
and 99.9 % of the time, in ms. That much is the machine's.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import time
from asyncio.base_events import BaseEventLoop
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import uvloop

_SLEEP_S = 0.001


def _schedstat() -> int:
    """Of the thread that imports this; -1 where no system tells."""
    try:
        return os.open("/proc/thread-self/schedstat", os.O_RDONLY)
    except OSError:
        return -1


_SCHEDSTAT = _schedstat()


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


@contextmanager
def turns_noted(costs: list[float]) -> Iterator[None]:
    """Note how much processor time each turn of the loop takes, in ms: all that runs between two
    looks at timers and sockets, which wait for it."""
    plain = BaseEventLoop._run_once  # type: ignore[attr-defined]

    def noted(loop: BaseEventLoop) -> None:
        begun = time.thread_time()
        plain(loop)
        costs.append((time.thread_time() - begun) * 1e3)

    BaseEventLoop._run_once = noted  # type: ignore[attr-defined]
    try:
        yield
    finally:
        BaseEventLoop._run_once = plain  # type: ignore[attr-defined]


def at_most(lates: list[Late], share: float = 1.0) -> float:
    """How late a share of them was at most."""
    ordered = sorted(late.ms for late in lates)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def calm_collector() -> None:
    """As the server does: else the collector stops the loop for 20 ms now and then."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def _waited_ms() -> float:
    """How long this thread has been ready to run and had no processor.

    One system call: at each, a thread that computes may take the interpreter."""
    return int(os.pread(_SCHEDSTAT, 100, 0).split()[1]) / 1e6 if _SCHEDSTAT >= 0 else 0.0


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


async def _idle() -> None:
    calm_collector()
    print("begun", flush=True)
    lates, _ = await probed(asyncio.to_thread(sys.stdin.read))
    print(json.dumps([at_most(lates), at_most(lates, 0.999)]))


if __name__ == "__main__":
    uvloop.run({"first": _first_text, "idle": _idle}[sys.argv[1]]())
