"""The shops, their numbers and the keys, in memory: the message path never asks the database.

The copy is read in pages at the start, so that thousands of shops never hold the event loop for
long. Whoever changes a row announces it in the same transaction (`announce`), and every process
reads again just what was named. A full reading each minute heals what a notification could have
missed. While the database is away the last copy serves.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import asyncpg

from gateway.errors import StoreDown
from gateway.store import queries
from gateway.store.database import CONNECTION_ERRORS
from gateway.store.records import Key, Number, Shop, hash_token, read_shops

if TYPE_CHECKING:
    from gateway.store.database import Database

__all__ = ["CHANNEL", "TOKEN_LENGTH", "Directory", "Key", "Number", "Shop"]

log = logging.getLogger(__name__)

CHANNEL = "gateway_directory"
"""The NOTIFY channel. A payload is `shop ID` or `key LABEL`; any other means: everything."""

TOKEN_LENGTH = 46
"""Characters of a key: `gw_` and 32 bytes in URL-safe base 64."""

_FAILURES: tuple[type[BaseException], ...] = (
    *CONNECTION_ERRORS,
    StoreDown,
    asyncpg.PostgresError,
)
_PAGE = 200
_MOST_PENDING = 500
_RETRY_MIN_S = 0.1
_RETRY_MAX_S = 5.0


def _sql(name: str) -> str:
    return queries.load("directory")[name]


class Directory:
    """The copy, and the task that keeps it fresh."""

    def __init__(self, database: Database, *, full_reading_s: float = 60.0) -> None:
        """Nothing is read before `load`. A full reading follows every `full_reading_s`."""
        self.on_shop_changed: list[Callable[[Shop | None, Shop | None], None]] = []
        """Called with a shop as it was and as it is, after each change; None: it was or is not.

        The first `load` calls nobody.
        """
        self._database = database
        self._full_reading_s = full_reading_s
        self._connection: asyncpg.Connection | None = None
        self._shops: dict[int, Shop] = {}
        self._codes: dict[str, Shop] = {}
        self._numbers: dict[str, Number] = {}
        self._keys: dict[bytes, Key] = {}
        self._pending: set[str] = set()
        self._wake = asyncio.Event()
        self._is_loaded = False

    def shop(self, code: str) -> Shop | None:
        """The shop that the outside calls `code`."""
        return self._codes.get(code)

    def shop_by_id(self, shop_id: int) -> Shop | None:
        """The shop with this row id."""
        return self._shops.get(shop_id)

    def list_shops(self) -> list[Shop]:
        """All shops, in no order."""
        return list(self._shops.values())

    def number(self, number: str) -> Number | None:
        """The number if it is assigned now: E.164, or the digits of a short code."""
        return self._numbers.get(number)

    def key(self, token: str) -> Key | None:
        """The key that `token` is, unless unknown or revoked."""
        if len(token) != TOKEN_LENGTH or not token.isascii():
            return None
        return self._keys.get(hash_token(token))

    async def load(self) -> None:
        """Connect, listen and read everything. Raises StoreDown; what was read till then stays."""
        self.close()
        try:
            await self._read_all(await self._listen())
        except CONNECTION_ERRORS as error:
            self.close()
            raise StoreDown(f"PostgreSQL: {error}") from error

    async def run(self) -> None:
        """Keep the copy fresh until cancelled; with growing pauses while the database is away."""
        pause_s = _RETRY_MIN_S
        try:
            while True:
                try:
                    if self._connection is None:
                        await self.load()
                        pause_s = _RETRY_MIN_S
                    await self._follow(self._connection)
                except _FAILURES as error:
                    if pause_s == _RETRY_MIN_S:
                        log.warning("shops and keys are served from the last copy: %s", error)
                self.close()
                await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311  jitter
                pause_s = min(pause_s * 2, _RETRY_MAX_S)
        finally:
            self.close()

    def close(self) -> None:
        """Give up the connection; the copy stays."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    async def _listen(self) -> asyncpg.Connection:
        connection = await self._database.connect(
            server_settings={"application_name": "gateway directory"}
        )
        self._connection = connection
        connection.add_termination_listener(self._on_closed)
        await connection.add_listener(CHANNEL, self._on_notified)
        return connection

    def _on_notified(self, _connection: Any, _pid: int, _channel: str, payload: object) -> None:
        if len(self._pending) < _MOST_PENDING:
            self._pending.add(str(payload))
        else:
            self._pending = {""}
        self._wake.set()

    def _on_closed(self, _connection: Any) -> None:
        self._wake.set()

    async def _follow(self, connection: asyncpg.Connection | None) -> None:
        """Read again what is announced, and everything now and then, until the connection fails."""
        clock = asyncio.get_running_loop().time
        next_full = clock() + self._full_reading_s
        while connection is not None:
            try:
                async with asyncio.timeout_at(next_full):
                    await self._wake.wait()
            except TimeoutError:
                self._pending.add("")
            self._wake.clear()
            if connection.is_closed():
                raise StoreDown("the connection was closed")
            if await self._read_pending(connection):
                next_full = clock() + self._full_reading_s

    async def _read_pending(self, connection: asyncpg.Connection) -> bool:
        """Read what was announced; whether that was everything."""
        pending, self._pending = self._pending, set()
        shops: list[int] = []
        labels: list[str] = []
        for what in pending:
            kind, _, name = what.partition(" ")
            if kind == "shop" and name.isascii() and name.isdigit():
                shops.append(int(name))
            elif kind == "key" and name:
                labels.append(name)
            else:
                await self._read_all(connection)
                return True
        if shops:
            await self._read_some_shops(connection, shops)
        if labels:
            await self._read_some_keys(connection, labels)
        return False

    async def _read_some_shops(self, connection: asyncpg.Connection, ids: list[int]) -> None:
        rows = await connection.fetch(_sql("shops_by_id"), ids)
        found = {shop.id: shop for shop in await read_shops(connection, rows)}
        for shop_id in ids:
            self._put(shop_id, found.get(shop_id))

    async def _read_some_keys(self, connection: asyncpg.Connection, labels: list[str]) -> None:
        rows = await connection.fetch(_sql("keys_by_label"), labels)
        named = set(labels)
        keys = {hash_: key for hash_, key in self._keys.items() if key.label not in named}
        keys.update((row["hash"], Key(row["label"], row["shop"])) for row in rows)
        self._keys = keys

    async def _read_all(self, connection: asyncpg.Connection) -> None:
        """Every page of shops and keys. What changes meanwhile is announced, and read later."""
        seen: set[int] = set()
        last = 0
        while rows := await connection.fetch(_sql("shops_after"), last, _PAGE):
            for shop in await read_shops(connection, rows):
                self._put(shop.id, shop)
                seen.add(shop.id)
            last = rows[-1]["id"]
        for shop_id in self._shops.keys() - seen:
            self._put(shop_id, None)
        await self._read_all_keys(connection)
        self._is_loaded = True

    async def _read_all_keys(self, connection: asyncpg.Connection) -> None:
        keys: dict[bytes, Key] = {}
        label = ""
        while rows := await connection.fetch(_sql("keys_after"), label, _PAGE):
            keys.update((row["hash"], Key(row["label"], row["shop"])) for row in rows)
            label = rows[-1]["label"]
        self._keys = keys

    def _put(self, shop_id: int, new: Shop | None) -> None:
        """Make `new` the copy of a shop, and tell of it if that is a change."""
        old = self._shops.get(shop_id)
        if new == old:
            return
        if old is not None:
            del self._shops[shop_id], self._codes[old.code]
            for number in old.numbers:
                if self._numbers.get(number.number) == number:
                    del self._numbers[number.number]
        if new is not None:
            self._shops[shop_id] = self._codes[new.code] = new
            self._numbers.update((number.number, number) for number in new.numbers)
        if self._is_loaded:
            self._tell(old, new)

    def _tell(self, old: Shop | None, new: Shop | None) -> None:
        for hook in self.on_shop_changed:
            try:
                hook(old, new)
            except Exception:
                log.exception("a change of a shop could not be followed")
