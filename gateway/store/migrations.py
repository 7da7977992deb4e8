"""Numbered forward migrations: `sql/0001_initial.sql` and what follows, each in a transaction.

An advisory lock keeps all but one process from migrating.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from gateway.errors import GatewayError

if TYPE_CHECKING:
    from asyncpg import Connection

_LOCK = 0x67617465
_FILE = re.compile(r"(\d{4})_\w+\.sql")


class SchemaTooNew(GatewayError):
    """The database was migrated by a newer version of the gateway; this one must not touch it."""


class SchemaTooOld(GatewayError):
    """The database lacks migrations that this version needs."""


@cache
def available() -> dict[int, str]:
    """The migrations of this version: number to SQL, in order."""
    found = {}
    for file in files("gateway.store").joinpath("sql").iterdir():
        if match := _FILE.fullmatch(file.name):
            found[int(match[1])] = file.read_text(encoding="utf-8")
    return dict(sorted(found.items()))


async def version(connection: Connection) -> int:
    """The number of the newest migration applied; 0 for an empty database."""
    if await connection.fetchval("SELECT to_regclass('migration')") is None:
        return 0
    return int(await connection.fetchval("SELECT coalesce(max(version), 0) FROM migration"))


async def require_current(connection: Connection) -> None:
    """Raise SchemaTooOld or SchemaTooNew unless the database is at this version's schema."""
    have, want = await version(connection), max(available())
    if have > want:
        raise SchemaTooNew(
            f"the database is at schema {have}, this version knows {want}: use a newer gateway"
        )
    if have < want:
        raise SchemaTooOld(
            f"the database is at schema {have}, this version needs {want}: run `gateway migrate`"
        )


async def migrate(connection: Connection) -> list[int]:
    """Apply what is missing, and return the numbers applied. Two callers at once do it once."""
    await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
    try:
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS migration"
            "(version int4 PRIMARY KEY, applied timestamptz NOT NULL DEFAULT now())"
        )
        have = await version(connection)
        if have > max(available()):
            await require_current(connection)
        missing = [number for number in available() if number > have]
        for number in missing:
            async with connection.transaction():
                await connection.execute(available()[number])
                await connection.execute("INSERT INTO migration(version) VALUES ($1)", number)
        return missing
    finally:
        await connection.execute("SELECT pg_advisory_unlock($1)", _LOCK)
