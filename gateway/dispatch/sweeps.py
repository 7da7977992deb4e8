"""Walks over the tables of what waits and what was sent: expires messages past their validity,
notes receipts that never came, and forgets what is needed no more.

Each walk takes a bounded portion at a time, goes on where the last one ended, and is done by one
node of an installation at a time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from enum import IntEnum
from typing import Any, TypeVar

import asyncpg

from gateway.dispatch.outcomes import columns
from gateway.ids import IdSource, lowest_at, wall_ms
from gateway.model import EventKind, State
from gateway.store.database import HotConnection
from gateway.store.queries import load

SQL = load("dispatch")

PORTION = 1000
KEEP_KEYS_MS = 7 * 86_400_000
"""How long an idempotency key and its answer are kept."""

_NO_RECEIPT = "no-receipt"
_FRONT = (-1, 0)

T = TypeVar("T")


class Once(IntEnum):
    """Advisory locks of the jobs that one node at a time does. The values are in use by every
    version.
    """

    PROMOTE = 1
    EXPIRE = 2
    RECEIPTS = 3
    CLEAN = 4


async def once(
    connection: HotConnection, job: Once, work: Callable[[asyncpg.Connection], Awaitable[T]]
) -> T | None:
    """Do `work` in a transaction that holds the job's lock; None if another node is at it."""

    async def attempt(inner: asyncpg.Connection) -> T | None:
        if not await inner.fetchval(SQL["once"], job):
            return None
        return await work(inner)

    return await connection.transact(attempt)


class Sweeps:
    """The walks of one node. Every method raises StoreDown."""

    def __init__(self, connection: HotConnection, ids: IdSource, receipt_s: float) -> None:
        """`receipt_s`: after how long a receipt is not expected any more."""
        self._connection = connection
        self._ids = ids
        self._receipt_s = receipt_s
        self._queue_walks: dict[int, tuple[int, int]] = {}
        self._hold_walk = 0

    async def expire_queued(self, route: int) -> None:
        """Expire what waits past its validity in the next portion of a route's queue."""
        rank, id_ = self._queue_walks.get(route, _FRONT)
        rows = await self._connection.fetch(SQL["walk_queue"], route, rank, id_, PORTION)
        is_end = len(rows) < PORTION
        self._queue_walks[route] = _FRONT if is_end else (rows[-1]["rank"], rows[-1]["id"])
        now_ms = wall_ms()
        late = [row for row in rows if row["expires_ms"] <= now_ms]
        if not late:
            return

        async def expire(connection: asyncpg.Connection) -> None:
            await connection.execute(SQL["lock_route"], route)
            ranks, ids = columns([(row["rank"], row["id"]) for row in late])
            expired = await connection.fetch(SQL["expire_queued"], route, ranks, ids, now_ms)
            await self._note_expired(connection, late, expired, now_ms)

        await once(self._connection, Once.EXPIRE, expire)

    async def expire_held(self) -> bool:
        """The same for the next portion of what is held; whether more of it follows."""
        rows = await self._connection.fetch(SQL["walk_hold"], self._hold_walk, PORTION)
        is_end = len(rows) < PORTION
        self._hold_walk = 0 if is_end else rows[-1]["id"]
        now_ms = wall_ms()
        late = [row for row in rows if row["expires_ms"] <= now_ms]

        async def expire(connection: asyncpg.Connection) -> None:
            ids = [row["id"] for row in late]
            expired = await connection.fetch(SQL["expire_held"], ids, now_ms)
            await self._note_expired(connection, late, expired, now_ms)

        if late:
            await once(self._connection, Once.EXPIRE, expire)
        return not is_end

    async def _note_expired(
        self,
        connection: asyncpg.Connection,
        rows: Sequence[asyncpg.Record],
        expired: Sequence[asyncpg.Record],
        now_ms: int,
    ) -> None:
        ids = {row["id"] for row in expired}
        await add_events(
            connection,
            [
                (row["id"], self._ids.next(), row["shop"], EventKind.EXPIRED, None, now_ms, None)
                for row in rows
                if row["id"] in ids
            ],
        )

    async def note_missing_receipts(self) -> bool:
        """Give segments whose receipt is overdue an event, by the age of their message; whether
        more follow.
        """
        return bool(await once(self._connection, Once.RECEIPTS, self._note_portion))

    async def _note_portion(self, connection: asyncpg.Connection) -> bool:
        now_ms = wall_ms()
        due_ms = now_ms - int(self._receipt_s * 1000)
        position = await connection.fetchval(SQL["read_progress"], _NO_RECEIPT) or 0
        rows = await connection.fetch(SQL["walk_unanswered"], position, lowest_at(due_ms), PORTION)
        if not rows:
            return False
        is_full = len(rows) == PORTION
        last = rows[-1]["id"]
        if is_full and rows[0]["id"] != last:
            # The last message may go on behind the portion: it is left for the next one.
            rows = [row for row in rows if row["id"] != last]
            last = rows[-1]["id"]
        await add_events(
            connection,
            [
                (
                    row["id"],
                    self._ids.next(),
                    row["shop"],
                    EventKind.NO_RECEIPT,
                    row["segment"],
                    now_ms,
                    None,
                )
                for row in rows
                if row["state"] in (State.SUBMITTED, State.IN_DOUBT) and row["sent_ms"] <= due_ms
            ],
        )
        await connection.execute(SQL["keep_progress"], _NO_RECEIPT, last)
        return is_full

    async def forget(self) -> bool:
        """Delete a portion of old idempotency keys, early receipts and doubts; whether more
        follow.
        """
        return bool(await once(self._connection, Once.CLEAN, self._forget_portion))

    async def _forget_portion(self, connection: asyncpg.Connection) -> bool:
        now_ms = wall_ms()
        overdue_ms = now_ms - int(self._receipt_s * 1000)
        most = 10 * PORTION
        is_full = False
        for name, before in (
            ("forget_keys", now_ms - KEEP_KEYS_MS),
            ("forget_early", lowest_at(overdue_ms)),
            ("forget_doubts", overdue_ms),
        ):
            tag = await connection.execute(SQL[name], before, most)
            is_full |= int(tag.split()[-1]) == most
        return is_full


async def add_events(connection: asyncpg.Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Write events, if there are any, in the caller's transaction."""
    if rows:
        await connection.execute(SQL["add_events"], *columns(rows))
