"""Texts from phones: gathered, stored as replies or parts, and acknowledged only then.

One task commits whatever waits as one transaction and answers in order of arrival. While the store
is away nothing is acknowledged, so that the carrier keeps what we could lose.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from types import MappingProxyType
from typing import Final, Literal

import asyncpg

from config.settings import Settings
from gateway.dispatch.routes import Routes
from gateway.errors import Fenced, StoreDown
from gateway.ids import IdSource, created_ms, lowest_at, wall_ms
from gateway.inbound.addresses import Addresses
from gateway.inbound.copies import COPY_WINDOW_S, KEPT_S, Copies, Entry
from gateway.inbound.replies import SQL, Group, NewPart, Reply, ReplyStore
from gateway.inbound.sweeping import Sweeper
from gateway.store.database import Database, HotConnection, is_row_fault
from gateway.store.directory import Directory, Number
from protocols.smpp import Message
from protocols.smpp.status import ESME_ROK, ESME_RX_R_APPN, ESME_RX_T_APPN
from protocols.sms.dialect import DEFAULT_DIALECT, TextDialect
from protocols.sms.reassembly import Part, join, read, user_data

log = logging.getLogger(__name__)

Respond = Callable[[int], None]
Outcome = Literal["reply", "part", "copy", "unrouted", "refused", "overflow"]

BATCH_MAX: Final = 200
WAITING_MAX: Final = 10_000
"""Texts that may wait for the store, over all links; each session's own bound is lower."""


@dataclass(slots=True, eq=False)
class _Item:
    """One deliver_sm that is not answered yet."""

    link: int
    session: int
    sequence: int
    part: Part
    phone: str
    number: str
    owner: Number | None
    digest: bytes
    at_ms: int
    respond: Respond
    entry: Entry | None = None
    is_copy: bool = False
    reply: Reply | None = None


class Texts:
    """Takes the texts of all links of this process."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        directory: Directory,
        ids: IdSource,
        routes: Routes,
        *,
        mail_route: int | None,
        clock: Callable[[], float],
        copy_window_s: float = COPY_WINDOW_S,
        may_write: Callable[[], bool] = lambda: True,
        on_queued: Callable[[int, int], None] = lambda route, rank: None,
        count: Callable[[int, Outcome], None] = lambda link, outcome: None,
        dialects: Mapping[int, TextDialect] = MappingProxyType({}),
    ) -> None:
        """`mail_route`: the id of the route `mail`. `clock`: monotonic seconds. `dialects`: what
        links speak, by id, where it is not the default.

        `on_queued` gets route and rank of each forward that other nodes may claim, `count` the link
        and what became of each text.
        """
        self._connection = HotConnection(database, "texts")
        self._ids = ids
        self._routes = routes
        self._clock = clock
        self._copy_window_s = copy_window_s
        self._may_write = may_write
        self._on_queued = on_queued
        self._count = count
        self._dialects = dialects
        self._addresses = Addresses(directory, settings.sms)
        self._store = ReplyStore(
            directory=directory,
            ids=ids,
            routes=routes,
            mail=settings.mail,
            limits=settings.limits,
            mail_route=mail_route if settings.mail.is_on else None,
            owner_of=directory.number,
        )
        self._sweeper = Sweeper(database, self._store, settings.sms.reassembly_s)
        self._copies: dict[int, Copies] = {}
        self._unread: set[int] = set()
        self._newest: dict[int, int] = {}
        self._waiting: deque[_Item] = deque()
        self._parts_stored = 0
        self._last_ms = 0
        self._wake = asyncio.Event()
        self._is_idle = asyncio.Event()
        self._is_idle.set()

    # What links report ---------------------------------------------------------------------------

    def session_began(self, link: int, session: int) -> None:
        """A bind of the link stands. Another node may have served it since: its texts are read."""
        self._copies_of(link).began(session, self._clock())
        self._unread.add(link)

    def session_ended(
        self, link: int, session: int, *, quiet_s: float = 0.0, is_clean: bool = False
    ) -> None:
        """A bind is gone, `quiet_s` after the carrier was last heard on it.

        `is_clean`: unbound in good order, so that the carrier has read every acknowledgement.
        """
        self._copies_of(link).ended(session, self._clock(), quiet_s=quiet_s, is_clean=is_clean)

    def text(self, link: int, session: int, message: Message, respond: Respond) -> None:
        """A deliver_sm that is no receipt. It is answered when it is stored."""
        if len(self._waiting) >= WAITING_MAX:
            self._count(link, "overflow")
            respond(ESME_RX_T_APPN)
            return
        item = self._read(link, session, message, respond)
        if item.part.group is None:
            item.entry, item.is_copy = self._copies_of(link).arrived(
                item.digest, session, message.sequence, self._clock()
            )
        self._waiting.append(item)
        self._is_idle.clear()
        self._wake.set()

    def _copies_of(self, link: int) -> Copies:
        copies = self._copies.get(link)
        if copies is None:
            copies = self._copies[link] = Copies(self._copy_window_s)
            self._unread.add(link)
        return copies

    def _read(self, link: int, session: int, message: Message, respond: Respond) -> _Item:
        dialect = self._dialects.get(link, DEFAULT_DIALECT)
        part = read(
            message.payload,
            message.esm_class,
            dialect.standard_coding(message.data_coding),
            message.tlvs,
            is_packed=dialect.is_packed,
        )
        number, owner = self._addresses.number(message.dest, message.dest_ton)
        return _Item(
            link=link,
            session=session,
            sequence=message.sequence,
            part=part,
            phone=self._addresses.phone(message.source, message.source_ton),
            number=number,
            owner=owner,
            digest=_digest(message, part),
            at_ms=self._arrival_ms(),
            respond=respond,
        )

    def _arrival_ms(self) -> int:
        """The time, always later than the last one: it tells parts of two texts apart."""
        self._last_ms = max(wall_ms(), self._last_ms + 1)
        return self._last_ms

    # Storing -------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Commit what gathers, for ever."""
        failures = 0
        while True:
            await self._wake.wait()
            try:
                while self._waiting:
                    await self._step()
                    failures = 0
                self._wake.clear()
                self._is_idle.set()
            except Exception as error:
                failures += 1
                self._log_failure(error, failures)
                delay_s = min(0.05 * 2.0 ** min(failures, 10), 2.0)
                await asyncio.sleep(delay_s * random.uniform(0.5, 1.0))  # noqa: S311 - jitter

    def _log_failure(self, error: Exception, failures: int) -> None:
        if failures not in (1, 10) and failures % 100:
            return
        is_known = isinstance(error, (StoreDown, Fenced))
        log.warning(
            "%d texts wait for the store: %s",
            len(self._waiting),
            error if is_known else type(error).__name__,
            exc_info=None if is_known else error,
        )

    async def drained(self) -> None:
        """Wait until everything that came so far is stored and answered."""
        await self._is_idle.wait()

    def close(self) -> None:
        """Give up the connection to the store, when `run` has ended."""
        self._connection.drop()

    async def sweep(self, now_ms: int) -> None:
        """Deliver what waited too long for its other parts, and delete what is not needed any more.

        To be called every few seconds, and once at the end. Raises StoreDown or Fenced.
        """
        self._require_lease()
        now = self._clock()
        for copies in list(self._copies.values()):
            copies.prune(now)
            await self._sweeper.forget(copies)
        self._announce(await self._sweeper.deliver(now_ms))
        await self._sweeper.delete_old(now_ms)

    def _require_lease(self) -> None:
        if not self._may_write():
            raise Fenced("the node's lease was not renewed")

    async def _step(self) -> None:
        """Store and answer what waits, up to a batch. What raises here leaves the rest waiting."""
        self._require_lease()
        batch = list(islice(self._waiting, BATCH_MAX))
        for link in {item.link for item in batch} & self._unread:
            await self._read_copies(link)
        await self._commit(batch)
        if self._parts_stored >= self._sweeper.incomplete_max:
            self._parts_stored = 0
            self._announce(await self._sweeper.deliver(wall_ms()))

    async def _read_copies(self, link: int) -> None:
        """Learn which texts of the link, stored by other processes, may come again."""
        rows = await self._connection.fetch(SQL["seen"], link, self._newest.get(link, 0))
        self._unread.discard(link)
        if not rows:
            return
        copies, now = self._copies[link], self._clock()
        newest_ms = created_ms(rows[0]["id"])
        self._newest[link] = rows[0]["id"]
        left_s = KEPT_S - (wall_ms() - newest_ms) / 1000
        oldest = lowest_at(newest_ms - int(self._copy_window_s * 1000))
        for row in reversed(rows):
            if left_s > 0 and row["id"] >= oldest:
                copies.restore(row["digest"], row["id"], left_s, now)
        for item in self._waiting:
            if item.link == link and item.entry and not item.entry.id and not item.is_copy:
                item.is_copy = copies.absorb_restored(item.entry)

    async def _commit(self, batch: list[_Item]) -> None:
        """Commit and answer a batch; if a row cannot be stored, halve until it alone is refused."""
        replies = [self._reply(item) for item in batch if _makes_reply(item)]
        parts = [new for item in batch if (new := _new_part(item))]
        made: list[Reply] = []
        try:
            if replies or parts:
                made = await self._connection.transact(
                    lambda connection: self._store.store(connection, parts, replies, wall_ms())
                )
        except asyncpg.PostgresError as error:
            if not is_row_fault(error):
                raise
            if len(batch) == 1:
                self._refuse(batch[0], error)
                return
            middle = len(batch) // 2
            await self._commit(batch[:middle])
            await self._commit(batch[middle:])
            return
        self._parts_stored += len(parts)
        self._announce(made)
        for item in batch:
            self._answer(item, ESME_ROK)
            if item.part.group is not None or item.is_copy:
                self._count(item.link, "copy" if item.is_copy else "part")

    def _reply(self, item: _Item) -> Reply:
        """The reply that a text in one piece makes; the same one at every try."""
        if item.reply is None:
            item.reply = Reply(
                id=self._ids.next(),
                link=item.link,
                number=item.number,
                phone=item.phone,
                owner=item.owner,
                body=join([item.part]).text,
                digest=item.digest,
            )
            self._newest[item.link] = item.reply.id
            if item.entry is not None:
                item.entry.id = item.reply.id
        return item.reply

    def _refuse(self, item: _Item, error: asyncpg.PostgresError) -> None:
        log.error("a text from a phone cannot be stored and was refused: %s", error.sqlstate)
        if item.entry is not None:
            self._copies[item.link].forget(item.entry)
            item.entry = None
        self._count(item.link, "refused")
        self._answer(item, ESME_RX_R_APPN)

    def _answer(self, item: _Item, status: int) -> None:
        """Answer the text that has waited longest."""
        self._waiting.popleft()
        if item.entry is not None:
            copies = self._copies[item.link]
            copies.acknowledged(item.entry, item.session, item.sequence, self._clock())
        item.respond(status)

    def _announce(self, replies: list[Reply]) -> None:
        """Tell of replies that are committed, and wake who sends their forwards."""
        for reply in replies:
            self._count(reply.link, "reply" if reply.shop else "unrouted")
            if reply.forward and self._store.mail_route is not None:
                route = self._routes.get(self._store.mail_route)
                route.inserted(reply.rank)
                route.wake()
                self._on_queued(route.id, reply.rank)


def _makes_reply(item: _Item) -> bool:
    return item.part.group is None and not item.is_copy


def _new_part(item: _Item) -> NewPart | None:
    part = item.part
    if part.group is None:
        return None
    group = Group(item.link, item.phone, item.number, part.group, part.total)
    return NewPart(group, part, item.digest, item.at_ms)


def _digest(message: Message, part: Part) -> bytes:
    """What a copy is known by. For a part, its group says the rest."""
    digest = hashlib.blake2b(digest_size=16)
    if part.group is None:
        envelope = (message.source, message.dest, message.esm_class, message.data_coding)
        digest.update(repr(envelope).encode())
        digest.update(user_data(message.payload, message.tlvs))
    else:
        digest.update(bytes([part.data_coding & 0xFF]) + part.text_bytes)
    return digest.digest()
