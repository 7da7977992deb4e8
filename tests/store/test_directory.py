"""The copy of shops, numbers and keys in memory, and how soon it follows a change."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from typing import Any

import asyncpg
import pytest

from gateway.errors import StoreDown
from gateway.store import keys, numbers, shops
from gateway.store.database import Database
from gateway.store.directory import Directory, Shop
from gateway.store.embedded import ConnectParameters
from tests.store.folders import DEADLINE_S, eventually
from tests.store.sample import NUMBER, SAMPLE, SMS, opened, store_of


@pytest.fixture
async def store(database: ConnectParameters) -> AsyncIterator[Database]:
    """A store with the sample shop."""
    async with opened(database) as store:
        await store.run(lambda c: shops.add_shop(c, SAMPLE, SMS))
        yield store


class Changes:
    """What a directory tells of changes."""

    def __init__(self, directory: Directory) -> None:
        self.seen: list[tuple[Shop | None, Shop | None]] = []
        self._event = asyncio.Event()
        directory.on_shop_changed.append(self._on_changed)

    def _on_changed(self, old: Shop | None, new: Shop | None) -> None:
        self.seen.append((old, new))
        self._event.set()

    async def next(self) -> tuple[Shop | None, Shop | None]:
        """The next change, the last one if several came."""
        async with asyncio.timeout(DEADLINE_S):
            await self._event.wait()
        self._event.clear()
        return self.seen[-1]


@asynccontextmanager
async def running(database: Database, **options: Any) -> AsyncIterator[tuple[Directory, Changes]]:
    """A directory that was loaded and keeps itself fresh."""
    directory = Directory(database, **options)
    changes = Changes(directory)
    await directory.load()
    task = asyncio.create_task(directory.run())
    try:
        yield directory, changes
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def shop_until(day: date | None, zone: str = "America/New_York") -> Shop:
    """A shop whose support ends with a day."""
    return Shop(1, "sample", "Sample", "+12125550100", "a@example.com", zone, day, None, False)


def ms(*moment: int) -> int:
    """A moment of UTC in milliseconds since the epoch."""
    return int(datetime(*moment, tzinfo=UTC).timestamp() * 1000)  # type: ignore[misc,arg-type]


async def test_loads_everything(store: Database) -> None:
    """Shops are found by code and id, numbers by themselves, keys by the whole key."""
    await store.run(lambda c: numbers.assign_number(c, NUMBER, "sample", "acme", "smpp", SMS))
    shop_key = await store.run(lambda c: keys.create_key(c, "sample"))
    admin_key = await store.run(lambda c: keys.create_key(c, None))
    async with running(store) as (directory, changes):
        shop = directory.shop("sample")
        assert shop is not None and directory.shop_by_id(shop.id) is shop
        number = directory.number(NUMBER)
        assert number is not None and shop.numbers == (number,)
        assert (number.shop, number.route_name) == (shop.id, "acme")
        found = [directory.key(token) for token in (shop_key, admin_key)]
        assert [key and key.shop for key in found] == [shop.id, None]
        assert not changes.seen, "the first load is no change"


@pytest.mark.parametrize("token", ["", "gw_", "gw_" + "a" * 43, "gw_" + "é" * 43, "\udcff" * 46])
async def test_strange_keys(token: str, database: ConnectParameters) -> None:
    """Whatever a request brings for a key is unknown, not an error."""
    assert Directory(store_of(database)).key(token) is None


async def test_more_than_a_page(store: Database) -> None:
    """Thousands of shops and keys are read whole."""
    await store.fetch(
        "INSERT INTO shop (code, name, main_phone, contact_email, time_zone) "
        "SELECT 's' || n, 'S', '+12125550100', 'a@example.com', 'UTC' "
        "FROM generate_series(1, 999) n"
    )
    await store.fetch(
        "INSERT INTO api_key (hash, label, shop) "
        "SELECT sha256(n::text::bytea), 'gw_' || n, id FROM shop, generate_series(1, 1) n "
        "WHERE id = 1 UNION ALL "
        "SELECT sha256(('k' || n)::bytea), 'gw_k' || n, NULL FROM generate_series(1, 999) n"
    )
    async with running(store) as (directory, _):
        assert all(directory.shop(f"s{n}") for n in range(1, 1000))
        assert len(directory.list_shops()) == 1000


async def test_follows_each_change(store: Database, database: ConnectParameters) -> None:
    """What another process commits is soon seen here, and told as it was and as it is."""
    async with running(store) as (directory, changes), opened(database) as other:
        await other.run(lambda c: shops.add_shop(c, SAMPLE | {"code": "new"}, SMS))
        old, new = await changes.next()
        assert old is None and new is not None and directory.shop("new") is new

        await other.run(lambda c: shops.set_shop(c, "new", {"name": "Newer"}, SMS))
        old, newer = await changes.next()
        assert old is new and newer == dataclasses.replace(new, name="Newer")

        await other.run(lambda c: shops.hold_shop(c, "new"))
        _, held = await changes.next()
        assert held is not None and held.is_held

        await other.run(lambda c: shops.release_shop(c, "new"))
        old, released = await changes.next()
        assert old is held and released == newer


async def test_follows_numbers(store: Database) -> None:
    """A number that goes from one shop to another is never left without an owner for good."""
    await store.run(lambda c: shops.add_shop(c, SAMPLE | {"code": "other"}, SMS))
    async with running(store) as (directory, changes):
        for code in ("sample", "other"):
            await store.run(
                lambda c, code=code: numbers.assign_number(c, NUMBER, code, "a", "smpp", SMS)
            )
            await changes.next()
            number, shop = directory.number(NUMBER), directory.shop(code)
            assert number is not None and shop is not None and number.shop == shop.id
            await store.run(lambda c: numbers.release_number(c, NUMBER, SMS))
            await changes.next()
            assert directory.number(NUMBER) is None


async def test_a_number_moves_in_one_transaction(store: Database) -> None:
    """In whatever order two shops are read again, the number belongs to who has it now."""
    await store.run(lambda c: shops.add_shop(c, SAMPLE | {"code": "other"}, SMS))
    for giver, taker in itertools.permutations(("sample", "other")):

        async def move(c: asyncpg.Connection, giver: str = giver, taker: str = taker) -> None:
            await numbers.release_number(c, NUMBER, SMS)
            await numbers.assign_number(c, NUMBER, taker, "a", "smpp", SMS)

        await store.run(
            lambda c, giver=giver: numbers.assign_number(c, NUMBER, giver, "a", "smpp", SMS)
        )
        async with running(store) as (directory, changes):
            await store.run(move)
            await changes.next()
            number, shop = directory.number(NUMBER), directory.shop(taker)
            assert number is not None and shop is not None and number.shop == shop.id
        await store.run(lambda c: numbers.release_number(c, NUMBER, SMS))


async def test_follows_keys(store: Database) -> None:
    """A new key is soon accepted, a revoked one soon not."""
    async with running(store) as (directory, _):
        token = await store.run(lambda c: keys.create_key(c, "sample"))
        await eventually(lambda: directory.key(token), "the key is known")
        await store.run(lambda c: keys.revoke_key(c, token[:10]))
        await eventually(lambda: directory.key(token) is None, "the key is gone")


async def test_uncommitted_changes_are_not_seen(store: Database) -> None:
    """What is rolled back is never announced."""
    async with running(store) as (_, changes):
        with pytest.raises(ZeroDivisionError):
            async with asyncio.timeout(DEADLINE_S):
                await store.run(hold_and_fail)
        await store.run(lambda c: shops.set_shop(c, "sample", {"name": "Later"}, SMS))
        await changes.next()
        assert [new and new.is_held for _, new in changes.seen] == [False]


async def hold_and_fail(connection: asyncpg.Connection) -> None:
    """Hold the shop in a transaction that does not commit."""
    await shops.hold_shop(connection, "sample")
    raise ZeroDivisionError


async def test_full_reading_heals(store: Database) -> None:
    """A change that nobody announced, deletions too, is seen by the next full reading."""
    await store.run(lambda c: shops.add_shop(c, SAMPLE | {"code": "gone"}, SMS))
    async with running(store, full_reading_s=0.05) as (directory, changes):
        await store.fetch("UPDATE shop SET name = 'Quiet' WHERE code = 'sample'")
        await changes.next()
        shop = directory.shop("sample")
        assert shop is not None and shop.name == "Quiet"
        await store.fetch("DELETE FROM shop WHERE code = 'gone'")
        old, new = await changes.next()
        assert old is not None and old.code == "gone" and new is None
        assert directory.shop("gone") is None


async def test_an_unknown_payload_reads_everything(store: Database) -> None:
    """What a newer version may announce is never lost on an older one."""
    async with running(store) as (_, changes):
        await store.fetch("UPDATE shop SET name = 'Quiet'")
        await store.fetch("SELECT pg_notify('gateway_directory', 'shop x')")
        _, new = await changes.next()
        assert new is not None and new.name == "Quiet"


async def test_serves_and_catches_up_over_an_outage(
    store: Database, database: ConnectParameters
) -> None:
    """While the database is away the last copy serves; once it is back, missed changes are told."""
    is_down = False

    async def source() -> dict[str, Any]:
        if is_down:
            raise StoreDown("away")
        return {**database}

    flaky = Database(source)
    async with running(flaky) as (directory, changes):
        is_down = True
        flaky._arguments = None
        await store.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'gateway directory'"
        )
        await eventually(lambda: directory._connection is None, "the loss is noticed")
        await store.run(lambda c: shops.hold_shop(c, "sample"))
        shop = directory.shop("sample")
        assert shop is not None and not shop.is_held
        is_down = False
        _, new = await changes.next()
        assert new is not None and new.is_held


async def test_a_failing_hook_stops_nothing(
    store: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """One that cannot follow a change is logged; the others are told and the copy is right."""

    def fail(*_: Shop | None) -> None:
        raise ZeroDivisionError

    async with running(store) as (directory, changes):
        directory.on_shop_changed.insert(0, fail)
        await store.run(lambda c: shops.hold_shop(c, "sample"))
        _, new = await changes.next()
        assert new is not None and directory.shop("sample") is new
    assert "ZeroDivisionError" in caplog.text


async def test_load_without_a_database() -> None:
    """A load that cannot connect says so."""

    async def source() -> dict[str, Any]:
        raise StoreDown("away")

    with pytest.raises(StoreDown):
        await Directory(Database(source)).load()


def test_support_ends_with_the_day_in_the_shops_zone() -> None:
    """The named day is the last active one where the shop is."""
    shop = shop_until(date(2030, 6, 30))
    assert shop.is_supported(ms(2030, 7, 1, 3, 59, 59))
    assert not shop.is_supported(ms(2030, 7, 1, 4, 0, 0))
    west = shop_until(date(2030, 6, 30), "America/Los_Angeles")
    assert west.is_supported(ms(2030, 7, 1, 6, 59, 59))


def test_support_ends_where_midnight_is_left_out() -> None:
    """Where clocks go from midnight to one, the day ends all the same."""
    shop = shop_until(date(2026, 3, 7), "America/Havana")
    assert shop.is_supported(ms(2026, 3, 8, 4, 59, 59))
    assert not shop.is_supported(ms(2026, 3, 8, 5, 0, 0))


@pytest.mark.parametrize("day", [None, date.max])
def test_support_without_end(day: date | None) -> None:
    """No day, or the last of all, is no end."""
    assert shop_until(day).is_supported(ms(9999, 12, 31))


def test_an_unknown_zone_counts_as_utc(caplog: pytest.LogCaptureFixture) -> None:
    """A zone that this machine does not know never keeps a shop from loading."""
    shop = shop_until(date(2030, 6, 30), "Mars/Olympus")
    assert not shop.is_supported(ms(2030, 7, 1))
    assert "Mars/Olympus" in caplog.text
