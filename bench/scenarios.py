"""The measurements of a whole gateway under load: what is posted, and what is read off."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.driver import Load, Result
from bench.machine import Sync, busy_s, family_s, measure_sync, processor_s
from bench.people import KNOWN
from bench.site import (
    BenchmarkError,
    Process,
    Site,
    Smsc,
    drive,
    prepared,
    run_driver,
    running_gateway,
    running_smsc,
)

WARM_UP = KNOWN
_DRAIN_S = 60.0
DIRECT = "SELECT count(*) FROM message WHERE id > $1 AND place = 2"
"""Messages that were handed to the link from memory, past the queue."""


@dataclass(frozen=True)
class Scenario:
    """One kind of load. `rate` 0: as fast as answers come."""

    name: str
    messages: int
    connections: int
    batch: int = 1
    rate: float = 0.0
    has_receipts: bool = False
    are_phones_new: bool = False


@dataclass
class Figures:
    """What one run showed; rates a second, processor time and WAL for each message."""

    scenario: str
    messages: int
    connections: int
    accepted_per_s: float
    submitted_per_s: float
    committed_per_s: float | None
    answer_p50_ms: float
    answer_p99_ms: float
    submit_p50_ms: float | None
    submit_p99_ms: float | None
    gateway_us: float
    postgres_us: float
    wal_bytes: float
    direct: float
    others: float
    sync_median_us: float
    faults: dict[str, int] = field(default_factory=dict)


@dataclass
class _Meters:
    """Readings at one moment."""

    gateway_s: float
    postgres_s: float
    others_s: float
    """Of processes that have nothing to do with the benchmark."""
    lsn: int
    at_s: float

    @classmethod
    async def read(cls, bench: Bench, driver: Process) -> _Meters:
        lsn = await bench.site.value("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn")
        gateway_s, postgres_s = processor_s(bench.gateway.pid), family_s(bench.site.postmaster)
        tools_s = processor_s(bench.smsc.pid) + processor_s(os.getpid(), with_ended=True)
        # Once it has ended, its time is in ours.
        with contextlib.suppress(FileNotFoundError):
            tools_s += processor_s(driver.pid)
        others_s = busy_s() - gateway_s - postgres_s - tools_s
        return cls(gateway_s, postgres_s, others_s, int(lsn), time.monotonic())

    def others_since(self, before: _Meters) -> float:
        """The share of the machine that others had."""
        passed_s = (self.at_s - before.at_s) * (os.cpu_count() or 1)
        return max(0.0, (self.others_s - before.others_s) / passed_s)


@dataclass
class Bench:
    """A gateway with its carrier, warmed up."""

    site: Site
    smsc: Smsc
    gateway: Process
    port: int

    def load(self, scenario: Scenario, first: int) -> Load:
        """What the driver is to post."""
        return Load(
            port=self.port,
            messages=scenario.messages,
            connections=scenario.connections,
            senders=self.site.senders,
            batch=scenario.batch,
            rate=scenario.rate,
            first=first,
            are_phones_new=scenario.are_phones_new,
        )


@asynccontextmanager
async def warm(site: Site, scenario: Scenario, profile: Path | None = None) -> AsyncIterator[Bench]:
    """A carrier and a gateway for a scenario, with a `profile` under the sampler."""
    async with (
        running_smsc(site, has_receipts=scenario.has_receipts) as smsc,
        running_gateway(site.settings(smsc.port), profile) as (gateway, port),
    ):
        bench = Bench(site, smsc, gateway, port)
        batch = 1 if scenario.batch == 1 else min(scenario.batch, WARM_UP)
        known = Load(port, WARM_UP, min(scenario.connections, 32), site.senders, batch)
        statuses = (await drive(known)).statuses
        if set(statuses) != {"202"}:
            raise BenchmarkError(f"the gateway answered {statuses}")
        await smsc.wait_for(WARM_UP, _DRAIN_S)
        await asyncio.sleep(0.5)
        smsc.forget()
        yield bench


async def measure(site: Site, scenario: Scenario, first: int) -> Figures:
    """One run. `first` numbers its messages, so that no two runs have one in common."""
    sync = measure_sync(site.folder)
    async with warm(site, scenario) as bench, prepared(bench.load(scenario, first)) as driver:
        lowest = await site.value("SELECT coalesce(max(id), 0) FROM message")
        before = await _Meters.read(bench, driver)
        wall = time.time() - time.monotonic()
        result = await run_driver(driver)
        faults = {status: n for status, n in result.statuses.items() if status != "202"}
        if not faults:
            await bench.smsc.wait_for(scenario.messages, _DRAIN_S)
        done_ns = None
        if scenario.has_receipts:
            done_ns = await _last_commit_ns(site, lowest, scenario.messages, wall)
        after = await _Meters.read(bench, driver)
        figures = _figures(scenario, result, bench.smsc, before, after, sync, done_ns, faults)
        figures.direct = await site.value(DIRECT, lowest) / scenario.messages
        return figures


def _figures(
    scenario: Scenario,
    result: Result,
    smsc: Smsc,
    before: _Meters,
    after: _Meters,
    sync: Sync,
    done_ns: int | None,
    faults: dict[str, int],
) -> Figures:
    n = scenario.messages
    arrivals = smsc.arrivals
    waits = sorted(at - result.sent_ns[dest] for at, dest in arrivals if dest in result.sent_ns)
    if len(arrivals) != n:
        faults["submit_sm"] = len(arrivals)
    return Figures(
        scenario=scenario.name,
        messages=n,
        connections=scenario.connections,
        accepted_per_s=_rate(n, result.first_ns, result.last_ns),
        submitted_per_s=_rate(n, result.first_ns, arrivals[-1][0]) if arrivals else 0.0,
        committed_per_s=None if done_ns is None else _rate(n, result.first_ns, done_ns),
        answer_p50_ms=result.p50_ms,
        answer_p99_ms=result.p99_ms,
        submit_p50_ms=waits[len(waits) // 2] / 1e6 if waits else None,
        submit_p99_ms=waits[int(len(waits) * 0.99)] / 1e6 if waits else None,
        gateway_us=(after.gateway_s - before.gateway_s) * 1e6 / n,
        postgres_us=(after.postgres_s - before.postgres_s) * 1e6 / n,
        wal_bytes=(after.lsn - before.lsn) / n,
        direct=0.0,
        others=after.others_since(before),
        sync_median_us=sync.median_us,
        faults=faults,
    )


def _rate(count: int, begin_ns: int, end_ns: int) -> float:
    return count * 1e9 / (end_ns - begin_ns)


async def _last_commit_ns(site: Site, lowest: int, count: int, wall: float) -> int:
    """When the last of the messages above `lowest` was delivered, by the status rows' own times."""
    deadline = time.monotonic() + _DRAIN_S
    connection = await site.database.connect()
    try:
        while True:
            row = await connection.fetchrow(
                "SELECT count(*) AS count, max(done_ms) AS done FROM status"
                " WHERE id > $1 AND state = 5",
                lowest,
            )
            assert row is not None  # noqa: S101
            if row["count"] >= count:
                return int((row["done"] / 1000 - wall) * 1e9)
            if time.monotonic() > deadline:
                raise BenchmarkError(f"{row['count']} of {count} receipts were committed")
            await asyncio.sleep(0.2)
    finally:
        await connection.close()


async def profile(site: Site, scenario: Scenario, first: int) -> dict[str, Any]:
    """The same load with the sampler on: what the gateway's processor time went into."""
    path = site.folder / "profile.json"
    path.unlink(missing_ok=True)
    async with (
        warm(site, scenario, path) as bench,
        prepared(bench.load(scenario, first)) as driver,
    ):
        bench.gateway.signal(signal.SIGUSR1)
        await asyncio.sleep(0.2)
        await run_driver(driver)
        bench.gateway.signal(signal.SIGUSR2)
        for _ in range(100):
            await asyncio.sleep(0.05)
            if path.exists() and path.stat().st_size:
                break
        await bench.smsc.wait_for(scenario.messages, _DRAIN_S)
    told: dict[str, Any] = json.loads(path.read_text())
    return told


@dataclass
class Idle:
    """What an installation costs at rest, each second."""

    dead_links: int
    gateway_ms: float
    postgres_ms: float
    transactions: float


async def idle(site: Site, dead_links: int, seconds: float) -> Idle:
    """Watch a gateway that has nothing to do."""
    count = (
        "SELECT xact_commit + xact_rollback FROM pg_stat_database"
        " WHERE datname = current_database()"
    )
    async with (
        running_smsc(site, has_receipts=False) as smsc,
        running_gateway(site.settings(smsc.port, dead_links)) as (gateway, _port),
    ):
        await asyncio.sleep(3.0)
        transactions = await site.value(count)
        before = processor_s(gateway.pid), family_s(site.postmaster)
        await asyncio.sleep(seconds)
        after = processor_s(gateway.pid), family_s(site.postmaster)
        transactions = await site.value(count) - transactions
    return Idle(
        dead_links,
        (after[0] - before[0]) * 1000 / seconds,
        (after[1] - before[1]) * 1000 / seconds,
        transactions / seconds,
    )
