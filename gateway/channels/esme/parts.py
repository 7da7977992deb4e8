"""Long texts that ESMEs submit in parts become one message of the gateway.

An ESME may wait for the answer to one part before it sends the next, so each part is answered when
it is stored. The text has its id from its first part on; when the last part is there, the whole is
accepted under that id, the last part is answered with what comes of it, and the parts are deleted.
If the process dies before that, the ESME submits the unanswered part again, which is then known.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import asyncpg

from gateway.channels.esme.submitting import Addresses, Answer, shown_id
from gateway.errors import StoreDown
from gateway.ids import IdSource, wall_ms
from gateway.model import EventKind
from gateway.store.database import Database, HotConnection
from gateway.store.queries import load
from protocols.smpp import Message
from protocols.smpp import status as s
from protocols.sms.reassembly import Part, Scheme, is_complete, join

log = logging.getLogger(__name__)

BATCH_MAX: Final = 200
WAITING_MAX: Final = 5_000

Key = tuple[int, str, str, int, int]
"""Account, source, destination, reference and number of parts."""


@dataclass(slots=True, eq=False)
class PartItem:
    """One submission that is part of a text."""

    esme: int
    message: Message
    part: Part
    answer: Answer
    text: int = 0
    is_copy: bool = False

    @property
    def key(self) -> Key:
        """What the parts of one text have in common."""
        group = self.part.group or 0
        return self.esme, self.message.source, self.message.dest, group, self.part.total

    @property
    def shown(self) -> str:
        """The id that the ESME is told of this part."""
        return shown_id(self.text, self.part.number)


@dataclass(slots=True)
class Whole:
    """A text that is complete. `items`: the submissions that wait for what comes of it."""

    text: int
    body: str
    wanted: list[int]
    items: list[PartItem] = field(default_factory=list)


@dataclass(slots=True)
class _Group:
    """What is stored of one text."""

    text: int = 0
    parts: dict[int, Part] = field(default_factory=dict)
    wanted: dict[int, int] = field(default_factory=dict)


class LongTexts:
    """Takes the parts of all sessions of the process. `on_whole` has a complete text accepted."""

    def __init__(
        self,
        connection: HotConnection,
        database: Database,
        ids: IdSource,
        *,
        parts_max: int,
        reassembly_s: float,
        may_write: Callable[[], bool],
        on_whole: Callable[[Whole], None],
    ) -> None:
        self._connection = connection
        self._database = database
        self._ids = ids
        self._parts_max = parts_max
        self._reassembly_ms = int(reassembly_s * 1000)
        self._may_write = may_write
        self._on_whole = on_whole
        self._stored = 0
        self._waiting: deque[PartItem] = deque()
        self._underway: dict[int, Whole] = {}
        self._done: list[int] = []
        self._untold: list[tuple[Any, ...]] = []
        self._wake = asyncio.Event()

    def add(self, item: PartItem) -> None:
        """Store a part; its answer is told by callback."""
        if len(self._waiting) >= WAITING_MAX or self._stored >= self._parts_max:
            item.answer.settle(s.ESME_RMSGQFUL)
            return
        self._waiting.append(item)
        self._wake.set()

    def finished(self, whole: Whole, status: int) -> None:
        """What came of a whole text: it is accepted, refused for good, or (ESME_RSYSERR and the
        like) to be tried again when the ESME submits its last part again."""
        self._underway.pop(whole.text, None)
        for item in whole.items:
            item.answer.settle(status, "" if status else item.shown)
        if status in _TEMPORARY:
            return
        if status:
            self._untold.append(self._refused(whole, status))
        self._done.append(whole.text)
        self._wake.set()

    def _refused(self, whole: Whole, status: int) -> tuple[Any, ...]:
        """What is told of the parts that were acknowledged before the whole was refused."""
        item, wanted = whole.items[0], list(whole.wanted)
        for answered in whole.items:
            wanted[answered.part.number - 1] = 0
        addresses = Addresses.of(item.message)
        words = s.describe(status)
        return self._told(EventKind.SUPPRESSED, words, item.esme, whole.text, wanted, addresses)

    async def run(self) -> None:
        """Store what waits, for ever."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting or self._done:
                count = min(len(self._waiting), BATCH_MAX)
                await self._handle([self._waiting.popleft() for _ in range(count)])

    async def _handle(self, batch: list[PartItem]) -> None:
        done, self._done = self._done, []
        untold, self._untold = self._untold, []
        try:
            if not self._may_write():
                raise StoreDown("the node's lease was not renewed")
            wholes = await self._connection.transact(lambda c: self._store(c, batch, done, untold))
        except (StoreDown, asyncpg.PostgresError) as error:
            log.warning("%d parts of long texts could not be stored: %s", len(batch), error)
            for item in batch:
                item.answer.settle(s.ESME_RSYSERR)
            return
        self._stored += len(batch)
        waited_for = {id(item) for whole in wholes for item in whole.items}
        for item in batch:
            if id(item) not in waited_for:
                item.answer.settle(s.ESME_ROK, item.shown)
        for whole in wholes:
            earlier = self._underway.get(whole.text)
            if earlier is not None:
                earlier.items += whole.items
            else:
                self._underway[whole.text] = whole
                self._on_whole(whole)

    # Storing -------------------------------------------------------------------------------------

    async def _store(
        self,
        connection: asyncpg.Connection,
        batch: list[PartItem],
        done: list[int],
        untold: list[tuple[Any, ...]],
    ) -> list[Whole]:
        """Store the parts; returns the texts that are complete by them."""
        sql = load("esmes")
        if untold:
            await connection.execute(sql["tell"], untold)
        if done:
            await connection.execute(sql["forget_parts"], done)
        if not batch:
            return []
        await connection.execute(sql["lock"], sorted({item.esme for item in batch}))
        groups = await _read(connection, list({item.key: None for item in batch}))
        fresh: dict[tuple[int, int], tuple[Any, ...]] = {}
        touched: dict[int, Whole] = {}
        for item in batch:
            group = groups[item.key]
            known = group.parts.get(item.part.number)
            if known is not None and not _is_same(known, item.part):
                # The reference has come round again: what is left of the older text never was one.
                await self._give_up(connection, item, group)
                fresh = {place: row for place, row in fresh.items() if place[0] != group.text}
                group = groups[item.key] = _Group()
                known = None
            item.is_copy = known is not None
            group.text = item.text = group.text or self._ids.next()
            if known is None:
                group.parts[item.part.number] = item.part
                group.wanted[item.part.number] = item.message.registered_delivery
                fresh[group.text, item.part.number] = _row(item)
            if is_complete(group.parts.keys(), item.part.total):
                whole = touched.get(group.text)
                if whole is None:
                    whole = touched[group.text] = Whole(
                        group.text,
                        join(group.parts.values()).text,
                        [group.wanted[number] for number in sorted(group.wanted)],
                    )
                whole.items.append(item)
        if fresh:
            await connection.execute(sql["add_parts"], list(fresh.values()))
        return list(touched.values())

    async def _give_up(self, connection: asyncpg.Connection, item: PartItem, group: _Group) -> None:
        """Parts that were acknowledged are no text: the ESME is told, as far as it asked."""
        sql = load("esmes")
        await connection.execute(sql["forget_parts"], [group.text])
        row = self._expired(
            item.esme,
            group.text,
            _by_number(item.part.total, group.wanted),
            Addresses.of(item.message),
        )
        await connection.execute(sql["tell"], [row])

    def _expired(
        self, esme: int, text: int, wanted: list[int], addresses: Addresses
    ) -> tuple[Any, ...]:
        words = "the other parts did not come"
        return self._told(EventKind.EXPIRED, words, esme, text, wanted, addresses)

    def _told(
        self,
        kind: EventKind,
        words: str,
        esme: int,
        text: int,
        wanted: list[int],
        addresses: Addresses,
    ) -> tuple[Any, ...]:
        """A row of the outbox."""
        return esme, self._ids.next(), kind, text, wall_ms(), wanted, words, *addresses

    # Upkeep --------------------------------------------------------------------------------------

    async def sweep(self) -> None:
        """Give up texts that stay incomplete. Raises StoreDown."""
        if not self._may_write():
            return
        before_ms = wall_ms() - self._reassembly_ms

        async def work(connection: asyncpg.Connection) -> int:
            sql = load("esmes")
            stale = await connection.fetch(sql["stale_texts"], before_ms)
            rows = [
                self._expired(
                    row["esme"],
                    row["text"],
                    _by_number(row["total"], dict(zip(row["parts"], row["wanted"], strict=True))),
                    _addresses(row),
                )
                for row in stale
                if not row["is_message"]
            ]
            if rows:
                await connection.execute(sql["tell"], rows)
            if stale:
                await connection.execute(sql["forget_parts"], [row["text"] for row in stale])
            stored: int = await connection.fetchval(sql["count_parts"])
            return stored

        self._stored = await self._database.run(work)


_TEMPORARY: Final = frozenset({s.ESME_RSYSERR, s.ESME_RMSGQFUL, s.ESME_RTHROTTLED})


async def _read(connection: asyncpg.Connection, keys: list[Key]) -> dict[Key, _Group]:
    groups: dict[Key, _Group] = {key: _Group() for key in keys}
    columns = [list(column) for column in zip(*keys, strict=True)]
    for row in await connection.fetch(load("esmes")["parts"], *columns):
        key = keys[row["n"] - 1]
        group, number = groups[key], row["part"]
        group.text = row["text"]
        group.parts[number] = _part(key, number, row["payload"], row["coding"])
        group.wanted[number] = row["wanted"]
    return groups


def _part(key: Key, number: int, payload: bytes, coding: int) -> Part:
    return Part(Scheme(key[3] >> 16), key[3] & 0xFFFF, key[4], number, payload, coding)


def _addresses(row: asyncpg.Record) -> Addresses:
    source_ton, source_npi, dest_ton, dest_npi = row["addresses"]
    return Addresses(row["source"], source_ton, source_npi, row["dest"], dest_ton, dest_npi)


def _by_number(total: int, wanted: dict[int, int]) -> list[int]:
    """registered_delivery of each part; 0 for those that did not come."""
    return [wanted.get(number, 0) for number in range(1, total + 1)]


def _is_same(known: Part, new: Part) -> bool:
    return known.text_bytes == new.text_bytes and known.data_coding == new.data_coding


def _row(item: PartItem) -> tuple[Any, ...]:
    message, part = item.message, item.part
    tons = [message.source_ton, message.source_npi, message.dest_ton, message.dest_npi]
    return (
        *item.key,
        part.number,
        item.text,
        part.text_bytes,
        part.data_coding,
        message.registered_delivery,
        tons,
        wall_ms(),
    )
