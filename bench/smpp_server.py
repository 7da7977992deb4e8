"""`python -m bench.smpp_server`: what ESMEs get from the SMPP server, and what attacks cost them.

Measured are submissions a second by one bind and by four, with and without receipts; the time from
submit_sm to submit_sm_resp and the time to connect and bind, at a steady pace, alone and beside
1,000 half-open connections and 100 wrong passwords a second, each from an address of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from bench import machine, report
from bench.esme_peer import Result, Task
from bench.site import Process, Site, new_site, running, running_gateway, running_smsc
from gateway.store.esmes import EsmeOptions, add_esme

WAIT_S = 120.0
_UNDER_WAY = """
SELECT (SELECT count(*) FROM queue) + (SELECT count(*) FROM flight)
     + (SELECT count(*) FROM status WHERE state = 4)
"""


async def _run(seconds: float) -> dict[str, Any]:
    told: dict[str, Any] = {"machine": machine.describe()}
    report.conditions(told["machine"])
    port = _free_port()
    async with new_site() as site:
        sync = machine.measure_sync(site.folder)
        print(f"fdatasync of 8 KiB: median {sync.median_us:.0f} us, p99 {sync.p99_us:.0f} us\n")
        options = EsmeOptions(binds=16, window=1_000)
        password = await site.database.run(
            lambda c: add_esme(c, "good", shop="sample-0", options=options)
        )
        async with (
            running_smsc(site, has_receipts=True) as smsc,
            running_gateway(_settings(site, smsc.port, port)) as (gateway, _),
        ):
            told["figures"] = await _measure(site, gateway, Task("", port, seconds, password))
    return told


async def _measure(site: Site, gateway: Process, task: Task) -> list[dict[str, Any]]:
    pace = replace(task, what="submit", rate=200.0)
    binds = replace(task, what="bind", rate=20.0)
    fast = replace(task, what="submit")
    found = []
    for name, tasks in (
        ("warm-up", [replace(fast, seconds=2.0)]),
        ("one bind, window 100", [fast]),
        ("four binds, window 100", [replace(fast, binds=4, first=1_000_000)]),
        ("200/s alone", [pace]),
        ("20 binds/s alone", [binds]),
        ("200/s under attack", [pace, replace(task, what="attack")]),
        ("20 binds/s under attack", [binds, replace(task, what="attack")]),
        ("one bind, receipts", [replace(fast, registered_delivery=1)]),
    ):
        before = machine.processor_s(gateway.pid)
        results = await _perform(tasks)
        cpu_s = machine.processor_s(gateway.pid) - before
        waiting = await site.value("SELECT count(*) FROM esme_outbox")
        _print(name, results, cpu_s, waiting)
        found.append({"name": name, "results": [asdict(r) for r in results], "gateway_s": cpu_s})
        await _drained(site)
    return found


async def _perform(tasks: list[Task]) -> list[Result]:
    """Run peers side by side."""
    async with _peers(tasks) as processes:
        for process in reversed(processes):
            process.say("go")
        lines = await asyncio.gather(*(process.line(WAIT_S) for process in processes))
    return [Result(**json.loads(line)) for line in lines]


@asynccontextmanager
async def _peers(tasks: list[Task]) -> AsyncIterator[list[Process]]:
    if not tasks:
        yield []
        return
    first, *rest = tasks
    async with (
        running(["-m", "bench.esme_peer"], json.dumps(asdict(first))) as process,
        _peers(rest) as others,
    ):
        yield [process, *others]


async def _drained(site: Site) -> None:
    """Wait until nothing of this load is under way, receipts included."""
    for _ in range(240):
        if not await site.value(_UNDER_WAY):
            return
        await asyncio.sleep(0.5)


def _print(name: str, results: list[Result], cpu_s: float, waiting: int) -> None:
    good = results[0]
    each_us = cpu_s * 1e6 / max(good.count, 1)
    print(
        f"{name:26}{good.per_s:>9,.0f}/s  p50 {good.p50_ms:7.2f} ms  p99 {good.p99_ms:7.2f} ms  "
        f"worst {good.worst_ms:7.1f} ms  gateway {each_us:6.0f} us each  receipts {good.receipts} "
        f"(+{waiting})  {good.statuses} faults {good.faults}",
        flush=True,
    )
    for other in results[1:]:
        print(f"{'':26}attack: {other.per_s:,.0f} guesses/s {other.statuses}", flush=True)


def _settings(site: Site, smsc_port: int, port: int) -> Path:
    path = site.settings(smsc_port)
    text = path.read_text()
    path.write_text(f'[smpp]\nlisten = "127.0.0.1:{port}"\n{text}')
    return path


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench.smpp_server", description=__doc__)
    parser.add_argument("--seconds", type=float, default=8.0, help="length of each load")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    options = parser.parse_args()
    told = asyncio.run(_run(options.seconds))
    if options.json is not None:
        options.json.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
