"""`python -m bench.links`: what links carry, what many of them cost at rest, and what receipts of
messages long gone do to a gateway.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import time
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench import machine, report
from bench.driver import Load
from bench.machine import family_s, processor_s
from bench.site import (
    LINK,
    BenchmarkError,
    Process,
    Site,
    Smsc,
    drive,
    new_site,
    running,
    running_gateway,
)
from gateway.sandbox.receipt_pdu import receipt_body
from protocols.smpp import Answered, BindRequested, Event, Message, Role, Session
from protocols.smpp.connection import SmppConnection, serve
from protocols.sms.receipts import ReceiptState

ROUND_TRIP_MS = 50
WINDOW = 100
MANY = 200
_DRAIN_S = 60.0
_SETTLE_S = 20.0
"""From the start of many links to their steady state."""
_EARLY = "SELECT count(*) FROM early_receipt"


@dataclass
class Carried:
    """What a link carried: segments a second between the first and the last tenth."""

    binds: int
    per_second: float
    gateway_us: float


@dataclass
class Rest:
    """What many links cost each second while nothing is sent."""

    links: int
    state: str
    seconds: float
    gateway_ms: float
    postgres_ms: float
    transactions: float
    rss_mb: float


@dataclass
class Gone:
    """What receipts that match no message did."""

    receipts: int
    per_second: float
    refused: int
    rss_before_mb: float
    rss_peak_mb: float
    rss_after_mb: float
    rows_peak: int
    rows_after: int
    unmatched: int
    dropped: int


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench.links", description="Measure links.")
    add = parser.add_argument
    add("--quick", action="store_true", help="a smoke run; its figures mean little")
    add("--only", choices=("carried", "rest", "gone"), help="only this")
    add("--receipts", type=int, default=250_000, metavar="N", help="default 250,000")
    add("--seconds", type=float, default=60.0, help="of rest (default 60)")
    add("--json", type=Path, metavar="FILE", help="write all figures there")
    options = parser.parse_args()
    try:
        told = asyncio.run(_run(options))
    except BenchmarkError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    if options.json is not None:
        options.json.write_text(json.dumps(told, indent=1) + "\n")
    return 0


async def _run(options: argparse.Namespace) -> dict[str, Any]:
    told: dict[str, Any] = {"machine": machine.describe()}
    report.conditions(told["machine"])
    quick, only = options.quick, options.only
    async with new_site() as site:
        if only in (None, "carried"):
            told["carried"] = []
            first = 1_000_000
            for binds in (1, 2, 4):
                count = (500 if quick else 10_000) * binds
                told["carried"].append(asdict(await carried(site, binds, count, first)))
                first += count
                _say_carried(told["carried"][-1])
        if only in (None, "rest"):
            told["rest"] = []
            links, seconds = (10, 5.0) if quick else (MANY, options.seconds)
            for is_up in (True, False):
                told["rest"].append(asdict(await rest(site, links, seconds, is_up=is_up)))
                _say_rest(told["rest"][-1])
        if only in (None, "gone"):
            count = 5_000 if quick else options.receipts
            told["gone"] = asdict(await gone(site, count))
            _say_gone(told["gone"])
    return told


# What a link carries ------------------------------------------------------------------------------


def _settings(site: Site, links: list[str]) -> Path:
    lines = [
        '[http]\nlisten = "127.0.0.1:0"',
        f'[store]\ndata_dir = "{site.folder / "data"}"',
        '[log]\nlevel = "error"',
        *links,
    ]
    path = site.folder / "links.toml"
    path.write_text("\n".join(lines) + "\n")
    return path


def _link(name: str, port: int, **more: int) -> str:
    lines = [
        f'[[links]]\nname = "{name}"\nhost = "127.0.0.1"\nport = {port}',
        'system_id = "lab"\npassword = "lab"',
        *(f"{key} = {value}" for key, value in more.items()),
    ]
    return "\n".join(lines)


@asynccontextmanager
async def _smsc(site: Site, response_ms: int) -> AsyncIterator[Smsc]:
    log = site.folder / "smsc.log"
    log.write_bytes(b"")
    arguments = ["-m", "gateway.sandbox.smsc", "--keep", "0", "--log", str(log), "--no-receipts"]
    async with running([*arguments, "--response-delay", str(response_ms)]) as process:
        yield Smsc(process, log)


async def carried(site: Site, binds: int, count: int, first: int) -> Carried:
    """Fill the queue, and watch the segments arrive at a carrier 50 ms away."""
    async with _smsc(site, ROUND_TRIP_MS) as smsc:
        settings = _settings(site, [_link(LINK, smsc.port, binds=binds, window=WINDOW)])
        async with running_gateway(settings) as (gateway, port):
            await asyncio.sleep(1.0)
            before = processor_s(gateway.pid)
            load = Load(port, count, 4, site.senders, min(500, count), first=first)
            statuses = (await drive(load)).statuses
            if set(statuses) != {"202"}:
                raise BenchmarkError(f"the gateway answered {statuses}")
            await smsc.wait_for(count, _DRAIN_S)
            took_s = processor_s(gateway.pid) - before
    times = sorted(at for at, _ in smsc.arrivals)
    tenth = len(times) // 10
    span_ns = times[-tenth] - times[tenth]
    return Carried(binds, (len(times) - 2 * tenth) * 1e9 / span_ns, took_s * 1e6 / count)


# At rest ------------------------------------------------------------------------------------------


async def rest(site: Site, links: int, seconds: float, *, is_up: bool) -> Rest:
    """Watch a gateway with many links that have nothing to send."""
    count = (
        "SELECT xact_commit + xact_rollback FROM pg_stat_database"
        " WHERE datname = current_database()"
    )
    async with _smsc(site, 0) as smsc:
        port = smsc.port if is_up else 1
        settings = _settings(site, [_link(f"many-{n}", port) for n in range(links)])
        async with running_gateway(settings) as (gateway, _port):
            await asyncio.sleep(min(_SETTLE_S, seconds * 2))
            up = await site.value("SELECT count(*) FROM link_state WHERE state = 'up'")
            if is_up and up < links:
                raise BenchmarkError(f"{up} of {links} links are up")
            transactions = await site.value(count)
            before = processor_s(gateway.pid), family_s(site.postmaster)
            await asyncio.sleep(seconds)
            after = processor_s(gateway.pid), family_s(site.postmaster)
            transactions = await site.value(count) - transactions
            memory = _rss_mb(gateway)[0]
    return Rest(
        links,
        "up" if is_up else "down",
        seconds,
        (after[0] - before[0]) * 1000 / seconds,
        (after[1] - before[1]) * 1000 / seconds,
        transactions / seconds,
        memory,
    )


def _rss_mb(process: Process) -> tuple[float, float]:
    """Resident memory now, and the most there ever was."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    found = dict(re.findall(r"^(VmRSS|VmHWM):\s+(\d+) kB", status, re.MULTILINE))
    return int(found["VmRSS"]) / 1024, int(found["VmHWM"]) / 1024


# Receipts of messages long gone -------------------------------------------------------------------


class Chatter:
    """An SMSC that sends receipts for messages nobody knows, as fast as they are acknowledged."""

    def __init__(self, count: int, window: int = 500) -> None:
        self.left = count
        self.refused = 0
        self.acknowledged = 0
        self.ended_at = 0.0
        self.began_at = 0.0
        self.is_done = asyncio.Event()
        self.is_bound = asyncio.Event()
        self._count = count
        self._window = window
        self._bound: SmppConnection | None = None

    def connect(self) -> SmppConnection:
        """A connection comes."""
        session = Session(Role.SMSC, window=self._window)
        connection = SmppConnection(session, lambda events: self._on_events(connection, events))
        return connection

    def _on_events(self, connection: SmppConnection, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, BindRequested):
                connection.session.accept_bind(event.request, "sample")
                self._bound = connection
                self.is_bound.set()
            elif isinstance(event, Answered):
                self.acknowledged += 1
                self.refused += event.status != 0
        if self.acknowledged == self._count and not self.is_done.is_set():
            self.ended_at = time.monotonic()
            self.is_done.set()
        if self.began_at:
            self.pump()

    def pump(self) -> None:
        """Send what the window takes."""
        self.began_at = self.began_at or time.monotonic()
        connection = self._bound
        if connection is None:
            return
        session, now = connection.session, asyncio.get_running_loop().time()
        while self.left and session.room:
            number = self._count - self.left
            self.left -= 1
            session.request(_receipt(number), now)
        connection.flush()


def _receipt(number: int) -> bytes:
    message = Message(source="13125550100", dest=f"1646{number % 10_000_000:07d}")
    return receipt_body(
        message,
        f"{1_000_000_000 + number}",
        ReceiptState.DELIVERED,
        submitted="2001010000",
        done="2001010001",
    )


async def gone(site: Site, count: int) -> Gone:
    """Let a carrier tell of messages that this gateway never sent."""
    chatter = Chatter(count)
    server = await serve("127.0.0.1", 0, chatter.connect)
    port = server.sockets[0].getsockname()[1]
    rows: list[int] = []
    try:
        async with running_gateway(_settings(site, [_link(LINK, port)])) as (gateway, api):
            async with asyncio.timeout(30):
                await chatter.is_bound.wait()
            await asyncio.sleep(1.0)
            before = _rss_mb(gateway)[0]
            chatter.pump()
            while not chatter.is_done.is_set():
                rows.append(await site.value(_EARLY))
                try:
                    async with asyncio.timeout(1.0):
                        await chatter.is_done.wait()
                except TimeoutError:
                    continue
            rows.append(await site.value(_EARLY))
            await asyncio.sleep(40.0 if count > 10_000 else 1.0)  # all further tries are over
            after, peak = _rss_mb(gateway)
            counts = await asyncio.to_thread(_metrics, api)
            return Gone(
                count,
                count / (chatter.ended_at - chatter.began_at),
                chatter.refused,
                before,
                peak,
                after,
                max(rows),
                await site.value(_EARLY),
                counts.get("receipts_unmatched", 0),
                counts.get("receipts_dropped", 0),
            )
    finally:
        server.close()


def _metrics(port: int) -> dict[str, int]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    found = re.findall(r"^gateway_(receipts_\w+?)(?:_total)? (\S+)$", text, re.MULTILINE)
    return {name: int(float(value)) for name, value in found}


# Words --------------------------------------------------------------------------------------------


def _say_carried(f: dict[str, Any]) -> None:
    print(
        f"{f['binds']} bind(s) at {ROUND_TRIP_MS} ms, window {WINDOW}:"
        f" {f['per_second']:,.0f} segments/s, gateway {f['gateway_us']:.0f} us a message"
    )


def _say_rest(f: dict[str, Any]) -> None:
    print(
        f"{f['links']} links {f['state']} for {f['seconds']:.0f} s:"
        f" gateway {f['gateway_ms']:.1f} ms/s, PostgreSQL {f['postgres_ms']:.1f} ms/s,"
        f" {f['transactions']:.1f} transactions/s, {f['rss_mb']:.0f} MB"
    )


def _say_gone(f: dict[str, Any]) -> None:
    print(
        f"{f['receipts']:,} receipts of unknown messages: {f['per_second']:,.0f}/s,"
        f" {f['refused']:,} refused; memory {f['rss_before_mb']:.0f} MB,"
        f" peak {f['rss_peak_mb']:.0f}, after {f['rss_after_mb']:.0f};"
        f" rows peak {f['rows_peak']:,}, after {f['rows_after']:,};"
        f" counted: {f['unmatched']:,} unmatched, {f['dropped']:,} dropped"
    )


if __name__ == "__main__":
    sys.exit(main())
