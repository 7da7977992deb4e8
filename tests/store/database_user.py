"""A process that uses an embedded server, told what to do line by line; each line is answered.

``python -m tests.store.database_user DATA_DIR [OPTION=VALUE ...]``; it ends with its input.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import asyncpg

from gateway.store.embedded import EmbeddedPostgres, EmbeddedPostgresError

# Under a lock, because IF NOT EXISTS alone fails when two come at once.
_CREATE = """
    SELECT pg_advisory_xact_lock(1);
    CREATE TABLE IF NOT EXISTS kept(word text PRIMARY KEY);
"""


class DatabaseUser:
    """What the lines do."""

    def __init__(self, server: EmbeddedPostgres) -> None:
        self._server = server
        self._connection: asyncpg.Connection | None = None

    async def start(self) -> str:
        """Hold the server and connect."""
        if self._connection is not None:
            self._connection.terminate()
        try:
            self._connection = await asyncpg.connect(**await self._server.start())
        except EmbeddedPostgresError as error:
            return f"error {error}"
        await self._connection.execute(_CREATE)
        return "started"

    async def query(self, statement: str) -> str:
        """A statement's single value; what went wrong is named without its words."""
        assert self._connection is not None
        try:
            return str(await self._connection.fetchval(statement))
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            return f"error {type(error).__name__}"

    async def close(self) -> None:
        """Leave the server."""
        if self._connection is not None:
            await self._connection.close()
        self._server.release()

    async def obey(self, line: str) -> str:
        """Do what a line says."""
        return await (self.start() if line == "start" else self.query(line))


async def main(data_dir: str, *options: str) -> None:
    """Answer lines until there are none."""
    settings = dict(option.split("=", 1) for option in options)
    user = DatabaseUser(EmbeddedPostgres(Path(data_dir), options=settings))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while line := await asyncio.to_thread(sys.stdin.readline):
        print(await user.obey(line.strip()), flush=True)
    await user.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
