"""Whether a PostgreSQL server given by URL can keep messages safely: asked before it is trusted."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gateway.errors import GatewayError
from gateway.store import queries
from gateway.store.migrations import require_current
from gateway.store.opening import connect_first

if TYPE_CHECKING:
    import asyncpg

    from gateway.store.database import Database

OLDEST_VERSION = 150_000
"""PostgreSQL 15, as `server_version_num` writes it."""

_PROBE_S = 3.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One reason not to use a database, and what to do about it."""

    problem: str
    hint: str


async def inspect(database: Database) -> list[Finding]:
    """Everything that speaks against the database. None: it may be used.

    A schema that is not this version's is a finding too. Raises StoreDown or StoreUnusable.
    """
    connection = await connect_first(database)
    try:
        findings = await judge(connection)
        other = await connect_first(database)
        try:
            if not await keeps_sessions(connection, other):
                findings.append(_POOLER)
        finally:
            await other.close()
        if not findings:
            findings = await _schema(connection)
        return findings
    finally:
        await connection.close()


_POOLER = Finding(
    "a pooler changes the server connection between transactions",
    "connect to PostgreSQL itself, or let the pooler work by session",
)


async def judge(connection: asyncpg.Connection) -> list[Finding]:
    """What the server says of itself and of our rights."""
    (row,) = await connection.fetch(queries.load("inspection")["facts"])
    return [Finding(problem, hint) for is_bad, problem, hint in _rules(row) if is_bad]


def _rules(facts: asyncpg.Record) -> list[tuple[bool, str, str]]:
    role, database = facts["role"], facts["database"]
    return [
        (
            facts["version_number"] < OLDEST_VERSION,
            f"is PostgreSQL {facts['version']}",
            "version 15 is the oldest that will do",
        ),
        (
            facts["encoding"] != "UTF8",
            f"the database's encoding is {facts['encoding']}",
            "make one with ENCODING 'UTF8': no other holds every text",
        ),
        (
            not facts["has_fsync"],
            "fsync is off: a power cut would lose messages that were acknowledged",
            "set fsync = on in postgresql.conf and reload the server",
        ),
        (
            facts["is_read_only"],
            "the database is read-only or a standby",
            "connect to the primary server",
        ),
        (
            not facts["may_create"],
            f"{role} may not create tables in the schema",
            f'GRANT USAGE, CREATE ON SCHEMA public TO "{role}"',
        ),
        (
            not facts["may_create_temporary"],
            f"{role} may not create temporary tables",
            f'GRANT TEMPORARY ON DATABASE "{database}" TO "{role}"',
        ),
        (
            not facts["may_lock"],
            f"{role} may not take advisory locks",
            f'GRANT EXECUTE ON FUNCTION pg_advisory_lock(int8) TO "{role}", and so for the others',
        ),
    ]


async def keeps_sessions(connection: asyncpg.Connection, other: asyncpg.Connection) -> bool:
    """Whether what is set up on a connection stays: a notification comes to who asked for it.

    A pooler that gives every transaction any server connection loses it, and with it the locks and
    settings that the gateway relies on.
    """
    channel = f"gateway_probe_{secrets.token_hex(8)}"
    heard = asyncio.Event()

    def hear(*_: Any) -> None:
        heard.set()

    await connection.add_listener(channel, hear)
    try:
        await other.execute(queries.load("inspection")["probe"], channel)
        async with asyncio.timeout(_PROBE_S):
            await heard.wait()
    except TimeoutError:
        return False
    finally:
        await connection.remove_listener(channel, hear)
    return True


async def _schema(connection: asyncpg.Connection) -> list[Finding]:
    try:
        await require_current(connection)
    except GatewayError as error:
        problem, _, hint = str(error).rpartition(": ")
        return [Finding(problem, hint)]
    return []
