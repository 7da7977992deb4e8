"""SIP trunks as operators see them, through the store, beside any node."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import asyncpg

from gateway.store.queries import load

SQL = load("trunks")

CHANNEL: Final = "gateway_trunk"
"""What operators want of trunks: `ladders NAME CALLS TOKEN`."""
TOLD_CHANNEL: Final = "gateway_trunk_told"
"""Lines of diagrams: on the first the token of who asked, the number of the node that tells, and
`end` or `more`."""


@dataclass(frozen=True, slots=True)
class TrunkShown:
    """What a node last said of a trunk."""

    name: str
    node: str | None
    state: str
    since: datetime
    error: str
    figures: dict[str, Any]
    updated: datetime
    is_fresh: bool


async def show_trunks(connection: asyncpg.Connection, name: str | None = None) -> list[TrunkShown]:
    """All trunks, or the one of this name, once for each node that runs it."""
    rows = await connection.fetch(SQL["show_trunks"], name)
    return [
        TrunkShown(
            name=row["trunk"],
            node=row["node"],
            state=row["state"] if row["is_fresh"] else "unknown",
            since=row["since"],
            error=row["error"],
            figures=json.loads(row["figures"]),
            updated=row["updated"],
            is_fresh=row["is_fresh"],
        )
        for row in rows
    ]


async def put_trunks(
    connection: asyncpg.Connection, node: int, trunks: list[dict[str, Any]]
) -> None:
    """Write what a node says of its trunks: `trunk`, `state`, `since`, `error`, `figures` each."""
    await connection.execute(SQL["put_states"], node, json.dumps(trunks))
