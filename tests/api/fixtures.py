"""The API over real HTTP, in front of an intake, a directory and depths that live in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from config.settings import HttpSettings, LimitSettings, Settings, SmsSettings, StoreSettings
from gateway.api.context import ApiContext
from gateway.api.server import make_app
from gateway.dispatch.acceptance import Acceptance, Draft, answer, settle_draft
from gateway.dispatch.depths import Depths
from gateway.dispatch.group import Waiter
from gateway.dispatch.intake import Accepted, Idempotency, Outcome
from gateway.errors import Fault, Refusal, StoreDown
from gateway.ids import IdSource, lowest_at, wall_ms
from gateway.observe.metrics import Metrics
from gateway.store.database import Database
from gateway.store.directory import Key, Number, Shop, hash_token
from gateway.store.numbers import assign_number
from gateway.store.shops import add_shop
from gateway.voice.previews import Previews
from tests.postgres import ConnectParameters
from tests.store.sample import store_of

Client = TestClient[web.Request, web.Application]

SHOP_KEY = "gw_" + "s" * 43
OTHER_KEY = "gw_" + "o" * 43
ADMIN_KEY = "gw_" + "a" * 43
REVOKED_KEY = "gw_" + "r" * 43

SAMPLE = Shop(
    1,
    "sample",
    "Sample Bridal",
    "+12125550100",
    "owner@example.com",
    "America/New_York",
    None,
    None,
    False,
    (Number("+12125550140", 1, 1, "acme"),),
)
OTHER = Shop(
    2,
    "other",
    "Other Formal Wear",
    "+12125550101",
    "other@example.com",
    "America/Chicago",
    None,
    None,
    False,
    (Number("+12125550141", 2, 1, "acme"),),
)


class MemoryDirectory:
    """Shops and keys without a database."""

    def __init__(self, *shops: Shop) -> None:
        self.shops = {shop.code: shop for shop in shops}
        self.keys = {
            hash_token(SHOP_KEY): Key(SHOP_KEY[:10], 1),
            hash_token(OTHER_KEY): Key(OTHER_KEY[:10], 2),
            hash_token(ADMIN_KEY): Key(ADMIN_KEY[:10], None),
        }

    def shop(self, code: str) -> Shop | None:
        """The shop with this code."""
        return self.shops.get(code)

    def shop_by_id(self, id_: int) -> Shop | None:
        """The shop with this id."""
        return next((shop for shop in self.shops.values() if shop.id == id_), None)

    def key(self, token: str) -> Key | None:
        """The key, unless revoked."""
        return self.keys.get(hash_token(token))


class MemoryIntake:
    """Judges drafts as the real one does, and keeps what was accepted in a list."""

    def __init__(self) -> None:
        self.accepted: list[Draft] = []
        self.answers: dict[tuple[int, str], tuple[bytes, bytes]] = {}
        self.room = 20_000
        self.is_store_down = False
        self.is_silent = False
        self.looks = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def require_room(self, messages: int) -> None:
        """Refuse what is too much."""
        if messages > self.room:
            raise Refusal("unavailable", "Too many requests wait to be stored.", retry_after_s=1)

    async def accept(
        self, drafts: Sequence[Draft], keys: Sequence[Idempotency | None] = ()
    ) -> list[Outcome]:
        """Accept or refuse each draft."""
        self.require_room(len(drafts))
        if self.is_store_down:
            return [Refusal("unavailable", "No store.", retry_after_s=2) for _ in drafts]
        return [await self._one(draft, key) for draft, key in zip(drafts, keys, strict=True)]

    def submit(self, draft: Draft, key: Idempotency | None, waiter: Waiter, index: int) -> None:
        """Accept or refuse one draft, by callback."""
        self.require_room(1)

        async def work() -> None:
            (outcome,) = await self.accept((draft,), (key,))
            waiter.settle(index, outcome)

        task = asyncio.get_running_loop().create_task(work())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _one(self, draft: Draft, key: Idempotency | None) -> Outcome:
        if key is not None and (earlier := await self.replay(draft.shop.id, key)):
            return earlier
        try:
            settle_draft(draft, None, None, has_link=True, now_ms=wall_ms())
        except Refusal as refusal:
            return refusal
        told = msgspec.json.encode(answer(draft))
        if key is not None:
            self.answers[draft.shop.id, key.key] = (key.fingerprint, told)
        self.accepted.append(draft)
        return Accepted(told)

    async def replays(self, asked: Sequence[tuple[int, Idempotency]]) -> list[Outcome | None]:
        """The first answer under each key, in one look."""
        self.looks += 1
        if self.is_silent:
            await asyncio.Event().wait()
        return [await self.replay(shop, key) for shop, key in asked]

    async def replay(self, shop: int, key: Idempotency) -> Outcome | None:
        """The first answer under this key."""
        known = self.answers.get((shop, key.key))
        if known is None:
            return None
        if known[0] != key.fingerprint:
            fault = Fault("Idempotency-Key", "belongs to another request", "use a new key")
            return Refusal("key-reused", "The key was used before.", (fault,))
        return Accepted(known[1], is_replay=True)


class MemoryDepths:
    """Says that as many messages wait as a test wants."""

    def __init__(self) -> None:
        self.waits: dict[int, int] = {}

    def waiting(self, shop: int) -> int:
        """How many messages of the shop wait."""
        return self.waits.get(shop, 0)


class NoDatabase:
    """A database that is away."""

    async def run(self, work: Callable[[Any], Awaitable[Any]]) -> Any:
        """Fail as a lost connection does."""
        raise StoreDown("no connection to PostgreSQL")

    read = run

    async def fetch(self, query: str, *args: Any) -> Any:
        """Fail as a lost connection does."""
        raise StoreDown("no connection to PostgreSQL")


@dataclass
class Api:
    """A running API: `post` and `get` speak with the sample shop's key unless told otherwise."""

    client: Client
    context: ApiContext
    intake: MemoryIntake
    depths: MemoryDepths
    directory: MemoryDirectory

    async def call(
        self,
        method: str,
        path: str,
        json: Any = None,
        *,
        key: str | None = SHOP_KEY,
        data: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, Any, dict[str, str]]:
        """Status, decoded body and headers of one call."""
        sent = dict(headers or {})
        if key is not None:
            sent["Authorization"] = f"Bearer {key}"
        body = msgspec.json.encode(json) if data is None and json is not None else data
        async with self.client.request(method, path, data=body, headers=sent) as response:
            raw = await response.read()
            told = dict(response.headers)
            is_json = "json" in told.get("Content-Type", "")
            return response.status, msgspec.json.decode(raw) if is_json else raw, told


def make_settings(folder: Path) -> Settings:
    """Settings with small limits, so that tests reach them."""
    return Settings(
        store=StoreSettings(data_dir=folder),
        http=HttpSettings(batch_max_bytes=4_194_304),
        limits=LimitSettings(waiting_per_shop=100),
    )


def make_context(settings: Settings, database: Any) -> ApiContext:
    """A context of stand-ins around a database."""
    acceptance = Acceptance(settings.sms, settings.limits, IdSource(1), {})
    stand_ins: Any = (MemoryDirectory(SAMPLE, OTHER), acceptance, MemoryIntake(), database)
    depths: Any = MemoryDepths()
    return ApiContext(
        settings, *stand_ins, depths, Metrics(), ids=IdSource(2), has_link=lambda _: True
    )


@pytest.fixture
async def api(
    aiohttp_client: Callable[[web.Application], Awaitable[Client]], tmp_path: Path
) -> Api:
    """The API without a database."""
    return await start(make_context(make_settings(tmp_path), NoDatabase()), aiohttp_client)


SECRETS = {1: "the sample shop's own words", 2: "the other shop's own words"}
"""A text that each shop's message and reply hold."""
MESSAGES = {shop: lowest_at(wall_ms() - 60_000) + shop for shop in SECRETS}
"""The id of a message of each shop that waits in the store."""


async def fill(database: Database) -> None:
    """Two shops as the directory has them, each with a message that waits and a reply."""

    async def work(connection: asyncpg.Connection) -> None:
        for shop in (SAMPLE, OTHER):
            values = {"code": shop.code, "name": shop.name, "main_phone": shop.main_phone}
            values |= {"contact_email": shop.contact_email, "time_zone": shop.time_zone}
            added = await add_shop(connection, values, SmsSettings())
            assert added.id == shop.id
            number = shop.numbers[0].number
            await assign_number(connection, number, shop.code, "acme", "smpp", SmsSettings())
            await connection.execute(
                "INSERT INTO message (id, shop, route, rank, place, channel, category, encoding,"
                " segments, expires_ms, sender, target, body, reference)"
                " VALUES ($1, $2, 1, 1, 1, 1, 1, 0, 1, $3, $4, '+12125550123', $5, 'todo-8812')",
                MESSAGES[shop.id],
                shop.id,
                wall_ms() + 3_600_000,
                number,
                SECRETS[shop.id],
            )
            await connection.execute(
                "INSERT INTO queue VALUES (1, 1, $1, $2, 0)", MESSAGES[shop.id], shop.id
            )
            await connection.execute(
                "INSERT INTO reply (id, shop, link, number, phone, body, segments)"
                " VALUES ($1, $2, 1, $3, '+12125550123', $4, 1)",
                MESSAGES[shop.id] + 10,
                shop.id,
                number,
                SECRETS[shop.id],
            )

    await database.run(work)


@pytest.fixture
async def stored_api(
    database: ConnectParameters,
    aiohttp_client: Callable[[web.Application], Awaitable[Client]],
    tmp_path: Path,
) -> AsyncIterator[Api]:
    """The API on a store that holds a message and a reply of each shop."""
    store = store_of(database)
    await fill(store)
    context = make_context(make_settings(tmp_path), store)
    api = await start(context, aiohttp_client)
    context.depths = Depths(store)
    previews = Previews.of(context.settings, store, context.metrics.spoke)
    context.speaker = previews
    yield api
    await previews.close()
    await store.close()


async def start(
    context: Any, aiohttp_client: Callable[[web.Application], Awaitable[Client]]
) -> Api:
    """Serve a context of stand-ins."""
    client = await aiohttp_client(make_app(context))
    return Api(client, context, context.intake, context.depths, context.directory)
