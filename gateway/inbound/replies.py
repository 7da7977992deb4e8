"""Storing what phones sent: parts, the replies that they make up, and each reply's forward.

All of it happens in the transaction of the caller, and doing it again changes nothing: a commit
whose answer was lost is repeated.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from config.settings import LimitSettings, MailSettings
from gateway.dispatch.routes import Routes
from gateway.ids import IdSource
from gateway.model import Lane
from gateway.store.directory import Directory, Number, Shop
from gateway.store.queries import load
from protocols.sms.reassembly import Part, Scheme, is_complete, join

SQL = load("inbound")


@dataclass(frozen=True, slots=True, order=True)
class Group:
    """What the parts of one text have in common."""

    link: int
    phone: str
    number: str
    reference: int
    total: int

    @property
    def lock(self) -> int:
        """The key of the advisory lock under which its parts are put together, as int4."""
        name = f"{self.phone}\0{self.number}\0{self.reference}".encode()
        return zlib.crc32(name) - (1 << 31)


@dataclass(frozen=True, slots=True)
class NewPart:
    """A part that came just now."""

    group: Group
    part: Part
    digest: bytes
    at_ms: int


@dataclass(slots=True, eq=False)
class Reply:
    """A whole text, or what came of one. `owner` is the assignment of its number when it came."""

    id: int
    link: int
    number: str
    phone: str
    owner: Number | None
    body: str
    segments: int = 1
    missing: Sequence[int] = ()
    digest: bytes | None = None
    """What a copy of it is known by; None for what came in parts: each knows its own copies."""
    shop: Shop | None = None
    """Whom it belongs to; None: unrouted."""
    forward: int = 0
    """The id of the message that brings it to the shop; 0: none does."""
    rank: int = 0


@dataclass(slots=True)
class ReplyStore:
    """Writes parts and replies. `mail_route`: where forwards wait; None: nothing is forwarded."""

    directory: Directory
    ids: IdSource
    routes: Routes
    mail: MailSettings
    limits: LimitSettings
    mail_route: int | None
    owner_of: Callable[[str], Number | None]
    """The assignment that a stored number has now."""

    async def store(
        self,
        connection: asyncpg.Connection,
        parts: Sequence[NewPart],
        replies: Iterable[Reply],
        now_ms: int,
    ) -> list[Reply]:
        """Store parts and whole texts; whatever the parts complete becomes a reply too."""
        made = list(replies)
        if parts:
            groups = sorted({new.group for new in parts})
            await self.lock(connection, groups)
            await connection.execute(SQL["add_parts"], *_part_columns(parts))
            made += await self.join(connection, groups, is_forced=False)
        return await self.add(connection, made, now_ms)

    async def lock(self, connection: asyncpg.Connection, groups: Iterable[Group]) -> None:
        """Keep every other transaction from judging these texts until this one ends."""
        await connection.execute(SQL["lock_groups"], sorted({group.lock for group in groups}))

    async def join(
        self, connection: asyncpg.Connection, groups: Sequence[Group], *, is_forced: bool
    ) -> list[Reply]:
        """The replies that the parts of these locked texts make up; `is_forced`: whole or not."""
        rows = await connection.fetch(SQL["open_parts"], *_group_columns(groups))
        open_parts: dict[int, list[asyncpg.Record]] = {}
        for row in sorted(rows, key=lambda row: row["at_ms"]):
            open_parts.setdefault(row["n"], []).append(row)
        made = []
        for n in sorted(open_parts):
            for rows in _texts(open_parts[n], groups[n].total, is_forced):
                reply = self._joined(groups[n], rows)
                used = [row["row"] for row in rows]
                await connection.execute(SQL["close_parts"], reply.id, used)
                made.append(reply)
        return made

    async def drop(self, connection: asyncpg.Connection, group: Group) -> None:
        """Give up the open parts of a text that cannot be stored."""
        await self.lock(connection, [group])
        rows = await connection.fetch(SQL["open_parts"], *_group_columns([group]))
        await connection.execute(SQL["close_parts"], 0, [row["row"] for row in rows])

    def _joined(self, group: Group, rows: list[asyncpg.Record]) -> Reply:
        joined = join(
            Part(Scheme.SAR, group.reference, group.total, r["part"], r["payload"], r["coding"])
            for r in rows
        )
        return Reply(
            id=self.ids.next(),
            link=group.link,
            number=group.number,
            phone=group.phone,
            owner=self.owner_of(group.number),
            body=joined.text,
            segments=group.total,
            missing=joined.missing,
        )

    async def add(
        self, connection: asyncpg.Connection, replies: list[Reply], now_ms: int
    ) -> list[Reply]:
        """Store replies with all that follows from them."""
        if replies:
            await self._route(connection, replies)
            for reply in replies:
                self._plan_forward(reply)
            await connection.execute(SQL["add_replies"], *self._columns(replies, now_ms))
        return replies

    async def _route(self, connection: asyncpg.Connection, replies: Sequence[Reply]) -> None:
        """Find the shop of each reply: none if it may be meant for the number's former shop."""
        owned: list[tuple[int, int, str, str, Reply]] = []
        for reply in replies:
            reply.shop = self.directory.shop_by_id(reply.owner.shop) if reply.owner else None
            if reply.shop is not None:
                owned.append((len(owned), reply.shop.id, reply.number, reply.phone, reply))
        if not owned:
            return
        columns = list(zip(*owned, strict=True))
        for row in await connection.fetch(SQL["quarantined"], *map(list, columns[:4])):
            owned[row["n"]][4].shop = None

    def _plan_forward(self, reply: Reply) -> None:
        if reply.shop is None or self.mail_route is None:
            reply.forward = 0
        elif not reply.forward:
            reply.forward = self.ids.next()
            ranker = self.routes.get(self.mail_route).ranker
            reply.rank = ranker.rank(Lane.SERVICE, reply.shop.id)

    def _columns(self, replies: Sequence[Reply], now_ms: int) -> list[list[Any]]:
        expires_ms = now_ms + int(self.limits.validity_service_forward_s * 1000)
        rows = [
            (
                r.id,
                r.shop.id if r.shop else None,
                r.link,
                r.number,
                r.phone,
                r.body,
                r.segments,
                "{" + ",".join(map(str, r.missing)) + "}",
            )
            for r in replies
        ]
        seen = [(r.id, r.link, r.digest) for r in replies if r.digest is not None]
        talks = {(r.shop.id, r.phone): r.number for r in replies if r.shop}
        forwards = [
            (
                r.forward,
                r.shop.id,
                self.mail_route,
                r.rank,
                expires_ms,
                r.id,
                self.mail.sender,
                r.shop.contact_email,
                r.body,
            )
            for r in replies
            if r.shop and r.forward
        ]
        return [
            *_transposed(rows, 8),
            *_transposed(seen, 3),
            *_transposed([(*key, talks[key]) for key in sorted(talks)], 3),
            *_transposed(forwards, 9),
        ]


def _texts(rows: list[asyncpg.Record], total: int, is_forced: bool) -> list[list[asyncpg.Record]]:
    """The open parts of one group, oldest first, as the texts that they make up, oldest first.

    Of each number the newest is taken: an older one is left of a text with the same reference.
    """
    texts: list[list[asyncpg.Record]] = []
    left = rows
    while left and (is_forced or is_complete({row["part"] for row in left}, total)):
        chosen = {row["part"]: row for row in left}
        left = [row for row in left if chosen[row["part"]] is not row]
        texts.append(list(chosen.values()))
    texts.reverse()
    return texts


def _part_columns(parts: Sequence[NewPart]) -> list[list[Any]]:
    rows = [
        (
            new.group.link,
            new.group.phone,
            new.group.number,
            new.group.reference,
            new.group.total,
            new.part.number,
            new.digest,
            new.part.text_bytes,
            new.part.data_coding,
            new.at_ms,
        )
        for new in parts
    ]
    return _transposed(rows, 10)


def _group_columns(groups: Sequence[Group]) -> list[list[Any]]:
    rows = [(n, g.link, g.phone, g.number, g.reference, g.total) for n, g in enumerate(groups)]
    return _transposed(rows, 6)


def _transposed(rows: Sequence[tuple[Any, ...]], width: int) -> list[list[Any]]:
    """Rows as the columns that unnest() takes."""
    if not rows:
        return [[] for _ in range(width)]
    return [list(column) for column in zip(*rows, strict=True)]
