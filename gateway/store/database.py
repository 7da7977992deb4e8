"""Connections to PostgreSQL, embedded or given by a URL: hot ones whose plans are pinned, and a pool for everything else.

A hot connection belongs to one task and runs the statements of the message path. Their tables are empty one second and hold
a million rows the next, so plans must not follow statistics: sequential scans, hash and merge joins, bitmap scans and sorts
are off, and what is left is the index. Reports and administration use the pool with PostgreSQL's own defaults.
"""

from __future__ import annotations

import asyncio
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
    "synchronous_commit": "on",
    "plan_cache_mode": "force_generic_plan",
}
"""What a hot connection sets for itself. Durability is set too: a role's or database's default must not weaken a 202."""

CONNECTION_ERRORS: tuple[type[BaseException], ...] = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InvalidTransactionStateError,
)
"""Errors that say nothing about the statement: connect again, and try again."""


_CONNECT_ERRORS: tuple[type[BaseException], ...] = (*CONNECTION_ERRORS, GatewayError)

T = TypeVar("T")

COMMAND_TIMEOUT_S = 30.0
"""How long one statement may take on any connection before the connection is given up."""


class HotConnection:
    """One guarded connection of one task. It is opened when needed, and again after it broke."""

    def __init__(self, database: Database, name: str) -> None:
        self._database = database
        self._name = name
        self._connection: asyncpg.Connection | None = None

    async def get(self) -> asyncpg.Connection:
        """The open connection. Raises StoreDown when there is none to be had now."""
        connection = self._connection
        if connection is None or connection.is_closed():
            connection = await self._database.connect(
                server_settings=PLAN_GUARDS | {"application_name": f"gateway {self._name}"}
            )
            self._connection = connection
        return connection

    async def fetch(self, query: str, *args: Any) -> list[asyncpg.Record]:
        """Run one statement in a transaction of its own.

        Raises StoreDown if the connection fails; whether the statement took effect is then unknown.
        """
        connection = await self.get()
        try:
            return await connection.fetch(query, *args)
        except CONNECTION_ERRORS as error:
            self.drop()
            raise StoreDown(f"PostgreSQL: {error}") from error

    async def transact(self, work: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
        """Run `work` in one transaction. Raises StoreDown as `fetch` does."""
        connection = await self.get()
        try:
            async with connection.transaction():
                return await work(connection)
        except CONNECTION_ERRORS as error:
            self.drop()
            raise StoreDown(f"PostgreSQL: {error}") from error

    def drop(self) -> None:
        """Give up the connection at once, in whatever state it is."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None


class Database:
    """Where the data is, and how to connect to it."""

    def __init__(self, source: Callable[[], Awaitable[dict[str, Any]]]) -> None:
        """`source` returns the arguments of asyncpg.connect; it is asked again after a failure, so that it can revive a server."""
        self._source = source
        self._arguments: dict[str, Any] | None = None
        self._pool: asyncpg.Pool | None = None
        self._opening = asyncio.Lock()

    async def connect(self, **options: Any) -> asyncpg.Connection:
        """A new connection. Raises StoreDown when there is none to be had now."""
        try:
            if self._arguments is None:
                async with self._opening:
                    self._arguments = self._arguments or await self._source()
            return await asyncpg.connect(
                **self._arguments, timeout=10, command_timeout=COMMAND_TIMEOUT_S, **options
            )
        except _CONNECT_ERRORS as error:
            self._arguments = None
            raise StoreDown(f"no connection to PostgreSQL: {error}") from error

    async def _get_pool(self) -> asyncpg.Pool:
        if self._pool is None:

            async def connect(*_: Any, **options: Any) -> asyncpg.Connection:
                options.pop("loop", None)
                return await self.connect(**options)

            self._pool = await asyncpg.create_pool(min_size=0, max_size=5, connect=connect)
        return self._pool

    async def run(self, work: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
        """Run `work` in one transaction on a connection with PostgreSQL's own plans: reports and administration."""
        pool = await self._get_pool()
        try:
            async with pool.acquire(timeout=10) as connection, connection.transaction():
                return await work(cast("asyncpg.Connection", connection))
        except CONNECTION_ERRORS as error:
            raise StoreDown(f"PostgreSQL: {error}") from error

    async def fetch(self, query: str, *args: Any) -> list[asyncpg.Record]:
        """One statement by `run`."""
        return await self.run(lambda connection: connection.fetch(query, *args))

    async def close(self) -> None:
        """Close the pool. Hot connections belong to their tasks."""
        if self._pool is not None:
            self._pool.terminate()
            self._pool = None
