"""Receipts and texts on their way to ESMEs: read in order, sent within the window of each bind, and
deleted when they are acknowledged.

What waits for an account is in the store; only a page of it is in memory. All receiving binds of
an account on this node share it; of several nodes the one whose receiving bind stands longest
delivers, so that a bind that comes takes nothing from one that has begun.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Protocol

import asyncpg

from gateway.channels.esme.deliveries import bodies
from gateway.errors import StoreDown
from gateway.ids import lowest_at, wall_ms
from gateway.store.database import Database, HotConnection
from gateway.store.queries import load
from protocols.errors import LocalProtocolError
from protocols.smpp import Disposition, disposition, status_name

log = logging.getLogger(__name__)

PAGE: Final = 500
"""Rows of one account read at a time."""
POLL_S: Final = 0.25
"""How often is looked for what other processes wrote."""
GAP_S: Final = 0.02
"""Between two looks at the store: what came meanwhile is read and deleted together."""
_START_OVER_S: Final = 1.0
_TELL_S: Final = 60.0
_BEHIND_ALL: Final = (1 << 63) - 1
_PAUSE_MIN_S: Final = 1.0
_PAUSE_MAX_S: Final = 60.0


class Receiver(Protocol):
    """A bind that takes deliver_sm."""

    def room(self) -> int:
        """How many it takes now."""

    def deliver(self, body: bytes, context: object) -> None:
        """Send one; `Outbox.answered` or `Outbox.detach` tells what became of it."""

    def flush(self) -> None:
        """All of this turn is handed over."""


@dataclass(slots=True, eq=False)
class _Row:
    """An outbox row on its way."""

    box: _Box
    id: int
    left: int
    receiver: Receiver | None = None
    """Who got the first part: the others of the same text follow it."""


@dataclass(slots=True, eq=False)
class Delivery:
    """One deliver_sm of a row."""

    row: _Row
    body: bytes


@dataclass(slots=True, eq=False)
class _Box:
    """What this node knows of one account's outbox."""

    esme: int
    name: str
    receivers: dict[Receiver, deque[Delivery]] = field(default_factory=dict)
    """The binds, each with the parts that are to follow by it."""
    queue: deque[Delivery] = field(default_factory=deque)
    known: set[int] = field(default_factory=set)
    """Rows in memory, or acknowledged and not yet deleted."""
    after: int = 0
    started: float = 0.0
    paused_until: float = 0.0
    pause_s: float = _PAUSE_MIN_S
    refused: int = 0
    """Deliveries refused since the log was told of any."""
    told: float = -_TELL_S

    def next_for(self, receiver: Receiver) -> Delivery | None:
        """What this bind sends next: all parts of a text go by the bind that got the first, as long
        as it stands."""
        follows = self.receivers[receiver]
        if follows:
            return follows.popleft()
        while self.queue:
            delivery = self.queue.popleft()
            other = self.receivers.get(delivery.row.receiver) if delivery.row.receiver else None
            if other is None or other is follows:
                delivery.row.receiver = receiver
                return delivery
            other.append(delivery)
        return None

    def leave(self) -> None:
        """Another node delivers: forget what was not sent yet."""
        for waiting in (self.queue, *self.receivers.values()):
            self.known.difference_update(delivery.row.id for delivery in waiting)
            waiting.clear()
        self.after = 0


class Outbox:
    """The deliverer of one process."""

    def __init__(
        self,
        connection: HotConnection,
        database: Database,
        *,
        node: int,
        epoch: int,
        keep_max: int,
        keep_s: float,
        may_write: Callable[[], bool],
    ) -> None:
        self._connection = connection
        self._database = database
        self._node = node
        self._epoch = epoch
        self._keep_max = keep_max
        self._keep_ms = int(keep_s * 1000)
        self._may_write = may_write
        self._boxes: dict[int, _Box] = {}
        self._acknowledged: list[_Row] = []
        self._wake = asyncio.Event()
        self.refused = 0
        """Deliveries that ESMEs refused for good."""

    def attach(self, esme: int, name: str, receiver: Receiver) -> None:
        """A receiving bind of an account stands."""
        box = self._boxes.setdefault(esme, _Box(esme, name))
        box.receivers[receiver] = deque()
        box.paused_until, box.pause_s = 0.0, _PAUSE_MIN_S
        box.started = 0.0
        self._wake.set()

    def detach(self, esme: int, receiver: Receiver, unanswered: Iterable[object]) -> None:
        """It is gone; what it did not answer goes out again, first and in order."""
        box = self._boxes.get(esme)
        if box is None:
            return
        again = [one for one in unanswered if isinstance(one, Delivery)]
        again += box.receivers.pop(receiver, ())
        if box.receivers:
            box.queue.extendleft(reversed(again))
            self._pump(box)
        else:
            # Another node may deliver from here on: what was acknowledged is deleted all the same.
            del self._boxes[esme]

    def answered(self, receiver: Receiver, context: object, status: int) -> None:
        """An ESME answered a deliver_sm."""
        if not isinstance(context, Delivery):
            return
        row = context.row
        box = row.box
        verdict = disposition(status)
        if verdict in (Disposition.THROTTLE, Disposition.RETRY):
            box.receivers.get(receiver, box.queue).appendleft(context)
            now = asyncio.get_running_loop().time()
            box.paused_until = now + box.pause_s
            box.pause_s = min(box.pause_s * 2, _PAUSE_MAX_S)
            return
        if verdict is Disposition.ACCEPTED:
            box.pause_s = _PAUSE_MIN_S
        else:
            self.refused += 1
            self._tell_refused(box, status)
        row.left -= 1
        if not row.left:
            self._acknowledged.append(row)
            self._wake.set()
        self._pump(box)

    @staticmethod
    def _tell_refused(box: _Box, status: int) -> None:
        """In the log, not for each one: an ESME may refuse all it gets."""
        box.refused += 1
        now = asyncio.get_running_loop().time()
        if now - box.told >= _TELL_S:
            count, name = box.refused, status_name(status)
            log.warning("ESME %s refused %d deliveries, the last with %s", box.name, count, name)
            box.told, box.refused = now, 0

    def heard(self) -> None:
        """Something may have been written for an account that is bound here."""
        if self._boxes:
            self._wake.set()

    def writable(self, esme: int) -> None:
        """A bind of the account takes bytes again."""
        box = self._boxes.get(esme)
        if box is not None:
            self._pump(box)

    async def run(self) -> None:
        """Read, send and delete, for ever."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_S if self._boxes else None):
                    await self._wake.wait()
            self._wake.clear()
            try:
                if self._may_write():
                    await self._delete()
                    await self._read()
            except (StoreDown, asyncpg.PostgresError) as error:
                log.debug("deliveries to ESMEs wait for the store: %s", error)
                await asyncio.sleep(_START_OVER_S)
            for box in list(self._boxes.values()):
                self._pump(box)
            await asyncio.sleep(GAP_S)

    async def drained(self) -> None:
        """Delete what was acknowledged so far. Raises StoreDown."""
        await self._delete()

    # Store ---------------------------------------------------------------------------------------

    async def _delete(self) -> None:
        rows, self._acknowledged = self._acknowledged, []
        if not rows:
            return
        try:
            await self._connection.fetch(
                load("esmes")["acknowledged"], [r.box.esme for r in rows], [r.id for r in rows]
            )
        except BaseException:
            self._acknowledged = rows + self._acknowledged
            raise
        for row in rows:
            row.box.known.discard(row.id)

    async def _read(self) -> None:
        boxes = dict(self._boxes)
        if not boxes:
            return
        rows = await self._connection.fetch(
            load("esmes")["outbox"],
            self._node,
            self._epoch,
            list(boxes),
            [self._place(box) for box in boxes.values()],
            PAGE + max(len(box.known) for box in boxes.values()),
        )
        # A bind that came or went meanwhile has a box of its own, for which nothing was read.
        mine = {id_: box for id_, box in boxes.items() if self._boxes.get(id_) is box}
        for row in rows:
            box_ = mine.get(row["esme"])
            if box_ is None or row["id"] is None:
                continue
            box_.after = max(box_.after, row["id"])
            if row["id"] not in box_.known:
                self._take(box_, row)
        for id_ in mine.keys() - {row["esme"] for row in rows}:
            mine[id_].leave()

    @staticmethod
    def _place(box: _Box) -> int:
        """Behind which row to read; with enough in memory, behind all."""
        if len(box.queue) >= PAGE // 2:
            return _BEHIND_ALL
        now = asyncio.get_running_loop().time()
        if now - box.started >= _START_OVER_S:
            # Rows of transactions that took longer lie behind the place read up to.
            box.started, box.after = now, 0
        return box.after

    def _take(self, box: _Box, record: asyncpg.Record) -> None:
        pdus = bodies(record)
        row = _Row(box, record["id"], len(pdus))
        box.known.add(row.id)
        if not pdus:
            self._acknowledged.append(row)
            self._wake.set()
        box.queue.extend(Delivery(row, body) for body in pdus)

    # Sending -------------------------------------------------------------------------------------

    def _pump(self, box: _Box) -> None:
        """Hand over what the binds have room for, by turns."""
        if asyncio.get_running_loop().time() < box.paused_until:
            return
        if not self._may_write():
            return
        rooms = {receiver: receiver.room() for receiver in box.receivers}
        before = len(box.queue)
        has_sent = False
        while rooms := {receiver: room for receiver, room in rooms.items() if room > 0}:
            for receiver, room in rooms.items():
                delivery = box.next_for(receiver)
                has_sent = has_sent or delivery is not None
                rooms[receiver] = 0 if delivery is None else room - 1
                if delivery is not None:
                    self._send(box, receiver, delivery)
        if not has_sent:
            return
        for receiver in box.receivers:
            receiver.flush()
        if before and len(box.queue) < PAGE // 2:
            self._wake.set()

    def _send(self, box: _Box, receiver: Receiver, delivery: Delivery) -> None:
        try:
            receiver.deliver(delivery.body, delivery)
        except LocalProtocolError as error:
            log.error("a delivery to ESME %s cannot be sent: %s", box.name, error)
            delivery.row.left -= 1
            if not delivery.row.left:
                self._acknowledged.append(delivery.row)

    # Upkeep --------------------------------------------------------------------------------------

    async def sweep(self) -> None:
        """Drop what is too much or too old, and give up messages that nothing is heard of. Raises
        StoreDown."""
        if not self._may_write():
            return
        sql = load("esmes")
        now_ms = wall_ms()
        oldest = lowest_at(now_ms - self._keep_ms)

        async def work(connection: asyncpg.Connection) -> None:
            await connection.execute(sql["give_up_texts"], now_ms)
            for row in await connection.fetch(sql["outbox_accounts"]):
                await connection.execute(sql["drop_oldest"], row["id"], self._keep_max, oldest)

        await self._database.run(work)
