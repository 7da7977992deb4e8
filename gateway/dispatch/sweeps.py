"""Walks over the tables of what waits and what was sent: expires messages past their validity,
notes receipts that never came, and forgets what is needed no more.

Each walk takes a bounded portion at a time, goes on where the last one ended, and is done by one
node of an installation at a time.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC
from enum import IntEnum
from typing import Any, TypeVar

import asyncpg

from gateway.dispatch.outcomes import columns
from gateway.ids import IdSource, lowest_at, wall_ms
from gateway.model import Channel, EventKind, State, is_settled
from gateway.policy.gate import WORDS
from gateway.store.database import HotConnection
from gateway.store.queries import load

SQL = load("dispatch")

PORTION = 1000
KEEP_KEYS_MS = 7 * 86_400_000
"""How long an idempotency key and its answer are kept."""

USUALLY_SENT_MS = 60_000
"""Most messages leave within this time of their acceptance: when their receipts are looked for one
look is enough.
"""

_PASSED = "its validity passed while it"
_NO_RECEIPT = "no-receipt"
_AWAITING = (State.SUBMITTED, State.IN_DOUBT)
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
        self._receipt_ms = int(receipt_s * 1000)
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
            why = _why_waiting(await connection.fetch(SQL["route_binds"], route))
            expired = await connection.fetch(SQL["expire_queued"], route, ranks, ids, now_ms, why)
            await self._note_expired(connection, [(row, why) for row in late], expired, now_ms)

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
            told = [(row, _why_held(row["reason"])) for row in late]
            await self._note_expired(connection, told, expired, now_ms)

        if late:
            await once(self._connection, Once.EXPIRE, expire)
        return not is_end

    async def _note_expired(
        self,
        connection: asyncpg.Connection,
        late: Sequence[tuple[asyncpg.Record, str]],
        expired: Sequence[asyncpg.Record],
        now_ms: int,
    ) -> None:
        """Give those of `late` that expired an event; each comes with the reason."""
        ids = {row["id"] for row in expired}
        events: list[tuple[Any, ...]] = []
        for row, why in late:
            if row["id"] in ids:
                told = json.dumps({"reason": why})
                key = (row["id"], self._ids.next(), row["shop"])
                events.append((*key, EventKind.EXPIRED, None, now_ms, told))
        await add_events(connection, events)

    async def note_missing_receipts(self) -> bool:
        """Give segments whose receipt is overdue an event; whether more follow.

        Each message is looked at once, at the age at which receipts are overdue. What was sent
        later than it was accepted, or not yet, is put aside until its own time.
        """
        return bool(await once(self._connection, Once.RECEIPTS, self._note_portion))

    async def _note_portion(self, connection: asyncpg.Connection) -> bool:
        now_ms = wall_ms()
        overdue_ms = now_ms - self._receipt_ms
        position = await connection.fetchval(SQL["read_progress"], _NO_RECEIPT) or 0
        bound = lowest_at(overdue_ms - USUALLY_SENT_MS)
        walked = await connection.fetch(SQL["walk_messages"], position, bound, PORTION)
        again = await connection.fetch(SQL["take_awaited"], now_ms, PORTION)
        await self._note_overdue(
            connection, [row for row in (*walked, *again) if row["channel"] == Channel.SMS], now_ms
        )
        if walked:
            await connection.execute(SQL["keep_progress"], _NO_RECEIPT, walked[-1]["id"])
        return PORTION in (len(walked), len(again))

    async def _note_overdue(
        self, connection: asyncpg.Connection, rows: Sequence[asyncpg.Record], now_ms: int
    ) -> None:
        """Note the receipts of these messages that are overdue, and put aside what is not yet."""
        if not rows:
            return
        answers: dict[int, list[asyncpg.Record]] = {}
        for answer in await connection.fetch(SQL["answers"], [row["id"] for row in rows]):
            answers.setdefault(answer["id"], []).append(answer)
        overdue_ms = now_ms - self._receipt_ms
        events: list[tuple[Any, ...]] = []
        aside = []
        for row in rows:
            id_, shop, mine = row["id"], row["shop"], answers.get(row["id"], [])
            awaited = [a for a in mine if a["has_receipt"] and a["state"] in _AWAITING]
            events += [
                (id_, self._ids.next(), shop, EventKind.NO_RECEIPT, a["segment"], now_ms, None)
                for a in awaited
                if row["since_ms"] < a["sent_ms"] <= overdue_ms
            ]
            times = [a["sent_ms"] for a in awaited if a["sent_ms"] > overdue_ms]
            if not is_settled(row["segments"], [State(a["state"]) for a in mine]):
                times.append(now_ms)
            if times:
                aside.append((min(times) + self._receipt_ms, id_, overdue_ms))
        await add_events(connection, events)
        if aside:
            await connection.execute(SQL["await_receipts"], *columns(aside))

    async def forget(self) -> bool:
        """Delete a portion of old idempotency keys, early receipts and doubts; whether more
        follow.
        """
        return bool(await once(self._connection, Once.CLEAN, self._forget_portion))

    async def _forget_portion(self, connection: asyncpg.Connection) -> bool:
        now_ms = wall_ms()
        overdue_ms = now_ms - self._receipt_ms
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


def _why_waiting(binds: Sequence[asyncpg.Record]) -> str:
    """Why messages waited longer than they may: their links as they are now. What exactly a carrier
    said is for the operator alone, and stands with the link.
    """
    if any(bind["state"] == "up" for bind in binds):
        return f"{_PASSED} waited for its turn"
    states = {
        f"link {bind['name']} {bind['state']} since"
        f" {bind['since'].astimezone(UTC):%Y-%m-%d %H:%M} UTC": None
        for bind in binds
    }
    return f"{_PASSED} waited: {', '.join(states) or 'no link of its route told what it does'}"


def _why_held(reason: str) -> str:
    return f"{_PASSED} was held: {WORDS.get(reason, reason)}"


async def add_events(connection: asyncpg.Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Write events, if there are any, in the caller's transaction."""
    if rows:
        await connection.execute(SQL["add_events"], *columns(rows))
