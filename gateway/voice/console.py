"""What a node tells operators of its trunks, through the store: their states all the time, ladder
diagrams when somebody asks.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final, Protocol

import asyncpg

from gateway.errors import StoreDown
from gateway.store.database import CONNECTION_ERRORS, Database
from gateway.store.trunks import CHANNEL, TOLD_CHANNEL, put_trunks
from gateway.voice.ladder import Ladders
from gateway.voice.trunk import TrunkState

log = logging.getLogger(__name__)

LOOK_S: Final = 1.0
REPEAT_S: Final = 10.0
"""How often states that have not changed are written again, so that their age tells whether the
node lives."""
RETRY_S: Final = 1.0
CALLS_MAX: Final = 100
_PAYLOAD_MAX: Final = 7_800
"""Octets: a NOTIFY takes fewer than 8,000."""
_WAITING_MAX: Final = 500
_FAILURES: Final[tuple[type[BaseException], ...]] = (
    *CONNECTION_ERRORS,
    StoreDown,
    asyncpg.PostgresError,
)


class Shown(Protocol):
    """A trunk, as far as it is shown."""

    name: str
    ladders: Ladders

    def state(self) -> TrunkState: ...


class TrunkConsole:
    """Reports on the trunks of one node."""

    def __init__(self, database: Database, trunks: Iterable[Shown], node: int) -> None:
        self._database = database
        self._trunks = trunks
        self._node = node
        self._connection: asyncpg.Connection | None = None
        self._written: list[dict[str, Any]] = []
        self._written_at = 0.0
        self._told: list[str] = []
        self._wake = asyncio.Event()

    async def run(self) -> None:
        """Report, for ever."""
        try:
            while True:
                try:
                    await self._report()
                except _FAILURES as error:
                    log.debug("operators see the trunks later: %s", error)
                    self._drop()
                    await asyncio.sleep(RETRY_S)
        finally:
            self._drop()

    async def _report(self) -> None:
        connection = self._connection
        if connection is None or connection.is_closed():
            connection = await self._database.connect(
                server_settings={"application_name": "gateway trunk console"}
            )
            self._connection = connection
            await connection.add_listener(CHANNEL, self._heard)
        self._wake.clear()
        await self._write(connection)
        told, self._told = self._told, []
        for payload in told:
            await connection.execute("SELECT pg_notify($1, $2)", TOLD_CHANNEL, payload)
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_S):
                await self._wake.wait()

    async def _write(self, connection: asyncpg.Connection) -> None:
        rows = [self._row(trunk) for trunk in self._trunks]
        now = asyncio.get_running_loop().time()
        if rows == self._written and now < self._written_at + REPEAT_S:
            return
        await put_trunks(connection, self._node, rows)
        self._written, self._written_at = rows, now

    @staticmethod
    def _row(trunk: Shown) -> dict[str, Any]:
        state = trunk.state()
        return {
            "trunk": trunk.name,
            "state": state.state,
            "since": state.since,
            "error": state.error,
            "figures": state.figures,
        }

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    def _heard(self, _connection: Any, _pid: int, _channel: str, payload: object) -> None:
        words = str(payload).split()
        if len(words) != 4 or words[0] != "ladders" or not words[2].isdecimal():
            return
        for trunk in self._trunks:
            if trunk.name == words[1]:
                self._tell(words[3], trunk.ladders.lines(min(int(words[2]), CALLS_MAX)))
                self._wake.set()

    def _tell(self, token: str, lines: list[str]) -> None:
        """Put lines into payloads that a NOTIFY takes; the last one says that it is."""
        head = f"{token} {self._node}"
        size, piece = 0, [""]
        for line in lines:
            length = len(line.encode()) + 1
            if size + length > _PAYLOAD_MAX:
                self._told.append("\n".join([f"{head} more", *piece[1:]]))
                size, piece = 0, [""]
            size += length
            piece.append(line)
        self._told.append("\n".join([f"{head} end", *piece[1:]]))
        del self._told[:-_WAITING_MAX]
