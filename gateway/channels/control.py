"""What operators tell the links of all nodes, through the store: to rest, to go on, to show their
PDUs. Announced by NOTIFY, so that it works beside any node; what lasts is in the table `link`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Any

import asyncpg

from gateway.channels.bound import BoundLink
from gateway.channels.trace import Trace
from gateway.errors import StoreDown
from gateway.store.database import CONNECTION_ERRORS, Database
from gateway.store.links import CHANNEL, TRACE_CHANNEL
from gateway.store.queries import load

log = logging.getLogger(__name__)

SQL = load("links")

LOOK_S = 10.0
"""How often it is read who should rest, in case an announcement was lost."""
RETRY_S = 1.0
TRACES_MAX = 4
TRACE_MAX_S = 3_600.0
TRACE_LINES_MAX = 200
_PAYLOAD_MAX = 7_900
"""Octets: a NOTIFY takes fewer than 8,000."""
_WAITING_MAX = 200

_FAILURES: tuple[type[BaseException], ...] = (
    *CONNECTION_ERRORS,
    StoreDown,
    asyncpg.PostgresError,
)


class LinkControl:
    """Follows what operators want of this node's links."""

    def __init__(self, database: Database, find: Callable[[str], object | None]) -> None:
        """`find` gives a link of this node by its name."""
        self._database = database
        self._find = find
        self.stopped: set[str] = set()
        """Names of links that should rest, as of the last reading."""
        self._connection: asyncpg.Connection | None = None
        self._wake = asyncio.Event()
        self._told: list[str] = []
        """Trace lines on their way out, as payloads."""
        self._traces: list[Trace] = []
        self._changing: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Follow, for ever."""
        try:
            while True:
                try:
                    await self._follow()
                except _FAILURES as error:
                    log.debug("operators' wishes are read later: %s", error)
                    self._drop()
                    await asyncio.sleep(RETRY_S)
        finally:
            self._drop()
            for trace in self._traces:
                trace.stop()

    async def read(self) -> None:
        """Read now who should rest. Raises StoreDown."""
        self._apply(await self._database.fetch(SQL["stopped"]))

    def _apply(self, rows: list[asyncpg.Record]) -> None:
        """Let every link do what its row says."""
        self.stopped = {row["name"] for row in rows if row["is_stopped"]}
        for row in rows:
            link = self._find(row["name"])
            if isinstance(link, BoundLink) and link.is_stopped != row["is_stopped"]:
                self._change(link, row["is_stopped"])

    def _change(self, link: BoundLink, is_stopped: bool) -> None:
        if link.name in self._changing:
            return  # it is read once more when this is done
        log.info("link %s is told to %s", link.name, "stop" if is_stopped else "start")
        if not is_stopped:
            link.start()
            return
        task = asyncio.create_task(link.stop(), name=f"stop {link.name}")
        self._changing[link.name] = task
        task.add_done_callback(partial(self._on_changed, link.name))

    def _on_changed(self, name: str, task: asyncio.Task[None]) -> None:
        del self._changing[name]
        self._wake.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("link %s could not be stopped in order", name, exc_info=error)

    async def _follow(self) -> None:
        connection = self._connection
        if connection is None or connection.is_closed():
            connection = await self._database.connect(
                server_settings={"application_name": "gateway link control"}
            )
            self._connection = connection
            await connection.add_listener(CHANNEL, self._heard)
        self._wake.clear()
        if not self._told:
            self._apply(await connection.fetch(SQL["stopped"]))
        told, self._told = self._told, []
        for payload in told:
            await connection.execute("SELECT pg_notify($1, $2)", TRACE_CHANNEL, payload)
        try:
            async with asyncio.timeout(LOOK_S):
                await self._wake.wait()
        except TimeoutError:
            return

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    def _heard(self, _connection: Any, _pid: int, _channel: str, payload: object) -> None:
        words = str(payload).split()
        if len(words) == 5 and words[0] == "trace":
            try:
                self._trace(words[1], float(words[2]), int(words[3]), words[4])
            except ValueError:
                return
        elif len(words) == 2 and words[0] == "end":
            for trace in self._traces:
                if trace.token == words[1]:
                    trace.stop()
        self._wake.set()

    # Traces --------------------------------------------------------------------------------------

    def _trace(self, name: str, seconds: float, per_second: int, token: str) -> None:
        link = self._find(name)
        self._traces = [trace for trace in self._traces if not trace.is_over]
        if not isinstance(link, BoundLink) or len(self._traces) >= TRACES_MAX:
            return
        if not (0 < seconds <= TRACE_MAX_S and 0 < per_second <= TRACE_LINES_MAX):
            return
        if link.trace is not None:
            link.trace.stop()
        trace = Trace(token, seconds, per_second, self._tell)
        self._traces.append(trace)
        link.show_to(trace)

    def _tell(self, token: str, lines: list[str]) -> None:
        payload = token
        for line in lines:
            if len(payload.encode()) + len(line.encode()) + 1 > _PAYLOAD_MAX:
                self._told.append(payload)
                payload = token
            payload += f"\n{line}"
        self._told.append(payload)
        del self._told[:-_WAITING_MAX]
        self._wake.set()
