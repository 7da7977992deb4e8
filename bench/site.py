"""The benchmark's own installation: data, shops, a simulated carrier, a gateway, a driver."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

from bench.driver import Load, Result
from bench.people import Sender
from config.settings import SmsSettings, StoreSettings
from gateway.store import keys, numbers, shops
from gateway.store.database import Database
from gateway.store.opening import open_store

ROOT = Path(__file__).parent.parent
SHOPS = 20
LINK = "acme"
_WAIT_S = 30.0


class BenchmarkError(Exception):
    """Something did not do its part; the text says what."""


@dataclass
class Site:
    """A folder with data and settings, its store, and the shops in it."""

    folder: Path
    database: Database
    senders: list[Sender] = field(default_factory=list)

    @property
    def postmaster(self) -> int:
        """The process id of the PostgreSQL server."""
        (pid_file,) = (self.folder / "data" / "postgres").glob("cluster-*/postmaster.pid")
        return int(pid_file.read_text().split()[0])

    async def value(self, query: str, *args: Any) -> Any:
        """The one value that a query returns."""
        connection = await self.database.connect()
        try:
            return await connection.fetchval(query, *args)
        finally:
            await connection.close()

    def settings(self, smsc_port: int, dead_links: int = 0) -> Path:
        """A settings file: a link to the SMSC, and `dead_links` to where nobody listens."""
        lines = [
            '[http]\nlisten = "127.0.0.1:0"',
            f'[store]\ndata_dir = "{self.folder / "data"}"',
            '[log]\nlevel = "error"',
            _link(LINK, smsc_port),
            *(_link(f"dead-{n}", 1) for n in range(dead_links)),
        ]
        path = self.folder / "gateway.toml"
        path.write_text("\n".join(lines) + "\n")
        return path


def _link(name: str, port: int) -> str:
    return (
        f'[[links]]\nname = "{name}"\nhost = "127.0.0.1"\nport = {port}\n'
        f'system_id = "lab"\npassword = "lab"'
    )


def _new_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="gateway-bench-"))
    folder.chmod(0o755)
    return folder


@asynccontextmanager
async def new_site() -> AsyncIterator[Site]:
    """A fresh installation, removed afterwards. PostgreSQL's own user can enter its folder."""
    folder = _new_folder()
    try:
        store = StoreSettings(data_dir=folder / "data")
        database, release = await open_store(store)
        try:
            site = Site(folder, database)
            site.senders = await database.run(_furnish)
            yield site
        finally:
            await database.close()
            release()
        await _server_gone(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _furnish(connection: asyncpg.Connection) -> list[Sender]:
    """Shops with a number and a key each."""
    sms = SmsSettings()
    senders = []
    for n in range(SHOPS):
        code = f"sample-{n}"
        values: dict[str, str | None] = {
            "code": code,
            "name": f"Sample Bridal {n}",
            "main_phone": f"+121255501{n:02d}",
            "contact_email": "owner@example.com",
            "time_zone": "America/New_York",
        }
        await shops.add_shop(connection, values, sms)
        await numbers.assign_number(connection, f"+131255501{n:02d}", code, LINK, "smpp", sms)
        senders.append(Sender(code, await keys.create_key(connection, code)))
    return senders


async def _server_gone(folder: Path) -> None:
    """Wait until the server has ended: it lives a second longer than its last user."""
    deadline = time.monotonic() + _WAIT_S
    while time.monotonic() < deadline:
        if not list((folder / "data" / "postgres").glob("cluster-*/postmaster.pid")):
            return
        await asyncio.sleep(0.1)


# Processes ----------------------------------------------------------------------------------------


class Process:
    """A Python process of ours that says `ready` and perhaps more when it is."""

    def __init__(self, process: asyncio.subprocess.Process, told: str) -> None:
        self._process = process
        self.told = told
        """What followed `ready`."""

    @property
    def pid(self) -> int:
        return self._process.pid

    async def line(self, timeout_s: float = _WAIT_S) -> str:
        """The next line that it prints."""
        assert self._process.stdout is not None  # noqa: S101
        async with asyncio.timeout(timeout_s):
            return (await self._process.stdout.readline()).decode()

    def say(self, text: str) -> None:
        """Write a line to its standard input."""
        assert self._process.stdin is not None  # noqa: S101
        self._process.stdin.write(text.encode() + b"\n")

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    async def end(self) -> None:
        """End it in order, or else at once."""
        if self._process.returncode is None:
            self._process.terminate()
            try:
                async with asyncio.timeout(_WAIT_S):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
                await self._process.wait()


async def _start(arguments: Sequence[str], first_line: str = "") -> Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 26,
    )
    started = Process(process, "")
    if first_line:
        started.say(first_line)
    line = await started.line()
    if not line.startswith("ready"):
        await started.end()
        raise BenchmarkError(f"{' '.join(arguments[:3])} did not start: {line!r}")
    started.told = line[5:].strip()
    return started


@asynccontextmanager
async def running(arguments: Sequence[str], first_line: str = "") -> AsyncIterator[Process]:
    """A process for the length of a block."""
    process = await _start(arguments, first_line)
    try:
        yield process
    finally:
        await process.end()


class Smsc:
    """The simulated SMSC, counted by its log."""

    def __init__(self, process: Process, log: Path) -> None:
        self._log = log
        self.pid = process.pid
        self.port = int(process.told)
        self._position = 0
        self.arrivals: list[tuple[int, str]] = []
        """Monotonic nanoseconds and destination of each submit_sm, since the last `forget`."""

    def forget(self) -> None:
        """Count from here on."""
        self._read()
        self.arrivals = []

    async def wait_for(self, count: int, timeout_s: float) -> None:
        """Wait until so many have come."""
        deadline = time.monotonic() + timeout_s
        while True:
            self._read()
            if len(self.arrivals) >= count:
                return
            if time.monotonic() > deadline:
                raise BenchmarkError(f"{len(self.arrivals)} of {count} texts reached the carrier")
            await asyncio.sleep(0.05)

    def _read(self) -> None:
        with self._log.open("rb") as file:
            file.seek(self._position)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._position += len(whole)
        for line in whole.decode().splitlines():
            at, _session, dest, _rest = line.split(" ", 3)
            self.arrivals.append((int(at), dest))


@asynccontextmanager
async def running_smsc(site: Site, *, has_receipts: bool) -> AsyncIterator[Smsc]:
    """The simulated SMSC; receipts follow after 50 ms."""
    log = site.folder / "smsc.log"
    log.write_bytes(b"")
    arguments = ["-m", "gateway.sandbox.smsc", "--keep", "0", "--log", str(log)]
    arguments.append("--receipts" if has_receipts else "--no-receipts")
    async with running(arguments) as process:
        yield Smsc(process, log)


@asynccontextmanager
async def running_gateway(
    settings: Path, profile: Path | None = None
) -> AsyncIterator[tuple[Process, int]]:
    """A gateway and its port; with `profile`, under the sampler that writes there."""
    how = ["-m", "gateway"] if profile is None else ["-m", "bench.sampler", str(profile)]
    async with running([*how, "serve", "--config", str(settings)]) as process:
        yield process, int(process.told.rpartition(":")[2])


async def drive(load: Load) -> Result:
    """Run the load driver to its end."""
    async with prepared(load) as driver:
        return await run_driver(driver)


@asynccontextmanager
async def prepared(load: Load) -> AsyncIterator[Process]:
    """A load driver that has its requests and connections, and waits."""
    async with running(["-m", "bench.driver"], json.dumps(asdict(load))) as driver:
        yield driver


async def run_driver(driver: Process) -> Result:
    """Let a driver go, and wait for what it says."""
    driver.say("go")
    return Result(**json.loads(await driver.line(120.0)))
