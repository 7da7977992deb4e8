"""`gateway migrate`: bring a database to this version's schema."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from gateway.cli.frame import CommandError, add_command, load_settings
from gateway.cli.store import explained
from gateway.store.inspection import judge
from gateway.store.migrations import migrate, version
from gateway.store.opening import attach, connect_first

if TYPE_CHECKING:
    import asyncpg

    from gateway.cli.frame import Subparsers


def register(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = add_command(subparsers, "migrate", "Bring the database to this version's schema")
    parser.set_defaults(run=run)


async def run(args: argparse.Namespace) -> int:
    """Apply what is missing, each migration in a transaction, and say what was applied."""
    settings = load_settings(args)
    database, release = attach(settings.store)
    try:
        with explained(settings):
            connection = await connect_first(database)
            try:
                await _migrate(connection)
            finally:
                await connection.close()
    finally:
        release()
    return 0


async def _migrate(connection: asyncpg.Connection) -> None:
    if findings := await judge(connection):
        lines = "\n".join(f"  {found.problem}: {found.hint}" for found in findings)
        raise CommandError(f"the database will not do\n{lines}", "nothing was changed")
    applied = await migrate(connection)
    schema = await version(connection)
    if applied:
        print(f"applied {', '.join(map(str, applied))}; the database is at schema {schema}")
    else:
        print(f"nothing to apply; the database is at schema {schema}")
