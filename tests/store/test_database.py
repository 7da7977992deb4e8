"""Connections to PostgreSQL: shared, broken, and made anew."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from gateway.errors import StoreDown
from gateway.store.database import READERS, Database, HotConnection, is_row_fault, storable
from gateway.store.embedded import ConnectParameters
from tests.postgres import connected
from tests.store.sample import opened


async def test_tasks_share_a_hot_connection(database: ConnectParameters) -> None:
    """What several ask at once is done one after another, also within transactions."""
    async with opened(database) as store:
        hot = HotConnection(store, "test")
        await hot.fetch("CREATE TABLE tally (n int4)")

        async def add(connection: asyncpg.Connection) -> None:
            ((count,),) = await connection.fetch("SELECT count(*) FROM tally")
            await connection.execute("INSERT INTO tally VALUES ($1)", count)

        await asyncio.gather(
            *(hot.transact(add) for _ in range(10)),
            *(hot.fetch("SELECT pg_sleep(0.001)") for _ in range(10)),
        )
        rows = await hot.fetch("SELECT n FROM tally ORDER BY n")
        assert [row["n"] for row in rows] == list(range(10))


async def test_a_broken_connection_is_told_and_replaced(database: ConnectParameters) -> None:
    """StoreDown once; the next statement has a new connection."""
    async with opened(database) as store:
        hot = HotConnection(store, "test")
        with pytest.raises(StoreDown):
            await hot.fetch("SELECT pg_terminate_backend(pg_backend_pid()), pg_sleep(10)")
        assert (await hot.fetch("SELECT 1"))[0][0] == 1


@pytest.mark.parametrize("is_hot", [True, False])
async def test_a_transaction_that_loses_a_deadlock_is_done_again(
    database: ConnectParameters, is_hot: bool
) -> None:
    """Nothing of it had been done: its caller need not know."""
    async with opened(database) as store:
        await store.fetch("CREATE TABLE pair (n int4 PRIMARY KEY, by text)")
        await store.fetch("INSERT INTO pair VALUES (1, ''), (2, '')")
        meeting = asyncio.Barrier(2)
        attempts = 0

        def both(name: str, first: int, second: int) -> Any:
            has_met = False

            async def work(connection: asyncpg.Connection) -> None:
                nonlocal attempts, has_met
                attempts += 1
                update = "UPDATE pair SET by = by || $1 WHERE n = $2"
                await connection.execute(update, name, first)
                if not has_met:
                    has_met = True
                    await meeting.wait()
                await connection.execute(update, name, second)

            return work

        one, two = store.run, store.run
        if is_hot:
            one, two = (HotConnection(store, name).transact for name in ("one", "two"))
        await asyncio.gather(one(both("a", 1, 2)), two(both("b", 2, 1)))
        # PostgreSQL ends one of the two, or, when both look at once, both.
        assert attempts in (3, 4)
        rows = await store.fetch("SELECT by FROM pair")
        assert [sorted(row["by"]) for row in rows] == [["a", "b"], ["a", "b"]]


async def test_a_transaction_that_never_gets_its_turn_is_told(
    database: ConnectParameters,
) -> None:
    """As a store that does not answer: tried several times, and to be tried again later."""
    async with opened(database) as store, connected(database) as other:
        await store.fetch("CREATE TABLE pair (n int4 PRIMARY KEY)")
        await store.fetch("INSERT INTO pair VALUES (1)")
        attempts = 0

        async def work(connection: asyncpg.Connection) -> None:
            nonlocal attempts
            attempts += 1
            await connection.execute("SELECT FROM pair FOR UPDATE NOWAIT")

        async with other.transaction():
            await other.execute("SELECT FROM pair FOR UPDATE")
            for run in (store.run, HotConnection(store, "test").transact):
                attempts = 0
                with pytest.raises(StoreDown):
                    await run(work)
                assert attempts > 1


async def test_readers_never_starve_the_others(database: ConnectParameters) -> None:
    """However many searches hang, what writes gets its connection; searches wait for each other."""
    async with opened(database) as store:
        has_begun = asyncio.Semaphore(0)
        may_end = asyncio.Event()

        async def search(connection: asyncpg.Connection) -> str:
            has_begun.release()
            await may_end.wait()
            return str(await connection.fetchval("SHOW statement_timeout"))

        searches = [asyncio.create_task(store.read(search)) for _ in range(20)]
        async with asyncio.timeout(20):
            for _ in range(READERS):
                await has_begun.acquire()
            await store.fetch("CREATE TABLE tally (n int4)")
            assert has_begun.locked()
            may_end.set()
            assert set(await asyncio.gather(*searches)) == {"10s"}


async def test_who_reads_cannot_write(database: ConnectParameters) -> None:
    """And sees one moment, however many statements it takes."""
    async with opened(database) as store:
        await store.fetch("CREATE TABLE tally (n int4)")

        async def write(connection: asyncpg.Connection) -> None:
            await connection.execute("INSERT INTO tally VALUES (1)")

        with pytest.raises(StoreDown, match="read-only"):
            await store.read(write)

        async def look_twice(connection: asyncpg.Connection) -> list[int]:
            query = "SELECT count(*) FROM tally"
            before = await connection.fetchval(query)
            await store.run(write)
            return [before, await connection.fetchval(query)]

        assert await store.read(look_twice) == [0, 0]


async def test_every_connection_waits_for_the_disk(database: ConnectParameters) -> None:
    """Whatever a database's default is: what was answered, such as a cancel, is durable."""
    query = "SELECT current_setting('synchronous_commit')"
    async with opened(database) as store:
        name = database["database"]
        await store.fetch(f"ALTER DATABASE {name} SET synchronous_commit = off")
    async with opened(database) as store:
        for fetch in (store.fetch, HotConnection(store, "test").fetch):
            assert (await fetch(query))[0][0] == "on"


async def test_a_failed_transaction_leaves_nothing(database: ConnectParameters) -> None:
    """And the connection is as good as before."""
    async with opened(database) as store:
        hot = HotConnection(store, "test")
        await hot.fetch("CREATE TABLE tally (n int4)")

        async def fail(connection: asyncpg.Connection) -> None:
            await connection.execute("INSERT INTO tally VALUES (1)")
            raise RuntimeError("a mistake")

        for run in (hot.transact, store.run):
            with pytest.raises(RuntimeError):
                await run(fail)
        assert await hot.fetch("SELECT n FROM tally") == []


async def test_arguments_are_asked_for_again_after_a_failure(database: ConnectParameters) -> None:
    """So that whoever gives them can start the server first."""
    asked = 0

    async def source() -> dict[str, Any]:
        nonlocal asked
        asked += 1
        return {**database, "host": "/nowhere"} if asked == 1 else {**database}

    store = Database(source)
    try:
        hot = HotConnection(store, "test")
        with pytest.raises(StoreDown, match="no connection"):
            await hot.fetch("SELECT 1")
        await hot.fetch("SELECT 1")
        assert asked == 2
    finally:
        await store.close()


async def test_closing_gives_up_every_connection(database: ConnectParameters) -> None:
    """Hot ones and those of the pools."""
    async with opened(database) as store:
        await HotConnection(store, "test").fetch("SELECT 1")
        hot = HotConnection(store, "other")
        await hot.fetch("SELECT 1")
        await store.fetch("SELECT 1")
        await store.read(lambda connection: connection.fetch("SELECT 1"))
    async with connected(database) as other, asyncio.timeout(20):
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        while await other.fetchval(query) > 1:  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("query", "argument", "is_fault"),
    [
        ("SELECT $1::text", "a\0b", True),
        ("SELECT $1::text", "\ud800", True),
        ("SELECT $1::int4", 1 << 40, True),
        ("INSERT INTO route (name, kind) VALUES ('a', $1), ('a', $1)", "k", True),
        ("SELECT $1::text FROM nowhere", "x", False),
    ],
)
async def test_faults_of_a_row_are_told_from_others(
    database: ConnectParameters, query: str, argument: object, is_fault: bool
) -> None:
    """Without the row the statement would succeed."""
    async with opened(database) as store:
        with pytest.raises(asyncpg.PostgresError) as error:
            await HotConnection(store, "test").fetch(query, argument)
        assert is_row_fault(error.value) is is_fault


async def test_words_of_peers_are_made_storable(database: ConnectParameters) -> None:
    """U+0000 and halves of surrogate pairs; all else stays."""
    assert storable("grün 😀 plain") == "grün 😀 plain"
    async with opened(database) as store:
        for text in ("a\0b", "\ud800", "é\0\udfff"):
            ((stored,),) = await store.fetch("SELECT $1::text", storable(text))
            assert stored == storable(text)
