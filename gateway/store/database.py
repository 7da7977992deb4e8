"""Connections to PostgreSQL, embedded or given by a URL: hot ones whose plans are pinned, and a
pool for everything else.

A hot connection runs the statements of one part of the message path. Their tables are empty one
second and hold a million rows the next, so plans must not follow statistics: sequential scans, hash
and merge joins, bitmap scans and sorts are off, and what is left is the index. Administration and
upkeep use a pool with PostgreSQL's own defaults, and those who only look another one.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

import asyncpg

from gateway.errors import GatewayError, StoreDown

PLAN_GUARDS = {
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_bitmapscan": "off",
    "enable_sort": "off",
    "jit": "off",
    "plan_cache_mode": "force_generic_plan",
}
"""What a hot connection sets for itself."""

CONNECTION_ERRORS: tuple[type[BaseException], ...] = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InvalidTransactionStateError,
    asyncpg.PostgresSystemError,
)
"""Errors that say nothing about the statement: connect again, and try again."""

_ROLLED_BACK = (
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.LockNotAvailableError,
)
"""PostgreSQL chose this transaction to give way to another: nothing of it is left, do it again."""

_ROW_ERRORS = ("22", "23", "54")
"""SQLSTATE classes that speak of a row itself: data, integrity constraints, limits."""

_CONNECT_ERRORS: tuple[type[BaseException], ...] = (*CONNECTION_ERRORS, GatewayError)

T = TypeVar("T")

_EVERYWHERE = {"idle_in_transaction_session_timeout": "5s", "synchronous_commit": "on"}
"""Of every connection: a process that is frozen in mid-transaction, or cut off, must not keep the
locks that others wait for; and what the gateway says it did must be on disk, whatever the default
of a role or database is.
"""

_READS_ONLY = {"statement_timeout": "10s"}
"""Of connections for reading: a search that finds nothing must not run for ever."""

POOL_SIZE = 5
READERS = 3
"""Connections for administration and upkeep, and for those who only look."""

COMMAND_TIMEOUT_S = 30.0
"""How long one statement may take on any connection before the connection is given up."""

_ATTEMPTS = 5


def is_row_fault(error: BaseException) -> bool:
    """Whether a statement failed for what a row of it says; without that row it may succeed."""
    return isinstance(error, asyncpg.PostgresError) and str(error.sqlstate)[:2] in _ROW_ERRORS


def storable(text: str) -> str:
    """`text` as PostgreSQL can hold it: without U+0000 and lone surrogates. For words of a peer."""
    if text.isascii() and "\0" not in text:
        return text
    return text.encode("utf-8", "replace").decode().replace("\0", " ")


async def _give_way(attempt: int) -> None:
    """Wait a moment, longer each time, before a transaction is done again."""
    await asyncio.sleep(0.01 * 2**attempt * random.random())  # noqa: S311


def _outvoted() -> StoreDown:
    return StoreDown("PostgreSQL: another transaction always took precedence")


class HotConnection:
    """One guarded connection. It is opened when needed, and again after it broke.

    Its statements and transactions run one after another, whichever task asks.
    """

    def __init__(self, database: Database, name: str) -> None:
        self._database = database
        self._name = name
        self._connection: asyncpg.Connection | None = None
        self._turn = asyncio.Lock()
        database.hot.add(self)

    async def fetch(self, query: str, *args: Any) -> list[asyncpg.Record]:
        """Run one statement in a transaction of its own.

        Raises StoreDown if the connection fails; whether the statement took effect is then unknown.
        """

        async def work(connection: asyncpg.Connection) -> list[asyncpg.Record]:
            return await connection.fetch(query, *args)

        return await self._run(work)

    async def transact(self, work: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
        """Run `work` in one transaction; again from its start if PostgreSQL chose it to give way.

        Raises StoreDown as `fetch` does.
        """

        async def transaction(connection: asyncpg.Connection) -> T:
            async with connection.transaction():
                return await work(connection)

        return await self._run(transaction)

    async def _run(self, work: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
        async with self._turn:
            for attempt in range(_ATTEMPTS):
                connection = await self._get()
                try:
                    return await work(connection)
                except _ROLLED_BACK:
                    await _give_way(attempt)
                except CONNECTION_ERRORS as error:
                    self.drop()
                    raise StoreDown(f"PostgreSQL: {error or type(error).__name__}") from error
            raise _outvoted()

    async def _get(self) -> asyncpg.Connection:
        connection = self._connection
        if connection is None or connection.is_closed():
            connection = await self._database.connect(
                server_settings=PLAN_GUARDS | {"application_name": f"gateway {self._name}"}
            )
            self._connection = connection
        return connection

    def drop(self) -> None:
        """Give up the connection at once, in whatever state it is."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None


class Database:
    """Where the data is, and how to connect to it."""

    def __init__(self, source: Callable[[], Awaitable[dict[str, Any]]]) -> None:
        """`source` returns the arguments of asyncpg.connect; it is asked again after a failure, so
        that it can revive a server.
        """
        self._source = source
        self._arguments: dict[str, Any] | None = None
        self._pool: asyncpg.Pool | None = None
        self._readers: asyncpg.Pool | None = None
        self._opening = asyncio.Lock()
        self.hot: set[HotConnection] = set()
        """Every hot connection there is, to be given up at the end."""

    async def connect(
        self, *, server_settings: dict[str, str] | None = None, **options: Any
    ) -> asyncpg.Connection:
        """A new connection. Raises StoreDown when there is none to be had now."""
        try:
            if self._arguments is None:
                async with self._opening:
                    self._arguments = self._arguments or await self._source()
            return await asyncpg.connect(
                **self._arguments,
                timeout=10,
                command_timeout=COMMAND_TIMEOUT_S,
                server_settings=_EVERYWHERE | (server_settings or {}),
                **options,
            )
        except _CONNECT_ERRORS as error:
            self._arguments = None
            raise StoreDown(f"no connection to PostgreSQL: {error}") from error

    async def _new_pool(self, size: int, **settings: str) -> asyncpg.Pool:
        async def connect(*_: Any, **options: Any) -> asyncpg.Connection:
            options.pop("loop", None)
            return await self.connect(server_settings=settings, **options)

        return await asyncpg.create_pool(min_size=0, max_size=size, connect=connect)

    async def run(self, work: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
        """Run `work` in one transaction on a connection with PostgreSQL's own plans: reports and
        administration. Again from its start if PostgreSQL chose it to give way.

        Raises StoreDown if the connection fails; whether the transaction took effect is then
        unknown.
        """
        if self._pool is None:
            self._pool = await self._new_pool(POOL_SIZE)
        return await self._in_pool(self._pool, work)

    async def read(self, work: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
        """Run `work`, which only looks, in one read-only snapshot, on connections that nothing but
        such work uses: however long it takes, binds and mails do not wait for it.

        Raises StoreDown as `run` does, also for a statement that takes longer than 10 seconds.
        """
        if self._readers is None:
            self._readers = await self._new_pool(READERS, **_READS_ONLY)
        return await self._in_pool(self._readers, work, isolation="repeatable_read", readonly=True)

    async def _in_pool(
        self,
        pool: asyncpg.Pool,
        work: Callable[[asyncpg.Connection], Awaitable[T]],
        **options: Any,
    ) -> T:
        for attempt in range(_ATTEMPTS):
            try:
                async with pool.acquire(timeout=10) as taken, taken.transaction(**options):
                    return await work(cast("asyncpg.Connection", taken))
            except _ROLLED_BACK:
                await _give_way(attempt)
            except CONNECTION_ERRORS as error:
                raise StoreDown(f"PostgreSQL: {error or type(error).__name__}") from error
        raise _outvoted()

    async def fetch(self, query: str, *args: Any) -> list[asyncpg.Record]:
        """One statement by `run`."""
        return await self.run(lambda connection: connection.fetch(query, *args))

    async def close(self) -> None:
        """Give up the pools and all hot connections."""
        for pool in (self._pool, self._readers):
            if pool is not None:
                pool.terminate()
        self._pool = self._readers = None
        for connection in self.hot:
            connection.drop()
