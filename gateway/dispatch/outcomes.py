"""What one transaction writes of claimed messages: status rows, events, moves, and ends of flights.

Writing the same outcomes again changes nothing, whether or not the first commit took effect: status
rows and events are known by their keys, and a message moves only while it is in its flight.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from gateway.dispatch.recent import Taken
from gateway.store.database import HotConnection
from gateway.store.queries import load

SQL = load("dispatch")


@dataclass(slots=True)
class Outcomes:
    """Rows by table, in the order of the columns of the statements that write them."""

    status: list[tuple[Any, ...]] = field(default_factory=list)
    events: list[tuple[Any, ...]] = field(default_factory=list)
    queue: list[tuple[int, int, int, int, int, int | None]] = field(default_factory=list)
    later: list[tuple[int, int, int, int, int, int, int | None]] = field(default_factory=list)
    hold: list[tuple[Any, ...]] = field(default_factory=list)
    doubt: list[tuple[Any, ...]] = field(default_factory=list)
    landed: list[int] = field(default_factory=list)
    """Flights all of whose messages are answered for."""
    left: list[tuple[int, int]] = field(default_factory=list)
    """Flight and message, of those that go to queue, later or hold."""
    sent: list[tuple[int, str, Taken]] = field(default_factory=list)
    """Link, carrier's id and segment of what carriers took; its status row is above."""
    presents: list[tuple[int, int, int]] = field(default_factory=list)
    """Route, lane and the rank last claimed."""
    answered: Counter[int] = field(default_factory=Counter)
    """How many segments of a link this tells of."""

    def __bool__(self) -> bool:
        return bool(self.status or self.events or self.landed or self.left or self.answered)


async def write(connection: HotConnection, outcomes: Outcomes) -> None:
    """Commit outcomes. Raises StoreDown; whether they were committed is then unknown."""
    if outcomes.events or outcomes.left or outcomes.doubt:
        await connection.transact(lambda inner: _write(inner, outcomes))
    else:
        await connection.fetch(SQL["flush"], *_flush_arguments(outcomes))


async def _write(connection: asyncpg.Connection, outcomes: Outcomes) -> None:
    moved = await _moved_before(connection, outcomes.left)
    await connection.execute(SQL["flush"], *_flush_arguments(outcomes))
    landed = set(outcomes.landed)
    for name, rows in (
        ("leave_flights", [pair for pair in outcomes.left if pair[0] not in landed]),
        ("add_events", outcomes.events),
        ("requeue", [row for row in outcomes.queue if row[2] not in moved]),
        ("defer", [row for row in outcomes.later if row[1] not in moved]),
        ("put_on_hold", [row for row in outcomes.hold if row[0] not in moved]),
        ("doubt", outcomes.doubt),
    ):
        if rows:
            await connection.execute(SQL[name], *columns(rows))


async def _moved_before(
    connection: asyncpg.Connection, left: Sequence[tuple[int, int]]
) -> set[int]:
    """The messages that an earlier attempt, or another node, has moved already."""
    if not left:
        return set()
    rows = await connection.fetch(SQL["lock_flights"], sorted({flight for flight, _ in left}))
    flying = {row["id"]: set(row["ids"]) for row in rows}
    return {message for flight, message in left if message not in flying.get(flight, ())}


def _flush_arguments(outcomes: Outcomes) -> list[Any]:
    return [
        outcomes.status,
        outcomes.landed,
        *columns(outcomes.presents, 3),
    ]


def columns(rows: Sequence[tuple[Any, ...]], width: int = 0) -> list[list[Any]]:
    """Rows as the columns that unnest() takes; `width` of them when there is no row."""
    if not rows:
        return [[] for _ in range(width)]
    return [list(column) for column in zip(*rows, strict=True)]
