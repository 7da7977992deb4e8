"""Migrations: once, in order, and never backwards."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from gateway.store import migrations
from gateway.store.embedded import ConnectParameters
from gateway.store.migrations import (
    SchemaTooNew,
    SchemaTooOld,
    available,
    migrate,
    require_current,
    version,
)
from tests.postgres import connected


async def test_an_empty_database_is_migrated_once(empty_database: ConnectParameters) -> None:
    """A second time finds nothing to do."""
    async with connected(empty_database) as connection:
        assert await version(connection) == 0
        with pytest.raises(SchemaTooOld, match="gateway migrate"):
            await require_current(connection)
        assert await migrate(connection) == list(available())
        assert await migrate(connection) == []
        await require_current(connection)


async def test_two_that_migrate_at_once_do_it_once(empty_database: ConnectParameters) -> None:
    """The second waits for the first."""
    async with connected(empty_database) as one, connected(empty_database) as two:
        done = await asyncio.gather(migrate(one), migrate(two))
        assert sorted(done) == [[], list(available())]


async def test_a_newer_database_is_left_alone(database: ConnectParameters) -> None:
    """By every command of an older version."""
    async with connected(database) as connection:
        await connection.execute("INSERT INTO migration (version) VALUES (9999)")
        for refuse in (require_current, migrate):
            with pytest.raises(SchemaTooNew, match="use a newer gateway"):
                await refuse(connection)
        assert await connection.fetchval("SELECT pg_try_advisory_lock($1)", migrations._LOCK)


async def test_a_migration_that_fails_leaves_nothing_and_can_be_repeated(
    empty_database: ConnectParameters, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What came before it stays."""
    files = {1: "CREATE TABLE a (n int4)", 2: "CREATE TABLE b (n int4); SELECT 1 / 0"}
    monkeypatch.setattr(migrations, "available", lambda: files)
    async with connected(empty_database) as connection:
        with pytest.raises(asyncpg.DivisionByZeroError):
            await migrate(connection)
        assert await version(connection) == 1
        assert await connection.fetchval("SELECT to_regclass('b')") is None
        files[2] = "CREATE TABLE b (n int4)"
        assert await migrate(connection) == [2]


def test_migrations_are_numbered_without_gaps() -> None:
    """From 1 on."""
    assert list(available()) == list(range(1, len(available()) + 1))
