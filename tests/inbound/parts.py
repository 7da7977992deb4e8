"""A shop with a number, texts for it as a carrier delivers them, and the gateway's way in."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import asyncpg
from msgspec.structs import replace

from config.settings import LimitSettings, MailSettings, Settings, SmsSettings
from gateway.dispatch.routes import Routes
from gateway.ids import IdSource
from gateway.inbound.texts import Texts
from gateway.store import numbers, shops
from gateway.store.database import Database
from gateway.store.directory import Directory
from protocols.smpp import Message
from protocols.sms import gsm7
from tests.store.sample import NUMBER, SAMPLE, SMS

PHONE = "+12125550123"
LINK = 7
MAIL = MailSettings(host="127.0.0.1", security="none", sender="gateway@example.com")
SETTINGS = Settings(mail=MAIL, limits=LimitSettings(retry_min_s=0.01, retry_max_s=0.02))


def text(body: str, sequence: int = 1, **fields: Any) -> Message:
    """A deliver_sm with a whole text for the sample shop's number."""
    message = Message(
        sequence=sequence,
        source=PHONE.removeprefix("+"),
        source_ton=1,
        dest=NUMBER.removeprefix("+"),
        dest_ton=1,
        payload=gsm7.encode(body),
    )
    for name, value in fields.items():
        setattr(message, name, value)
    return message


def part(
    body: str, number: int, total: int, *, reference: int = 9, sequence: int = 0, **fields: Any
) -> Message:
    """A deliver_sm with one segment of a long text."""
    header = bytes((5, 0, 3, reference, total, number))
    return text(
        "", sequence or number, esm_class=0x40, payload=header + gsm7.encode(body), **fields
    )


class Carrier:
    """One bind as the texts see it: deliveries go in, answers are kept in order."""

    def __init__(self, texts: Texts, session: int = 1, link: int = LINK) -> None:
        self.answers: list[tuple[int, int]] = []
        self._texts = texts
        self._session = session
        self._link = link
        self._answered = asyncio.Event()

    def deliver(self, *messages: Message) -> None:
        """Deliver without waiting for answers."""
        for message in messages:

            def respond(status: int, sequence: int = message.sequence) -> None:
                self.answers.append((sequence, status))
                self._answered.set()

            self._texts.text(self._link, self._session, message, respond)

    async def answered(self, count: int) -> list[tuple[int, int]]:
        """The answers, sequence number and status, as soon as there are `count`."""
        async with asyncio.timeout(10):
            while len(self.answers) < count:
                self._answered.clear()
                await self._answered.wait()
        return self.answers

    def cut(self) -> None:
        """The bind is lost."""
        self._texts.session_ended(self._link, self._session)


class Node:
    """What one process has of the way in: directory, routes, ids and texts."""

    def __init__(
        self,
        database: Database,
        node: int,
        settings: Settings,
        mail_route: int,
        *,
        texts_database: Database | None = None,
    ) -> None:
        self.counts: list[str] = []
        self.queued: list[tuple[int, int]] = []
        self.directory = Directory(database)
        self.ids = IdSource(node)
        self.routes = Routes()
        self.texts = Texts(
            settings,
            texts_database or database,
            self.directory,
            self.ids,
            self.routes,
            mail_route=mail_route,
            clock=asyncio.get_running_loop().time,
            on_queued=lambda route, rank: self.queued.append((route, rank)),
            count=lambda link, outcome: self.counts.append(outcome),
        )


@asynccontextmanager
async def running(node: Node) -> AsyncIterator[Texts]:
    """The node's texts, stored as they come, for the length of a block."""
    await node.directory.load()
    task = asyncio.create_task(node.texts.run())
    try:
        yield node.texts
    finally:
        node.directory.close()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        node.texts.close()


async def prepare(database: Database, **values: str) -> int:
    """Make the sample shop with its number; the id of the route of mails."""

    async def work(connection: Any) -> int:
        await shops.add_shop(connection, SAMPLE | values, SMS)
        await numbers.assign_number(connection, NUMBER, "sample", "acme", "smpp", SMS)
        return int(
            await connection.fetchval(
                "INSERT INTO route (name, kind) VALUES ('mail', 'mail') RETURNING id"
            )
        )

    return await database.run(work)


def with_sms(**values: Any) -> Settings:
    """The settings of the tests with other ones of [sms]."""
    return replace(SETTINGS, sms=SmsSettings(**values))


async def replies(store: Database) -> list[asyncpg.Record]:
    """All replies, in order of their ids."""
    return await store.fetch("SELECT * FROM reply ORDER BY id")


async def bodies(store: Database) -> list[str]:
    """What all replies say, in order of their ids."""
    return [row["body"] for row in await replies(store)]


def now_ms() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000
