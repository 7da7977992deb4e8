"""What is done now and then: incomplete texts are delivered, what nobody needs is deleted."""

from __future__ import annotations

import logging
from typing import Final

import asyncpg

from gateway.ids import lowest_at
from gateway.inbound.copies import KEPT_S, Copies
from gateway.inbound.replies import SQL, Group, Reply, ReplyStore
from gateway.store.database import Database, is_row_fault

log = logging.getLogger(__name__)

INCOMPLETE_MAX: Final = 5_000
"""Texts of one link that may wait for parts; the oldest are delivered early. Between two sweeps it
can be exceeded by as many parts."""

_GROUPS_AT_ONCE: Final = 100
_ROWS_AT_ONCE: Final = 5_000


class Sweeper:
    """Uses the pool of the database: nothing here is on the way of a text."""

    incomplete_max = INCOMPLETE_MAX

    def __init__(self, database: Database, store: ReplyStore, reassembly_s: float) -> None:
        """`reassembly_s`: how long the first part of a text waits for the others."""
        self._database = database
        self._store = store
        self._reassembly_s = reassembly_s

    async def deliver(self, now_ms: int) -> list[Reply]:
        """Make replies of incomplete texts that waited too long or are too many, oldest first."""
        before_ms = now_ms - int(self._reassembly_s * 1000)
        made: list[Reply] = []
        while rows := await self._database.fetch(SQL["overdue_groups"], before_ms, _ROWS_AT_ONCE):
            made += await self._deliver_all(rows, now_ms)
        for link, texts in await self._database.fetch(SQL["count_groups"]):
            if texts > self.incomplete_max:
                log.warning("link %d: %d incomplete texts; the oldest are delivered", link, texts)
                excess = texts - self.incomplete_max
                rows = await self._database.fetch(SQL["oldest_groups"], link, excess)
                made += await self._deliver_all(rows, now_ms)
        return made

    async def _deliver_all(self, rows: list[asyncpg.Record], now_ms: int) -> list[Reply]:
        groups = [Group(*row) for row in rows]
        made: list[Reply] = []
        for first in range(0, len(groups), _GROUPS_AT_ONCE):
            made += await self._deliver_some(groups[first : first + _GROUPS_AT_ONCE], now_ms)
        return made

    async def _deliver_some(self, groups: list[Group], now_ms: int) -> list[Reply]:
        """One transaction; a text that cannot be stored is halved out and dropped."""

        async def work(connection: asyncpg.Connection) -> list[Reply]:
            await self._store.lock(connection, groups)
            replies = await self._store.join(connection, groups, is_forced=True)
            return await self._store.add(connection, replies, now_ms)

        try:
            return await self._database.run(work)
        except asyncpg.PostgresError as error:
            if not is_row_fault(error):
                raise
            if len(groups) > 1:
                middle = len(groups) // 2
                made = await self._deliver_some(groups[:middle], now_ms)
                return made + await self._deliver_some(groups[middle:], now_ms)
            log.error("an incomplete text cannot be stored and was dropped: %s", error.sqlstate)
        await self._database.run(lambda connection: self._store.drop(connection, groups[0]))
        return []

    async def forget(self, copies: Copies) -> None:
        """Delete from the store the memory of texts whose copy cannot come any more."""
        while ids := copies.take_settled(_ROWS_AT_ONCE):
            await self._database.fetch(SQL["delete_seen"], ids)

    async def delete_old(self, now_ms: int) -> None:
        """Delete the parts of finished texts and the memory of whole ones that are an hour old."""
        oldest = lowest_at(now_ms - int(KEPT_S * 1000))
        for name in ("delete_parts", "delete_old_seen"):
            await self._database.fetch(SQL[name], oldest, _ROWS_AT_ONCE)
