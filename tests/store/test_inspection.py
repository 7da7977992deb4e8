"""What keeps a database given by URL from being used."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import cast

import asyncpg
import pytest

from gateway.store import inspection
from gateway.store.embedded import ConnectParameters, EmbeddedPostgres
from gateway.store.inspection import Finding, inspect, judge
from gateway.store.opening import StoreUnusable
from tests.store.sample import OS_USER, data_folder, opened, store_of

FSYNC = "fsync is off"


async def problems(parameters: ConnectParameters) -> list[str]:
    """What is found on the tests' server, which for speed has fsync off."""
    async with opened(parameters) as store:
        found = [finding.problem for finding in await inspect(store)]
    assert any(FSYNC in problem for problem in found)
    return [problem for problem in found if FSYNC not in problem]


@asynccontextmanager
async def changed(
    server: ConnectParameters, make: str, undo: str
) -> AsyncIterator[asyncpg.Connection]:
    """Something made on the server by one statement, and unmade by another."""
    connection = await asyncpg.connect(**server)
    try:
        await connection.execute(make)
        yield connection
        await connection.execute(undo)
    finally:
        await connection.close()


async def test_only_fsync_speaks_against_the_tests_server(database: ConnectParameters) -> None:
    """A database without faults is told nothing, one without fsync just that."""
    assert await problems(database) == []


async def test_a_finding_says_what_to_do(database: ConnectParameters) -> None:
    """Each finding comes with a hint."""
    async with opened(database) as store:
        (finding,) = await inspect(store)
    assert "fsync = on" in finding.hint


async def test_encoding(postgres_server: ConnectParameters) -> None:
    """Only UTF8 holds every text."""
    make = "CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0"
    async with changed(postgres_server, make, "DROP DATABASE latin WITH (FORCE)"):
        (problem,) = await problems({**postgres_server, "database": "latin"})
    assert "LATIN1" in problem


async def test_rights(empty_database: ConnectParameters) -> None:
    """Rights that are missing are all named."""
    name = empty_database["database"]
    make = f"""
        CREATE ROLE guest LOGIN;
        REVOKE TEMPORARY ON DATABASE {name} FROM PUBLIC;
        REVOKE EXECUTE ON FUNCTION pg_advisory_lock(int8) FROM PUBLIC
    """
    undo = """
        GRANT EXECUTE ON FUNCTION pg_advisory_lock(int8) TO PUBLIC;
        DROP ROLE guest
    """
    async with changed(empty_database, make, undo):
        found = await problems({**empty_database, "user": "guest"})
    assert [problem.removeprefix("guest may not ") for problem in found] == [
        "create tables in the schema",
        "create temporary tables",
        "take advisory locks",
    ]


async def test_read_only(empty_database: ConnectParameters) -> None:
    """A database that takes no writes will not do."""
    name = empty_database["database"]
    make = f"ALTER DATABASE {name} SET default_transaction_read_only = on"
    async with changed(empty_database, make, f"ALTER DATABASE {name} RESET ALL"):
        (problem,) = await problems(empty_database)
    assert "read-only" in problem


async def test_old_versions() -> None:
    """Version 14 is too old, 15 is not."""

    class Old:
        """A connection to a server of some version, else in order."""

        def __init__(self, number: int) -> None:
            self.number = number

        async def fetch(self, _query: str) -> list[dict[str, object]]:
            yes = ("has_fsync", "may_create", "may_create_temporary", "may_lock")
            facts = {"version_number": self.number, "version": "x", "encoding": "UTF8"}
            names = {"is_read_only": False, "role": "r", "database": "d"}
            return [{**facts, **names, **dict.fromkeys(yes, True)}]

    async def found(number: int) -> list[Finding]:
        return await judge(cast("asyncpg.Connection", Old(number)))

    assert len(await found(140_015)) == 1
    assert await found(150_000) == []


async def test_schema() -> None:
    """A database that is otherwise in order has to be migrated."""
    with data_folder() as folder:
        server = EmbeddedPostgres(folder, os_user=OS_USER)
        try:
            async with opened(await server.start()) as store:
                (finding,) = await inspect(store)
        finally:
            server.release()
    assert "schema 0" in finding.problem and "gateway migrate" in finding.hint


async def test_unknown_database(database: ConnectParameters) -> None:
    """No database of that name is no outage: trying again does not help."""
    with pytest.raises(StoreUnusable, match="nowhere"):
        await inspect(store_of({**database, "database": "nowhere"}))


async def test_transaction_pooler(
    database: ConnectParameters, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What loses notifications between transactions loses locks and settings too, and is told."""
    monkeypatch.setattr(inspection, "_PROBE_S", 0.1)
    target = f"{database['host']}/.s.PGSQL.{database['port']}"

    async def serve(client: asyncio.StreamReader, answer: asyncio.StreamWriter) -> None:
        server, request = await asyncio.open_unix_connection(target)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(pass_on(client, request))
                tasks.create_task(pass_without_notifications(server, answer))
        request.close()
        answer.close()

    pooler = await asyncio.start_unix_server(serve, tmp_path / f".s.PGSQL.{database['port']}")
    async with pooler:
        (problem,) = await problems({**database, "host": str(tmp_path)})
    assert "pooler" in problem


async def pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Copy until the end."""
    while data := await source.read(65536):
        sink.write(data)
    sink.write_eof()


async def pass_without_notifications(
    source: asyncio.StreamReader, sink: asyncio.StreamWriter
) -> None:
    """Copy a server's messages but NotificationResponse (type A).

    So does a pooler for a client that has no server connection at the moment.
    """
    with suppress(asyncio.IncompleteReadError):
        while True:
            head = await source.readexactly(5)
            body = await source.readexactly(int.from_bytes(head[1:]) - 4)
            if head[:1] != b"A":
                sink.write(head + body)
    sink.close()
