"""Links as operators see and steer them, through the store, beside any node."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import asyncpg

from gateway.errors import Refusal
from gateway.store.queries import load

SQL = load("links")

CHANNEL: Final = "gateway_link"
"""What operators want of links: `stop`, `start`, `trace NAME SECONDS LINES TOKEN`, `end TOKEN`."""
TRACE_CHANNEL: Final = "gateway_trace"
"""Lines of traces: the token of who asked on the first."""


@dataclass(frozen=True, slots=True)
class BindShown:
    """What the node that has a bind last said of it."""

    bind: int
    node: str | None
    state: str
    since: datetime
    error: str | None
    next_try: datetime | None
    rate: float
    figures: dict[str, Any]
    updated: datetime
    is_fresh: bool


@dataclass(frozen=True, slots=True)
class LinkShown:
    """A link, and its binds as far as any node has told of them."""

    name: str
    kind: str
    is_stopped: bool
    drawn: int | None
    """Segments drawn of its daily cap, on the last day there were any."""
    binds: list[BindShown]


async def show_links(connection: asyncpg.Connection, name: str | None = None) -> list[LinkShown]:
    """All links, or the one of this name. Raises Refusal when there is none."""
    rows = await connection.fetch(SQL["show_links"], name)
    if name is not None and not rows:
        raise _unknown(name)
    found: dict[str, LinkShown] = {}
    for row in rows:
        link = found.setdefault(
            row["name"],
            LinkShown(row["name"], row["kind"], row["is_stopped"], row["drawn"], []),
        )
        if row["bind"] is not None:
            link.binds.append(_bind(row))
    return list(found.values())


def _bind(row: asyncpg.Record) -> BindShown:
    return BindShown(
        bind=row["bind"],
        node=row["node"],
        state=row["state"] if row["is_fresh"] else "unknown",
        since=row["since"],
        error=row["error"],
        next_try=row["next_try"],
        rate=row["rate"],
        figures=json.loads(row["figures"] or "{}"),
        updated=row["updated"],
        is_fresh=row["is_fresh"],
    )


async def set_stopped(connection: asyncpg.Connection, name: str, is_stopped: bool) -> None:
    """Let a link rest on all nodes, or go on; kept over restarts. Raises Refusal."""
    rows = await connection.fetch(SQL["set_stopped"], name, is_stopped)
    if not rows:
        raise _unknown(name)
    if not rows[0]["kind"].startswith("smpp"):
        raise Refusal("not-available", f"Link {name} is no link to a carrier: it cannot rest.")
    word = "stop" if is_stopped else "start"
    await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, f"{word} {name}")


def _unknown(name: str) -> Refusal:
    return Refusal(
        "not-found",
        f"There is no link {name}.",
        hint="`gateway link list` names them; a new one is known once the gateway has run with it",
    )
