"""Long texts that ESMEs submit in parts become one message of the gateway.

An ESME may wait for the answer to one part before it sends the next, so each part is answered when
it is stored. The text has its id from its first part on; when the last part is there, the whole is
accepted under that id, and the last part is answered with what comes of it. If the process dies
before the answer is heard, the ESME submits the part again, which is then known: the parts of an
accepted text are kept for a while, and each is taken for a copy once, when the process that had
accepted the text is gone. One that lives knows by itself what it answered on binds that were cut.
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
_AGAIN_S: Final = 1.0

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
    is_done: bool = False
    """Whether it was accepted already."""
    orphans: set[int] = field(default_factory=set)
    """Parts of an accepted text that a process had that is gone: it may not have answered them."""


@dataclass(slots=True)
class _Endings:
    """What is to be written of texts that have come to their end."""

    accepted: list[int] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    untold: list[tuple[Any, ...]] = field(default_factory=list)
    """Rows of the outbox."""

    def __bool__(self) -> bool:
        return bool(self.accepted or self.refused or self.untold)

    def __add__(self, later: _Endings) -> _Endings:
        return _Endings(
            self.accepted + later.accepted,
            self.refused + later.refused,
            self.untold + later.untold,
        )


class LongTexts:
    """Takes the parts of all sessions of the process. `on_whole` has a complete text accepted."""

    def __init__(
        self,
        connection: HotConnection,
        database: Database,
        ids: IdSource,
        *,
        node: int,
        epoch: int,
        parts_max: int,
        reassembly_s: float,
        copies_s: float,
        may_write: Callable[[], bool],
        on_whole: Callable[[Whole], None],
    ) -> None:
        """`copies_s`: how long the parts of an accepted text are kept."""
        self._connection = connection
        self._database = database
        self._ids = ids
        self._node = node
        self._epoch = epoch
        self._parts_max = parts_max
        self._reassembly_ms = int(reassembly_s * 1000)
        self._copies_ms = int(copies_s * 1000)
        self._may_write = may_write
        self._on_whole = on_whole
        self._stored = 0
        self._waiting: deque[PartItem] = deque()
        self._underway: dict[int, Whole] = {}
        self._endings = _Endings()
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
            self._endings.untold.append(self._refused(whole, status))
            self._endings.refused.append(whole.text)
        else:
            self._endings.accepted.append(whole.text)
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
            while self._waiting or self._endings:
                count = min(len(self._waiting), BATCH_MAX)
                await self._handle([self._waiting.popleft() for _ in range(count)])

    async def _handle(self, batch: list[PartItem]) -> None:
        endings, self._endings = self._endings, _Endings()
        try:
            if not self._may_write():
                raise StoreDown("the node's lease was not renewed")
            wholes = await self._connection.transact(lambda c: self._store(c, batch, endings))
        except (StoreDown, asyncpg.PostgresError) as error:
            log.warning("%d parts of long texts could not be stored: %s", len(batch), error)
            for item in batch:
                item.answer.settle(s.ESME_RSYSERR)
            self._endings = endings + self._endings
            if not self._waiting:
                await asyncio.sleep(_AGAIN_S)
            return
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
        endings: _Endings,
    ) -> list[Whole]:
        """Store the parts; returns the texts that are complete by them."""
        sql = load("esmes")
        await self._end(connection, endings)
        if not batch:
            return []
        await connection.execute(sql["lock"], sorted({item.esme for item in batch}))
        groups = await _read(connection, list({item.key: None for item in batch}))
        fresh: dict[tuple[int, int], tuple[Any, ...]] = {}
        touched: dict[int, Whole] = {}
        adopted: list[tuple[int, int]] = []
        for item in batch:
            group = groups[item.key]
            known = group.parts.get(item.part.number)
            is_same = known is not None and _is_same(known, item.part)
            if is_same and item.part.number in group.orphans:
                # It was accepted, and the process died before the answer was heard.
                item.text = group.text
                group.orphans.discard(item.part.number)
                adopted.append((group.text, item.part.number))
                continue
            if group.is_done or (known is not None and not is_same):
                # The reference has come round again: what is left of an older text never was one.
                await self._give_up(connection, item, group)
                fresh = {place: row for place, row in fresh.items() if place[0] != group.text}
                group = groups[item.key] = _Group()
                known = None
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
        if adopted:
            columns = [list(column) for column in zip(*adopted, strict=True)]
            await connection.execute(sql["adopt_parts"], *columns, self._node, self._epoch)
        self._stored += len(fresh)
        return list(touched.values())

    async def _end(self, connection: asyncpg.Connection, endings: _Endings) -> None:
        """Write what came of whole texts."""
        sql, forgotten = load("esmes"), endings.refused
        if endings.untold:
            await connection.execute(sql["tell"], endings.untold)
        if endings.accepted and self._copies_ms:
            mine = self._node, self._epoch
            told = await connection.execute(sql["finish_parts"], endings.accepted, *mine)
            self._stored -= _count(told)
        else:
            forgotten = forgotten + endings.accepted
        if forgotten:
            self._stored -= _count(await connection.execute(sql["forget_parts"], forgotten))

    async def _give_up(self, connection: asyncpg.Connection, item: PartItem, group: _Group) -> None:
        """The parts of an older text go; if it never was one, the ESME is told, as far as it
        asked."""
        sql = load("esmes")
        await connection.execute(sql["forget_parts"], [group.text])
        if group.is_done or await connection.fetchval(sql["is_message"], group.text):
            return
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
        now_ms = wall_ms()
        before_ms = now_ms - self._reassembly_ms

        async def work(connection: asyncpg.Connection) -> int:
            sql = load("esmes")
            await connection.execute(sql["forget_finished"], now_ms - self._copies_ms)
            stale = await connection.fetch(sql["stale_texts"], before_ms)
            if stale:
                # Another node may just have put one of them together.
                await connection.execute(sql["lock"], sorted({row["esme"] for row in stale}))
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
        group.text, group.is_done = row["text"], row["is_done"]
        if row["is_done"] and row["is_orphan"]:
            group.orphans.add(number)
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
        None,
        None,
    )


def _count(told: str) -> int:
    """How many rows a statement says it has changed: `UPDATE 3`."""
    return int(told.rpartition(" ")[2])
