"""API keys."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator

import pytest

from gateway.errors import Refusal
from gateway.store import keys, shops
from gateway.store.database import Database
from gateway.store.directory import TOKEN_LENGTH, Directory
from gateway.store.embedded import ConnectParameters
from tests.store.sample import SAMPLE, SMS, opened


@pytest.fixture
async def store(database: ConnectParameters) -> AsyncIterator[Database]:
    """A store with the sample shop."""
    async with opened(database) as store:
        await store.run(lambda c: shops.add_shop(c, SAMPLE, SMS))
        yield store


async def create(store: Database, shop: str | None = None) -> str:
    """Make a key."""
    return await store.run(lambda c: keys.create_key(c, shop))


async def test_a_key_is_random_and_kept_as_a_hash(store: Database) -> None:
    """A key holds 32 random bytes; the store has its SHA-256 and never the key."""
    token = await create(store)
    assert re.fullmatch(r"gw_[A-Za-z0-9_-]{43}", token)
    assert len(token) == TOKEN_LENGTH
    assert await create(store) != token
    rows = await store.fetch("SELECT hash, label FROM api_key WHERE label = $1", token[:10])
    assert [row["hash"] for row in rows] == [hashlib.sha256(token.encode()).digest()]


async def test_keys_of_shops_and_admins(store: Database) -> None:
    """A list names keys by label and shop, in the order they were made."""
    admin, shop = await create(store), await create(store, "sample")
    found = await store.run(keys.list_keys)
    assert [(key.label, key.shop, key.revoked) for key in found] == [
        (admin[:10], None, None),
        (shop[:10], "sample", None),
    ]


async def test_unknown_shop(store: Database) -> None:
    """A key needs its shop."""
    with pytest.raises(Refusal) as caught:
        await create(store, "nobody")
    assert caught.value.type == "not-found"
    assert await store.run(keys.list_keys) == []


async def test_revoking(store: Database) -> None:
    """A revoked key stays in the list with the time of its end, which a second time keeps."""
    label = (await create(store))[:10]
    await store.run(lambda c: keys.revoke_key(c, label))
    (first,) = await store.run(keys.list_keys)
    await store.run(lambda c: keys.revoke_key(c, label))
    assert first.revoked is not None
    assert await store.run(keys.list_keys) == [first]


async def test_forgetting(store: Database) -> None:
    """A forgotten key is in no list and opens nothing, at once."""
    token = await create(store, "sample")
    directory = Directory(store)
    await directory.load()
    assert directory.key(token) is not None
    following = asyncio.create_task(directory.run())
    await store.run(lambda c: keys.forget_key(c, token[:10]))
    assert await store.run(keys.list_keys) == []
    async with asyncio.timeout(20):
        while directory.key(token) is not None:  # noqa: ASYNC110 - nobody announces it
            await asyncio.sleep(0.002)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


async def test_unknown_label(store: Database) -> None:
    """What is no label of a key is told so, with where to find labels."""
    for label in ("gw_nothing", "", "\x00", "\udcff"):
        with pytest.raises(Refusal) as caught:
            await store.run(lambda c, label=label: keys.revoke_key(c, label))
        assert caught.value.type == "not-found"
        assert "key list" in caught.value.hint
