"""The accounts that may bind, in memory, and the task that keeps the copy fresh.

Whoever changes an account announces it in the same transaction, and every process reads them all
again: there are few. A reading each minute heals what a notification could have missed. While the
database is away the last copy serves.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import asyncpg

from gateway.errors import StoreDown
from gateway.store import queries
from gateway.store.database import CONNECTION_ERRORS, Database
from gateway.store.esmes import CHANNEL, Esme, esme_of

log = logging.getLogger(__name__)

_FAILURES: tuple[type[BaseException], ...] = (
    *CONNECTION_ERRORS,
    StoreDown,
    asyncpg.PostgresError,
)
_FULL_READING_S = 60.0
_RETRY_MIN_S = 0.1
_RETRY_MAX_S = 5.0


class Accounts:
    """The copy. `on_changed` is called with an account as it was and as it is (None: no more)."""

    def __init__(self, database: Database) -> None:
        self.on_changed: Callable[[Esme, Esme | None], None] = _ignore
        self._database = database
        self._by_id: dict[int, Esme] = {}
        self._by_name: dict[str, Esme] = {}
        self._wake = asyncio.Event()

    def named(self, system_id: str) -> Esme | None:
        """The valid account with this system_id."""
        return self._by_name.get(system_id)

    def by_id(self, id_: int) -> Esme | None:
        """The valid account with this row id."""
        return self._by_id.get(id_)

    def all(self) -> list[Esme]:
        """All valid accounts, in no order."""
        return list(self._by_id.values())

    async def load(self) -> None:
        """Read all accounts. Raises StoreDown; the copy then stays as it was."""
        self._put(await self._database.fetch(queries.load("esmes")["valid"]))

    async def run(self) -> None:
        """Keep the copy fresh, for ever; with growing pauses while the database is away."""
        pause_s = _RETRY_MIN_S
        while True:
            connection = None
            try:
                connection = await self._listen()
                pause_s = _RETRY_MIN_S
                await self._follow(connection)
            except _FAILURES as error:
                log.debug("the accounts of ESMEs are served from the last copy: %s", error)
            finally:
                if connection is not None:
                    connection.terminate()
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
            pause_s = min(pause_s * 2, _RETRY_MAX_S)

    async def _listen(self) -> asyncpg.Connection:
        connection = await self._database.connect(
            server_settings={"application_name": "gateway esmes"}
        )
        connection.add_termination_listener(lambda _: self._wake.set())
        await connection.add_listener(CHANNEL, self._on_notified)
        return connection

    def _on_notified(self, *_: Any) -> None:
        self._wake.set()

    async def _follow(self, connection: asyncpg.Connection) -> None:
        """Read all again whenever something is announced, and now and then."""
        while not connection.is_closed():
            self._wake.clear()
            self._put(await connection.fetch(queries.load("esmes")["valid"]))
            with suppress(TimeoutError):
                async with asyncio.timeout(_FULL_READING_S):
                    await self._wake.wait()

    def _put(self, rows: list[asyncpg.Record]) -> None:
        before = self._by_id
        self._by_id = {row["id"]: esme_of(row) for row in rows}
        self._by_name = {esme.system_id: esme for esme in self._by_id.values()}
        for id_, was in before.items():
            now = self._by_id.get(id_)
            if now != was:
                self.on_changed(was, now)


def _ignore(_was: Esme, _now: Esme | None) -> None:
    """Nobody wants to know."""
