"""What ESMEs submit goes through the gateway's one writer, exactly as HTTP's posts do.

Texts whose ESME wants receipts are noted first, many in one statement that does not wait for the
disk: the database's log is written in order, so that the commit of the messages themselves, which
is waited for, makes the notes durable too. No task and no future for each message.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol

import asyncpg

from gateway.channels.esme.statuses import status_of, wants_any
from gateway.dispatch.acceptance import Draft
from gateway.dispatch.intake import Idempotency, Intake, Outcome
from gateway.errors import Refusal, StoreDown
from gateway.ids import show
from gateway.model import Category, Channel
from gateway.store.database import HotConnection
from gateway.store.queries import load
from protocols.smpp import DestAddress, Message, Unsuccess
from protocols.smpp import status as s

log = logging.getLogger(__name__)

BATCH_MAX: Final = 500
WAITING_MAX: Final = 20_000
_PREFIX: Final = len("msg_")


class Answer(Protocol):
    """Who is told what became of a submission."""

    def settle(self, status: int, message_id: str = "") -> None:
        """It is durable under this id, or refused with this command_status."""


class SomeAnswer(Answer, Protocol):
    """The same where a submission may have several recipients."""

    def settle_some(self, message_id: str, unsuccess: list[Unsuccess]) -> None:
        """It is durable under this id for all but these."""


class Addresses(NamedTuple):
    """Source and destination as the ESME wrote them."""

    source: str
    source_ton: int
    source_npi: int
    dest: str
    dest_ton: int
    dest_npi: int

    @classmethod
    def of(cls, message: Message, dest: DestAddress | None = None) -> Addresses:
        """Those of a submission; `dest`: one of several."""
        source = (message.source, message.source_ton, message.source_npi)
        if dest is not None:
            return cls(*source, dest.address, dest.ton, dest.npi)
        return cls(*source, message.dest, message.dest_ton, message.dest_npi)


@dataclass(slots=True, eq=False)
class Submission:
    """One message on its way into the store. A `Waiter` of the writer."""

    draft: Draft
    esme: int
    addresses: Addresses
    wanted: Sequence[int]
    """registered_delivery of each PDU that the text came in."""
    answer: Answer
    told: int = 0
    """The id that the ESME is told; 0: the message's own."""
    key: Idempotency | None = None
    on_refused: Callable[[int], None] | None = None
    is_noted: bool = field(default=False, init=False)
    _book: Submissions | None = field(default=None, init=False)

    def settle(self, index: int, outcome: Outcome) -> None:
        """The writer's outcome."""
        if isinstance(outcome, Refusal):
            if self.is_noted and self._book is not None:
                self._book.unnote(self.draft.message.id)
            status = status_of(outcome)
            if self.on_refused is not None:
                self.on_refused(status)
            self.answer.settle(status)
            return
        if self._book is not None:
            message = self.draft.message
            self._book.count(message.channel, message.category)
        self.answer.settle(s.ESME_ROK, shown_id(self.told or self.draft.message.id))

    def is_waiting(self, index: int) -> bool:
        """Always: what a bind brought before it was cut is sent, and known again if it is
        repeated."""
        return True


class Submissions:
    """Takes the submissions of all sessions of the process."""

    def __init__(
        self,
        connection: HotConnection,
        intake: Intake,
        *,
        receipt_s: float,
        count: Callable[[Channel, Category], None],
    ) -> None:
        """`receipt_s`: how long a receipt is waited for. `count` is told of each accepted one."""
        self._connection = connection
        self._intake = intake
        self._receipt_ms = int(receipt_s * 1000)
        self.count = count
        self._waiting: deque[Submission] = deque()
        self._unnoted: list[int] = []
        self._is_busy = False
        self._wake = asyncio.Event()

    def add(self, submission: Submission) -> None:
        """Store a message; its answer is told by callback, at once where too many wait."""
        submission._book = self
        if len(self._waiting) >= WAITING_MAX:
            submission.settle(0, Refusal("over-limit", "Too many submissions wait."))
        elif self._is_busy or self._waiting or any(map(wants_any, submission.wanted)):
            self._waiting.append(submission)
            self._wake.set()
        else:
            self._submit(submission)

    def unnote(self, id_: int) -> None:
        """A message that was noted is none after all."""
        self._unnoted.append(id_)
        self._wake.set()

    async def run(self) -> None:
        """Note and submit what waits, for ever."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                self._is_busy = True
                batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), BATCH_MAX))]
                await self._handle(batch)
            self._is_busy = False
            await self._forget()

    async def _handle(self, batch: list[Submission]) -> None:
        noted = [one for one in batch if any(map(wants_any, one.wanted))]
        try:
            if noted:
                rows = [self._row(one) for one in noted]
                await self._connection.fetch(load("esmes")["want_receipts"], rows)
                for one in noted:
                    one.is_noted = True
        except (StoreDown, asyncpg.PostgresError) as error:
            log.warning("%d submissions could not be stored: %s", len(batch), error)
            refusal = Refusal("unavailable", "The gateway cannot store messages now.")
            for one in batch:
                one.settle(0, refusal)
            return
        for one in batch:
            self._submit(one)

    def _submit(self, one: Submission) -> None:
        try:
            self._intake.submit(one.draft, one.key, one, 0)
        except Refusal as refusal:
            one.settle(0, refusal)

    def _row(self, one: Submission) -> tuple[Any, ...]:
        message = one.draft.message
        a = one.addresses
        source = (a.source, a.source_ton, a.source_npi)
        if not a.source:
            source = (message.sender.lstrip("+"), 1, 1)
        until_ms = message.expires_ms + self._receipt_ms
        return (
            message.id,
            one.esme,
            one.told or message.id,
            list(one.wanted),
            until_ms,
            *source,
            a.dest,
            a.dest_ton,
            a.dest_npi,
        )

    async def _forget(self) -> None:
        """Drop the notes of refused messages. What a failure leaves behind is swept by its age."""
        ids, self._unnoted = self._unnoted, []
        if ids:
            try:
                await self._connection.fetch(load("esmes")["want_none"], ids)
            except (StoreDown, asyncpg.PostgresError) as error:
                log.debug("notes of refused messages stay: %s", error)


def shown_id(id_: int, part: int = 0) -> str:
    """A message's id as ESMEs know it: 13 characters, and `-2` for the second part of a text."""
    shown = show("msg", id_)[_PREFIX:]
    return f"{shown}-{part}" if part else shown
