"""Canceling a message while it is not sent."""

from __future__ import annotations

from enum import Enum

import asyncpg

from gateway.model import State, is_settled
from gateway.store.database import Database
from gateway.store.queries import load

SQL = load("cancel")
DISPATCH = load("dispatch")


class CancelResult(Enum):
    """What came of it."""

    DONE = "done"
    ALREADY_FINAL = "already-final"
    BEING_SENT = "being-sent"
    NOT_FOUND = "not-found"


async def cancel(
    database: Database, shop: int | None, id_: int, *, now_ms: int, event_id: int
) -> CancelResult:
    """Cancel a message of a shop (None: of any). What a carrier has taken cannot be called back.

    A row that a retry put elsewhere than where the message began stays behind; whoever comes to it
    finds the message settled and drops it. Raises StoreDown.
    """

    async def work(connection: asyncpg.Connection) -> CancelResult:
        message = await connection.fetchrow(SQL["find"], id_)
        if message is None or (shop is not None and message["shop"] != shop):
            return CancelResult.NOT_FOUND
        await connection.execute(DISPATCH["lock_route"], message["route"])
        # In this order: what is in no flight now stays out of them under the lock, and whatever its
        # last flight brought is written.
        is_flying = await connection.fetchval(SQL["is_flying"], id_)
        rows = await connection.fetch(SQL["states"], id_)
        states = {row["segment"]: State(row["state"]) for row in rows}
        if is_settled(message["segments"], list(states.values())):
            return CancelResult.ALREADY_FINAL
        if is_flying:
            return CancelResult.BEING_SENT
        await connection.execute(SQL["leave_queue"], message["route"], message["rank"], id_)
        await connection.execute(SQL["leave_hold"], id_)
        if message["due_ms"] is not None:
            await connection.execute(SQL["leave_later"], message["due_ms"], id_)
        segment = next(n for n in range(message["segments"]) if n not in states)
        told = await connection.fetchval(
            SQL["close"], id_, segment, message["shop"], now_ms, event_id
        )
        # Where there is a row already, it expired meanwhile.
        return CancelResult.ALREADY_FINAL if told is None else CancelResult.DONE

    return await database.run(work)
