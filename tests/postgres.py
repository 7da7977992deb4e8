"""Fixtures: one embedded PostgreSQL for a test session, and a database of its own for each test.

Under pytest-xdist every worker has a server of its own. Nothing is synced to disk here.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path

import asyncpg
import pytest

from gateway.store.cluster_files import ClusterFiles, open_owned, read_report, try_lock
from gateway.store.embedded import ConnectParameters, EmbeddedPostgres
from gateway.store.migrations import migrate

_TEMPLATE = "migrated"
_OPTIONS = {"fsync": "off", "full_page_writes": "off", "max_connections": "200"}
_NUMBERS = count(1)


@asynccontextmanager
async def connected(parameters: ConnectParameters) -> AsyncIterator[asyncpg.Connection]:
    """A connection for the length of a block."""
    connection = await asyncpg.connect(**parameters)
    try:
        yield connection
    finally:
        await connection.close()


def in_database(parameters: ConnectParameters, name: str) -> ConnectParameters:
    """The same server's other database."""
    return {**parameters, "database": name}


def stop_at_once(files: ClusterFiles, deadline_s: float = 20) -> None:
    """Once nobody uses it: end the keeper without its second of grace; return when it has ended."""
    lock = open_owned(files.keeper_lock)
    deadline = time.monotonic() + deadline_s
    with suppress(ProcessLookupError):
        if (keeper_pid := read_report(lock).pid) and not try_lock(lock):
            os.kill(keeper_pid, signal.SIGTERM)
    while not try_lock(lock):
        assert time.monotonic() < deadline, f"the keeper of {files.folder} does not end"
        time.sleep(0.01)
    os.close(lock)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[ConnectParameters]:
    """A running server of the session, as parameters of its maintenance database."""
    # Not pytest's own folder: that is root's alone, and the server does not run as root.
    folder = Path(tempfile.mkdtemp(prefix="gateway-test-"))
    folder.chmod(0o711)
    server = EmbeddedPostgres(
        folder, os_user="nobody" if os.geteuid() == 0 else "", options=_OPTIONS
    )

    async def prepare() -> ConnectParameters:
        parameters = await server.start()
        async with connected(parameters) as connection:
            await connection.execute(f"CREATE DATABASE {_TEMPLATE}")
        async with connected(in_database(parameters, _TEMPLATE)) as connection:
            await migrate(connection)
        return parameters

    try:
        yield asyncio.run(prepare())
    finally:
        server.release()
        stop_at_once(ClusterFiles(folder.resolve() / "postgres"))
        shutil.rmtree(folder, ignore_errors=True)


async def _new_database(
    server: ConnectParameters, template: str
) -> AsyncIterator[ConnectParameters]:
    name = f"test_{next(_NUMBERS)}"
    async with connected(server) as connection:
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    yield in_database(server, name)
    async with connected(server) as connection:
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def database(postgres_server: ConnectParameters) -> AsyncIterator[ConnectParameters]:
    """A migrated database without rows, gone after the test: parameters for asyncpg.connect."""
    async for parameters in _new_database(postgres_server, _TEMPLATE):
        yield parameters


@pytest.fixture
async def empty_database(postgres_server: ConnectParameters) -> AsyncIterator[ConnectParameters]:
    """A database without any table, gone after the test: parameters for asyncpg.connect."""
    async for parameters in _new_database(postgres_server, "template1"):
        yield parameters
