"""A plain ESME, as a peer of the simulated SMSC."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType

from protocols.smpp import (
    Answered,
    BindKind,
    BindRefused,
    Bound,
    Closed,
    Event,
    Message,
    Received,
    Role,
    Session,
    encode_submit_body,
)
from protocols.smpp.connection import SmppConnection, connect
from protocols.sms.encoding import choose
from protocols.sms.reassembly import join, read
from protocols.sms.receipts import Receipt, parse
from protocols.sms.segment import segments

SHOP = "+12125550199"
LONG = "Your gown is ready for pickup at Sample Bridal, 1 Sample Street. " * 5
"""Three segments."""


class Esme:
    """Sends texts and takes what comes; use as a context manager."""

    def __init__(self, connection: SmppConnection) -> None:
        self.connection = connection
        self.log: list[Event] = []
        """Every event, in order."""
        self.answer_status: list[int] = []
        """What the next deliver_sm are answered with, before ESME_ROK again."""
        self.is_answering = True
        self._change = asyncio.Event()

    async def __aenter__(self) -> Esme:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.connection.close("the test is over")
        await self.connection.wait_closed()

    def on_events(self, events: list[Event]) -> None:
        for event in events:
            self.log.append(event)
            if isinstance(event, Received) and self.is_answering:
                status = self.answer_status.pop(0) if self.answer_status else 0
                self.connection.session.respond(event.message, status)
        self._change.set()

    @property
    def messages(self) -> list[Message]:
        """The deliver_sm that came."""
        return [event.message for event in self.log if isinstance(event, Received)]

    @property
    def answers(self) -> list[Answered]:
        """The submit_sm_resp that came."""
        return [event for event in self.log if isinstance(event, Answered)]

    @property
    def ending(self) -> Closed | None:
        """How the session ended; None while it lasts."""
        return next((event for event in self.log if isinstance(event, Closed)), None)

    async def delivered(self, count: int) -> list[Message]:
        """Wait for that many deliver_sm in all."""
        await self._until(lambda: len(self.messages) >= count)
        return self.messages

    async def answered(self, count: int) -> list[Answered]:
        """Wait for that many submit_sm_resp in all."""
        await self._until(lambda: len(self.answers) >= count)
        return self.answers

    async def ended(self) -> Closed:
        """Wait for the end of the session."""
        await self._until(lambda: self.ending is not None)
        assert self.ending is not None
        return self.ending

    async def bind(
        self, system_id: str = "lab", password: str = "lab", kind: BindKind = BindKind.TRANSCEIVER
    ) -> Event:
        """Ask to be bound, and return the answer."""
        now = asyncio.get_running_loop().time()
        self.connection.session.bind(kind, system_id, password, now)
        self.connection.flush()
        await self._until(lambda: any(isinstance(e, Bound | BindRefused) for e in self.log))
        return next(event for event in self.log if isinstance(event, Bound | BindRefused))

    def post(self, dest: str, text: str, *, registered_delivery: int = 1) -> None:
        """Send a text, not waiting for an answer."""
        encoding = choose(text)
        now = asyncio.get_running_loop().time()
        for segment in segments(text, encoding, reference=7):
            body = encode_submit_body(
                SHOP,
                dest,
                segment.payload,
                esm_class=segment.esm_class,
                data_coding=encoding,
                registered_delivery=registered_delivery,
            )
            self.connection.session.request(body, now, text)
        self.connection.flush()

    async def send(self, dest: str, text: str = "Your gown is ready.") -> Answered:
        """Send a text of one segment, and return the answer."""
        count = len(self.answers) + 1
        self.post(dest, text)
        return (await self.answered(count))[-1]

    async def _until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                self._change.clear()
                await self._change.wait()


async def open_esme(port: int) -> Esme:
    """Connect, not bound yet."""
    early: list[Event] = []
    connection = await connect("127.0.0.1", port, Session(Role.ESME), early.extend)
    esme = Esme(connection)
    connection.on_events = esme.on_events
    return esme


async def bound_esme(port: int, kind: BindKind = BindKind.TRANSCEIVER) -> Esme:
    """Connect and bind with the default account."""
    esme = await open_esme(port)
    assert isinstance(await esme.bind(kind=kind), Bound)
    return esme


def phone(magic: str) -> str:
    """The number that ends in these four digits."""
    return f"+1212555{magic}"


def receipt_in(message: Message) -> Receipt:
    """The receipt that a deliver_sm carries."""
    receipt = parse(message.payload, message.esm_class, message.tlvs)
    assert receipt is not None
    return receipt


def text_in(messages: list[Message]) -> str:
    """The words that these deliver_sm carry, none of which is a receipt."""
    assert all(parse(m.payload, m.esm_class, m.tlvs) is None for m in messages)
    return join([read(m.payload, m.esm_class, m.data_coding, m.tlvs) for m in messages]).text
