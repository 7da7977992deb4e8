"""A stage for crash tests: a store with shops, simulated carriers, and gateways.

The carriers are in the test's own process, so that a test can cut, slow and silence them and sees
all that they got; the gateways are processes of their own, to be killed.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest

import gateway
from config.settings import SmsSettings
from gateway.model import State
from gateway.sandbox.smsc import SandboxSmsc
from gateway.store.cluster_files import ClusterFiles
from gateway.store.database import Database
from gateway.store.embedded import EmbeddedPostgres
from gateway.store.keys import create_key
from gateway.store.migrations import migrate
from gateway.store.numbers import assign_number
from gateway.store.shops import add_shop
from tests.accounts import check_accounts
from tests.postgres import stop_at_once
from tests.store.folders import SeenServer
from tests.store.sample import OS_USER, SAMPLE, data_folder

ROUNDS = int(os.environ.get("CRASH_ROUNDS", "20"))
"""How often a crash test repeats what it breaks."""

DEADLINE_S = 90.0
"""After this long a test gives up waiting; nothing is measured by it."""

_LINK: dict[str, float] = {
    "window": 20, "reconnect_min_s": 0.05, "reconnect_max_s": 0.2, "stable_s": 0.1,
}  # fmt: skip
_ROOT = Path(str(gateway.__file__)).parents[1]
_SMS = SmsSettings()


async def eventually(
    is_true: Callable[[], Awaitable[object]], what: str, timeout_s: float = DEADLINE_S
) -> None:
    """Wait until something that has to be asked for holds."""
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                if await is_true():
                    return
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"not within {timeout_s:g} s: {what}") from None


class Process:
    """A `gateway serve` that runs."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self.process = process
        self.log = log
        self.url = ""

    @property
    def pid(self) -> int:
        return self.process.pid

    async def ready(self) -> Process:
        """Wait until it says that it is, which names its address."""
        assert self.process.stdout is not None
        async with asyncio.timeout(DEADLINE_S):
            line = (await self.process.stdout.readline()).decode()
        assert line.startswith("ready"), f"the gateway did not start: {self.log.read_text()}"
        self.url = line.removeprefix("ready").strip()
        return self

    async def kill(self) -> None:
        """kill -9."""
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    async def ended(self) -> int:
        """Wait for its end; returns the exit status."""
        async with asyncio.timeout(DEADLINE_S):
            return await self.process.wait()

    async def stop(self) -> int:
        """SIGTERM, and wait for the end."""
        self.signal(signal.SIGTERM)
        return await self.ended()

    def said(self) -> str:
        """What it logged."""
        return self.log.read_text()


@dataclass
class Stage:
    """What a test plays on. `links` are simulated carriers by the link's name."""

    folder: Path
    links: dict[str, SandboxSmsc]
    keys: dict[str, str] = field(default_factory=dict)
    """API key by shop."""
    settings: dict[str, float] = field(default_factory=dict)
    """What links have otherwise than `_LINK`."""
    store: EmbeddedPostgres = field(init=False)
    client: Client = field(init=False)
    _processes: list[Process] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.store = EmbeddedPostgres(self.folder, os_user=OS_USER)
        self.client = Client(self)

    @property
    def smsc(self) -> SandboxSmsc:
        """The only carrier, or the first."""
        return next(iter(self.links.values()))

    async def start(self, roles: str = "api,sms,mail") -> Process:
        """Start a gateway and wait until it accepts."""
        return await (await self.begin(roles)).ready()

    async def begin(self, roles: str = "api,sms,mail") -> Process:
        """Start a gateway."""
        number = len(self._processes) + 1
        config = self.folder / f"gateway-{number}.toml"
        config.write_text(self._config())
        log = self.folder / f"gateway-{number}.log"
        with log.open("wb") as errors:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "gateway", "serve", "--config", str(config), "--roles", roles,
                stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=errors,
                cwd=_ROOT, env=_environment(),
            )  # fmt: skip
        self._processes.append(Process(process, log))
        return self._processes[-1]

    def _config(self) -> str:
        lines = [
            "[http]", 'listen = "127.0.0.1:0"', "commit_timeout_s = 3.0",
            "[store]", f'data_dir = "{self.folder}"', f'os_user = "{OS_USER}"',
            "[limits]", "retry_min_s = 0.1", "retry_max_s = 0.5",
            "[node]", "lease_s = 2.0",
        ]  # fmt: skip
        for link, smsc in self.links.items():
            lines += [
                "[[links]]", f'name = "{link}"', 'host = "127.0.0.1"', f"port = {smsc.port}",
                'system_id = "lab"', 'password = "lab"',
                *(f"{key} = {value}" for key, value in (_LINK | self.settings).items()),
            ]  # fmt: skip
        return "\n".join(lines)

    async def connect(self) -> asyncpg.Connection:
        """A connection to the store."""
        return await asyncpg.connect(**await self.store.start())

    async def check_accounts(self) -> None:
        """Assert that each message is in exactly one place."""
        connection = await self.connect()
        try:
            await check_accounts(connection)
        finally:
            await connection.close()

    async def parameters(self) -> dict[str, Any]:
        """How to connect to the store."""
        return {**await self.store.start()}

    async def fetch(self, query: str, *args: Any) -> list[asyncpg.Record]:
        """Ask the store."""
        connection = await self.connect()
        try:
            return await connection.fetch(query, *args)
        finally:
            await connection.close()

    async def drained(self) -> None:
        """Wait until nothing waits and nothing is under way."""

        async def is_empty() -> bool:
            rows = await self.fetch(
                "SELECT (SELECT count(*) FROM queue) + (SELECT count(*) FROM later)"
                " + (SELECT count(*) FROM flight) + (SELECT count(*) FROM hold) AS left"
            )
            return rows[0]["left"] == 0

        await eventually(is_empty, "the store drains")

    async def receipted(self) -> None:
        """Wait until every segment that the carrier took has its receipt."""

        async def is_complete() -> bool:
            return not await self.fetch(
                "SELECT FROM status WHERE state = $1 LIMIT 1", State.SUBMITTED
            )

        await eventually(is_complete, "all receipts are stored")

    async def without_backends(self) -> None:
        """Wait until no statement of a killed gateway can take effect any more."""

        async def is_quiet() -> bool:
            rows = await self.fetch(
                "SELECT count(*) AS left FROM pg_stat_activity"
                " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            )
            return rows[0]["left"] == 0

        await eventually(is_quiet, "the connections of the killed gateway end")

    def last_words(self) -> str:
        """The ends of all logs, for whoever looks into a failure."""
        return "\n".join(f"{p.log.name}: {p.said()[-2000:]}" for p in self._processes[-3:])

    async def end(self) -> None:
        """Kill what still runs."""
        await self.client.close()
        for process in self._processes:
            with suppress(ProcessLookupError):
                process.signal(signal.SIGCONT)
            await process.kill()
        self.store.release()


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    paths = [str(_ROOT), *(path for path in sys.path if path.endswith("site-packages"))]
    return {**kept, "PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1"}


@asynccontextmanager
async def staged(
    *,
    links: Iterable[str] = ("acme",),
    shops: Iterable[str] = ("sample",),
    disk_mb: int | None = None,
    **settings: float,
) -> AsyncIterator[Stage]:
    """A stage with its store running; at the end the accounts are checked. Each shop has a number
    on each link.

    `settings`: of the links. `disk_mb`: the size of the data folder's own disk, which takes root.
    """
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(data_folder())
        if disk_mb is not None:
            stack.enter_context(_small_disk(folder, disk_mb))
        smscs = {}
        for link in links:
            smscs[link] = smsc = SandboxSmsc()
            smsc.behaviour.receipt_delay_s = 0.01
            await smsc.start()
            stack.push_async_callback(smsc.stop)
        stage = Stage(folder, smscs, settings=settings)
        stack.push_async_callback(stage.end)
        await _furnish(stage, tuple(shops))
        try:
            yield stage
            await stage.check_accounts()
        except BaseException:
            print(stage.last_words())
            raise


@contextmanager
def _small_disk(folder: Path, size_mb: int) -> Iterator[None]:
    """A disk in memory, mounted on the folder. Skips the test where that is not allowed."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={size_mb}m,mode=711", "none", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("mounting a small disk takes root and its capabilities")
    try:
        yield
    finally:
        stop_at_once(ClusterFiles(folder / "postgres"))
        command = ["umount", "-l", str(folder)]
        subprocess.run(command, check=True)


async def _furnish(stage: Stage, shops: tuple[str, ...]) -> None:
    database = Database(stage.parameters)
    connection = await database.connect()
    await migrate(connection)
    await connection.close()
    for index, shop in enumerate(shops):
        stage.keys[shop] = await database.run(partial(_open_shop, shop, index, tuple(stage.links)))
    await database.close()


async def _open_shop(
    shop: str, index: int, links: tuple[str, ...], connection: asyncpg.Connection
) -> str:
    fields = {**SAMPLE, "code": shop, "main_phone": f"+1212555019{index}"}
    await add_shop(connection, fields, _SMS)
    for other, link in enumerate(links):
        await assign_number(connection, number_of(index, other), shop, link, "smpp", _SMS)
    return await create_key(connection, shop)


def number_of(shop: int, link: int = 0) -> str:
    """The number that the shop of this index has on the link of this index."""
    return f"+121255501{70 + shop * 4 + link}"


class Client:
    """Posts messages, and remembers what became of each post."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20))

    async def post(
        self, url: str, shop: str = "sample", **fields: Any
    ) -> tuple[int, dict[str, Any]]:
        """Status and body of the answer. Raises aiohttp.ClientError when there is none."""
        headers = {"Authorization": f"Bearer {self._stage.keys[shop]}"}
        fields.setdefault("to", "+12125550100")
        async with self._session.post(f"{url}/v1/messages", json=fields, headers=headers) as answer:
            return answer.status, json.loads(await answer.read())

    async def get(self, url: str, path: str) -> tuple[int, dict[str, Any]]:
        """Status and body of the answer to a look-up."""
        headers = {"Authorization": f"Bearer {next(iter(self._stage.keys.values()))}"}
        async with self._session.get(url + path, headers=headers) as answer:
            return answer.status, json.loads(await answer.read())

    async def close(self) -> None:
        """End its connections."""
        await self._session.close()


@contextmanager
def hanging_database(stage: Stage) -> Iterator[None]:
    """PostgreSQL takes connections and statements, and answers none of them."""
    if not Path("/proc/self/stat").exists():
        pytest.skip("the server's processes are looked for in /proc")
    server = SeenServer(stage.folder).server_pid()
    os.kill(server, signal.SIGSTOP)  # first, so that it has no further children
    stopped = [server, *_children(server)]
    for pid in stopped:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in stopped:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def _children(parent: int) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (entry / "stat").read_text().rpartition(")")[2].split()[1] == str(parent):
                found.append(int(entry.name))
    return found
