"""Links whose carrier binds to us, over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from config.settings import LinkSettings
from gateway.channels.accepted import AcceptedLink
from gateway.channels.esme.binding import CARRIER_TAKES
from gateway.model import Cause
from protocols.smpp import (
    Answered,
    BindKind,
    BindRequested,
    Bound,
    Event,
    Message,
    Received,
    Role,
    Session,
    Tag,
)
from protocols.smpp import commands as c
from protocols.smpp.connection import SmppConnection, connect, serve
from protocols.smpp.status import ESME_RALYBND, ESME_ROK, ESME_RSYSERR
from tests.channels.smpp_stage import DEADLINE_S, LINK, Books, message, services, states


class Carrier:
    """The carrier as an ESME with one session."""

    def __init__(self) -> None:
        self.got: list[Message] = []
        self.answers: list[Answered] = []
        self.is_answering = True
        self.connection: SmppConnection | None = None
        self._bound = asyncio.Event()
        self._session = Session(Role.ESME)

    async def bind(self, port: int, kind: BindKind) -> None:
        """Connect and bind."""
        self.connection = await connect("127.0.0.1", port, self._session, self._on_events)
        now = asyncio.get_running_loop().time()
        self._session.bind(kind, "sample", "sample", now)
        self.connection.flush()
        async with asyncio.timeout(DEADLINE_S):
            await self._bound.wait()

    def _on_events(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, Bound):
                self._bound.set()
            elif isinstance(event, Received):
                self.got.append(event.message)
                if self.is_answering and self.connection is not None:
                    self._session.respond(event.message)
                    self.connection.flush()
            elif isinstance(event, Answered):
                self.answers.append(event)

    def submit(self, text: bytes, command: int = c.SUBMIT_SM) -> None:
        """Bring a text of a phone."""
        assert self.connection is not None
        one = Message(command, source="12125550123", dest="12125550199")
        if command == c.DATA_SM:
            one.tlvs.append((Tag.MESSAGE_PAYLOAD, text))
        else:
            one.payload = text
        self._session.request(one, asyncio.get_running_loop().time())
        self.connection.flush()


    async def answered(self, door: Door, count: int) -> None:
        """Wait until so much of what it brought is answered."""
        await door.books.until(lambda: len(self.answers) == count)


class Door:
    """A server that takes every bind into one link."""

    def __init__(self, **changes: Any) -> None:
        self.books = Books()
        settings = LinkSettings(name="acme", kind="smpp-server", **changes)
        self.link = AcceptedLink(settings, LINK, services(self.books), lambda: True)
        self.detached = 0
        self.refusals: list[int] = []
        self.port = 0

    def connection(self) -> SmppConnection:
        """A connection comes."""
        session = Session(Role.SMSC, takes=CARRIER_TAKES)
        connection = SmppConnection(session, lambda events: self._knock(connection, events))
        return connection

    def _knock(self, connection: SmppConnection, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, BindRequested):
                status = self.link.may_attach(event.request.kind)
                if status:
                    self.refusals.append(status)
                    connection.session.refuse_bind(event.request, status)
                else:
                    connection.session.accept_bind(event.request, "gateway")
                    self.link.attach(connection.session, connection, self._on_detached)

    def _on_detached(self) -> None:
        self.detached += 1

    async def enter(self, kind: BindKind = BindKind.TRANSCEIVER) -> Carrier:
        """A carrier that is bound."""
        carrier = Carrier()
        await carrier.bind(self.port, kind)
        return carrier


@asynccontextmanager
async def door(**changes: Any) -> AsyncIterator[Door]:
    """The server, listening; the link is drained at the end."""
    one = Door(**changes)
    running = asyncio.create_task(one.link.run())
    server = await serve("127.0.0.1", 0, one.connection)
    one.port = server.sockets[0].getsockname()[1]
    try:
        yield one
    finally:
        server.close()
        await one.link.drain(asyncio.get_running_loop().time() + 1.0)
        async with asyncio.timeout(DEADLINE_S):
            await running


async def test_a_transceiver_takes_and_brings() -> None:
    """Messages go out as deliver_sm, texts come as submit_sm and are answered with an id."""
    async with door() as one:
        assert not one.link.is_usable()
        carrier = await one.enter()
        assert one.link.is_usable()
        one.link.take([message(1)])
        await one.books.until(lambda: one.books.sent_ids == [1])
        assert [got.command_id for got in carrier.got] == [c.DELIVER_SM]
        carrier.submit(b"On my way")
        await one.books.until(lambda: len(one.books.texts) == 1)
        await one.books.until(lambda: len(carrier.answers) == 1)
        assert carrier.answers[0].status == 0
        assert carrier.answers[0].message_id
        carrier.submit(b"id:42 sub:001 dlvrd:001 stat:DELIVRD err:000 text:")
        await one.books.until(lambda: len(carrier.answers) == 2)


@pytest.mark.parametrize("command", [c.SUBMIT_SM, c.DATA_SM])
async def test_every_text_that_is_brought_gets_an_id(command: int) -> None:
    """Each its own, by submit_sm and by data_sm: to the carrier we are the SMSC."""
    async with door() as one:
        carrier = await one.enter()
        for count in (1, 2):
            carrier.submit(b"On my way", command)
            await carrier.answered(one, count)
        assert {answer.status for answer in carrier.answers} == {ESME_ROK}
        ids = [answer.message_id for answer in carrier.answers]
        assert all(ids) and len(set(ids)) == 2


async def test_a_receiver_and_a_transmitter_are_one_bind() -> None:
    """What we send goes to the receiver; a second pair finds no place."""
    async with door() as one:
        giving = await one.enter(BindKind.TRANSMITTER)
        assert not one.link.is_usable(), "nothing can be sent yet"
        taking = await one.enter(BindKind.RECEIVER)
        assert states(one.link) == {"up": 1}
        one.link.take([message(1)])
        await one.books.until(lambda: len(taking.got) == 1)
        giving.submit(b"On my way")
        await one.books.until(lambda: len(one.books.texts) == 1)
        for kind in BindKind:
            assert one.link.may_attach(kind) == ESME_RALYBND
        assert taking.connection is not None
        taking.connection.close("the test says so")
        await one.books.until(lambda: one.detached == 1)
        assert one.link.may_attach(BindKind.RECEIVER) == 0
        assert not one.link.is_usable()


async def test_a_carrier_that_hangs_up_leaves_doubt() -> None:
    """As with binds that we open."""
    async with door(binds=2) as one:
        first = await one.enter()
        second = await one.enter()
        assert states(one.link) == {"up": 2}
        first.is_answering = second.is_answering = False
        one.link.take([message(1), message(2)])
        await one.books.until(lambda: len(first.got) + len(second.got) == 2)
        assert first.connection is not None
        first.connection.close("the test says so")
        await one.books.until(lambda: len(one.books.losses) == 1)
        assert one.books.losses[0][2] is Cause.CUT
        assert one.link.is_usable()
        assert states(one.link) == {"up": 1, "down": 1}


async def test_a_stopped_link_lets_nobody_in() -> None:
    """Its sessions are unbound, and new ones refused, until it is started."""
    async with door() as one:
        await one.enter()
        await one.link.stop()
        await one.books.until(lambda: one.detached == 1)
        assert states(one.link) == {"stopped": 1}
        assert one.link.may_attach(BindKind.TRANSCEIVER) == ESME_RSYSERR
        one.link.start()
        await one.enter()
        assert one.link.is_usable()


async def test_a_node_sends_at_its_share_of_the_rate() -> None:
    """What was agreed with the carrier holds for all nodes that it binds to."""
    async with door(rate=100.0) as one:
        await one.enter()
        assert one.link.room() > 3
        one.link.set_share(0.25)
        assert one.link.room() == 3, "two and a half in a tenth of a second, and one to wait"


async def test_the_next_process_gives_other_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first text on the first bind after a restart has not the id of the one before."""
    ids = []
    for moment in (1_893_456_000, 1_893_456_060):
        monkeypatch.setattr("gateway.channels.link.time.time", lambda moment=moment: moment)
        async with door() as one:
            carrier = await one.enter()
            carrier.submit(b"On my way")
            await carrier.answered(one, 1)
            ids.append(carrier.answers[0].message_id)
    assert ids[0] != ids[1]
