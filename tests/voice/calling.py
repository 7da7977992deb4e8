"""A process with calls up, both ways, for tests that kill it: a trunk set as a node runs it.

`python -m tests.voice.calling SETTINGS CALLS` prints its SIP port, calls `CALLS` times, takes what
comes, and says `up` for each call that stands, for ever.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from config.loading import load
from gateway.voice.call_events import Answered, CallEvent
from gateway.voice.calls import TrunkCall
from gateway.voice.trunkset import TrunkSet
from tests.voice.trunks import PHONE, only


async def call_and_wait(config: Path, count: int) -> None:
    """Never returns."""

    def tell(event: CallEvent) -> None:
        if isinstance(event, Answered):
            print("up", flush=True)

    def take(call: TrunkCall) -> None:
        call.on_event = tell
        call.answer()

    trunks = TrunkSet(load(config, {}), on_incoming=take)
    await trunks.start()
    trunk = only(trunks)
    await trunk.looked.wait()
    print(trunks.port, flush=True)
    calls = [trunk.call(PHONE, on_event=tell) for _ in range(count)]
    await trunks.run()
    del calls


if __name__ == "__main__":
    asyncio.run(call_and_wait(Path(sys.argv[1]), int(sys.argv[2])))
