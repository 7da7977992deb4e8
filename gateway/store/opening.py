"""Opening the store that the settings name: the embedded PostgreSQL, or a server by its URL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import asyncpg

from gateway.errors import GatewayError
from gateway.store.database import Database
from gateway.store.embedded import EmbeddedPostgres
from gateway.store.migrations import migrate, require_current

if TYPE_CHECKING:
    from config.settings import StoreSettings


class StoreUnusable(GatewayError):
    """The database refuses this user, or there is none of this name: trying again does not help."""


def attach(settings: StoreSettings) -> tuple[Database, Callable[[], None]]:
    """The database that is meant, and what gives it up. Nothing is started before it is used."""
    if settings.database_url:

        async def remote() -> dict[str, Any]:
            return {"dsn": settings.database_url}

        return Database(remote), _nothing
    server = EmbeddedPostgres(settings.data_dir, os_user=settings.os_user)

    async def embedded() -> dict[str, Any]:
        return {**await server.start()}

    return Database(embedded), server.release


def _nothing() -> None:
    """A server of someone else's needs no release."""


async def open_store(
    settings: StoreSettings, migrate_embedded: bool = True
) -> tuple[Database, Callable[[], None]]:
    """The database, ready for use, and a function to call after `Database.close`, at the very end.

    The embedded store is brought to this version's schema; a server by URL has to be at it, for it
    may have other users. Raises StoreDown, StoreUnusable, SchemaTooOld or SchemaTooNew.
    """
    database, release = attach(settings)
    try:
        connection = await connect_first(database)
        try:
            if migrate_embedded and not settings.database_url:
                await migrate(connection)
            else:
                await require_current(connection)
        finally:
            await connection.close()
    except BaseException:
        release()
        raise
    return database, release


async def connect_first(database: Database) -> asyncpg.Connection:
    """A connection, with the reasons for which there can be none put into words for an operator."""
    try:
        return await database.connect()
    except (asyncpg.PostgresError, ValueError) as error:
        raise StoreUnusable(
            f"PostgreSQL refuses the connection: {error}: mend `database_url` in [store]"
        ) from error


@asynccontextmanager
async def opened_store(settings: StoreSettings) -> AsyncIterator[Database]:
    """The database for the length of a block: `open_store` and all that closes it again."""
    database, release = await open_store(settings)
    try:
        yield database
    finally:
        await database.close()
        release()
