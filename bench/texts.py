"""A steady flow of texts through a whole gateway: what other measurements are to run beside."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from bench.scenarios import Scenario, warm
from bench.site import BenchmarkError, new_site, prepared, run_driver

CONNECTIONS = 64
_DRAIN_S = 30.0


@dataclass(frozen=True)
class Flow:
    """What came of the texts: how many a second were posted and sent to the carrier, and the
    milliseconds from request to `submit_sm`.
    """

    per_s: float
    submit_p50_ms: float
    submit_p99_ms: float


@asynccontextmanager
async def flow(rate: int, messages: int) -> AsyncIterator[Callable[[], Awaitable[Flow]]]:
    """A gateway on its embedded store, with its carrier; calling what is returned lets so many
    texts flow, and waits for the last.
    """
    scenario = Scenario(
        "a steady flow", messages, CONNECTIONS, rate=float(rate), are_phones_new=True
    )
    async with (
        new_site() as site,
        warm(site, scenario) as bench,
        prepared(bench.load(scenario, 1_000_000)) as driver,
    ):

        async def run() -> Flow:
            result = await run_driver(driver)
            if set(result.statuses) != {"202"}:
                raise BenchmarkError(f"the gateway answered {result.statuses}")
            await bench.smsc.wait_for(messages, _DRAIN_S)
            arrivals = bench.smsc.arrivals
            waits = sorted(at - result.sent_ns[dest] for at, dest in arrivals)
            return Flow(
                messages * 1e9 / (arrivals[-1][0] - result.first_ns),
                waits[len(waits) // 2] / 1e6,
                waits[int(len(waits) * 0.99)] / 1e6,
            )

        yield run
