"""Forwards on their way to shops: a text arrives as a mail, whatever the mail host does first."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from msgspec.structs import replace

from config.settings import LimitSettings
from gateway.channels.mail import MailLink
from gateway.dispatch.feeder import Feeder
from gateway.dispatch.flights import Flights
from gateway.dispatch.routes import Serving
from gateway.dispatch.settle import Settler
from gateway.ids import show
from gateway.model import EventKind, State
from gateway.sandbox.mail_host import Mail, MailHost
from gateway.store.database import Database, HotConnection
from gateway.store.embedded import ConnectParameters
from tests.inbound.parts import (
    MAIL,
    PHONE,
    SETTINGS,
    Carrier,
    Node,
    bodies,
    now_ms,
    part,
    prepare,
    running,
    text,
)
from tests.protocols.mail.servers import ScriptedServer
from tests.store.sample import opened

LINK = 3
LIMITS = LimitSettings(retry_min_s=0.01, retry_max_s=0.02)


class Gateway:
    """Texts in, mails out: what of a gateway lies between a carrier and a mail host."""

    def __init__(self, store: Database, node: Node, mail_route: int, port: int) -> None:
        self.store = store
        self.node = node
        self._hot = [HotConnection(store, name) for name in ("settler", "feeder", "later")]
        flights = Flights()
        self.route = node.routes.get(mail_route, "mail")
        self.settler = Settler(self._hot[0], node.ids, flights, node.routes)
        self.link = MailLink(
            replace(MAIL, port=port),
            LIMITS,
            LINK,
            database=store,
            settler=self.settler,
            wall=time.time,
        )
        self.feeder = Feeder(
            self.link,
            [Serving(self.route)],
            connection=self._hot[1],
            directory=node.directory,
            ids=node.ids,
            routes=node.routes,
            flights=flights,
            settler=self.settler,
            node=1,
            epoch=1,
        )
        self.link.on_room = self.feeder.wake
        self.carrier = Carrier(node.texts)

    async def promote(self) -> None:
        """Put retries into the queue when they are due."""
        while True:
            rows = await self._hot[2].fetch(
                "WITH due AS (DELETE FROM later WHERE due_ms <= $1 RETURNING *)"
                " INSERT INTO queue SELECT route, rank, id, shop, tries FROM due RETURNING rank",
                now_ms(),
            )
            for row in rows:
                self.route.inserted(row["rank"])
                self.route.wake()
            await asyncio.sleep(0.01)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait for something about the link to hold."""
        async with asyncio.timeout(10):
            while True:
                if holds():
                    return
                await asyncio.sleep(0.005)

    async def settled(self, state: State) -> dict[str, Any]:
        """Wait for the only forward to get a status row in this state."""
        async with asyncio.timeout(10):
            while True:
                rows = await self.store.fetch("SELECT * FROM status WHERE state = $1", state)
                if rows:
                    return dict(rows[0])
                await asyncio.sleep(0.005)

    async def events(self) -> list[tuple[int, dict[str, Any]]]:
        """Kind and detail of all events."""
        rows = await self.store.fetch("SELECT kind, detail FROM event ORDER BY id")
        return [(row["kind"], json.loads(row["detail"])) for row in rows]

    def close(self) -> None:
        for connection in self._hot:
            connection.drop()


@asynccontextmanager
async def gateway_to(
    port: int, parameters: ConnectParameters, **shop: str
) -> AsyncIterator[Gateway]:
    """A running gateway that mails to a host on this port."""
    async with opened(parameters) as store:
        route = await prepare(store, **shop)
        node = Node(store, 1, SETTINGS, route)
        async with running(node):
            gateway = Gateway(store, node, route, port)
            work = (gateway.settler.run(), gateway.feeder.run(), gateway.promote())
            tasks = [asyncio.create_task(one) for one in work]
            try:
                yield gateway
                await gateway.link.drain(asyncio.get_running_loop().time() + 5)
                async with asyncio.timeout(5):
                    await gateway.settler.drained()
            finally:
                for task in tasks:
                    task.cancel()
                    with suppress(asyncio.CancelledError):
                        await task
                gateway.close()


@pytest.fixture
async def host() -> AsyncIterator[MailHost]:
    """A simulated mail host."""
    host = MailHost()
    await host.start()
    yield host
    await host.stop()


def any_mail(mail: Mail) -> bool:
    return True


async def test_a_text_arrives_as_a_mail(host: MailHost, database: ConnectParameters) -> None:
    """The words stand first; who wrote them, to which number and when stands below."""
    async with gateway_to(host.port, database) as gateway:
        await gateway.store.fetch(
            "INSERT INTO contact (shop, phone, kind, contact, name)"
            " SELECT id, $1, 'customer', '4711', 'Ann Sample' FROM shop",
            PHONE,
        )
        gateway.carrier.deliver(text("Is Saturday free?"))
        mail = await host.wait_for(any_mail)
        assert mail.recipient == "owner@example.com"
        assert mail.sender == "gateway@example.com"
        assert mail.text.startswith("Is Saturday free?\n\n---")
        for words in ("Ann Sample (customer 4711)", "(212) 555-0123", "(212) 555-0101", "Sample"):
            assert words in mail.text
        [reply] = await gateway.store.fetch("SELECT id FROM reply")
        assert mail.message["Message-ID"] == f"<{show('rpl', reply['id'])}@example.com>"
        status = await gateway.settled(State.SUBMITTED)
        assert (status["link"], status["tries"], status["error"]) == (LINK, 1, None)
        assert gateway.link.state.state == "up"
    async with opened(database) as store:
        assert await store.fetch("SELECT FROM flight") == []


async def test_a_mail_of_an_incomplete_text_says_what_is_missing(
    host: MailHost, database: ConnectParameters
) -> None:
    """The shop sees that there was more."""
    async with gateway_to(host.port, database) as gateway:
        gateway.carrier.deliver(part("See you ", 1, 2))
        await gateway.carrier.answered(1)
        await gateway.node.texts.sweep(now_ms() + 3_601_000)
        mail = await host.wait_for(any_mail)
        assert mail.text.startswith("See you […]\n")
        assert "of its 2 segments, 1 never came (number 2)" in mail.text


async def test_a_host_that_is_busy_is_asked_again(
    host: MailHost, database: ConnectParameters
) -> None:
    """The refusal for now is an event with the host's words, and the mail arrives later."""
    async with gateway_to(host.port, database, contact_email="busy@example.com") as gateway:
        gateway.carrier.deliver(text("Hello"))
        await host.wait_for(any_mail)
        assert (await gateway.settled(State.SUBMITTED))["tries"] == 2
        [(kind, detail)] = await gateway.events()
        assert kind == EventKind.RETRIED
        assert "451 4.3.0 busy, try again" in detail["error"]


async def test_a_doubtful_end_sends_the_same_mail_again(
    host: MailHost, database: ConnectParameters
) -> None:
    """Both have one Message-ID, by which the shop's mail program shows them once."""
    async with gateway_to(host.port, database, contact_email="cut@example.com") as gateway:
        gateway.carrier.deliver(text("Hello"))
        assert (await gateway.settled(State.SUBMITTED))["tries"] == 2
        assert len(host.mails) == 2
        assert host.mails[0].data == host.mails[1].data
        [(kind, _)] = await gateway.events()
        assert kind == EventKind.RESENT


async def test_a_permanent_refusal_fails_the_forward_alone(
    host: MailHost, database: ConnectParameters
) -> None:
    """It is an event with the host's words; the reply stays readable, and the link is up."""
    async with gateway_to(host.port, database, contact_email="refused@example.com") as gateway:
        gateway.carrier.deliver(text("Hello"))
        status = await gateway.settled(State.FAILED)
        assert "550 5.1.1 no such mailbox here" in status["error"]
        [(kind, detail)] = await gateway.events()
        assert kind == EventKind.FAILED
        assert "no such mailbox here" in detail["reason"]
        assert await bodies(gateway.store) == ["Hello"]
        assert gateway.link.state.state == "up"
        assert "no such mailbox here" in (gateway.link.state.error or "")
        assert gateway.link.room() > 0


async def test_a_forward_to_no_address_fails(host: MailHost, database: ConnectParameters) -> None:
    """Nothing is sent, and the reason is told."""
    async with gateway_to(host.port, database) as gateway:
        await gateway.store.fetch("UPDATE shop SET contact_email = 'nobody at all'")
        await gateway.node.directory.load()
        gateway.carrier.deliver(text("Hello"))
        status = await gateway.settled(State.FAILED)
        assert "not a mail address" in status["error"]
        assert host.connections == 0


async def test_while_the_host_is_down_mails_wait(
    host: MailHost, database: ConnectParameters
) -> None:
    """Texts are acknowledged all the same; all mails arrive when the host is back."""
    port = host.port
    async with gateway_to(port, database) as gateway:
        await host.stop()
        gateway.carrier.deliver(*(text(f"text {n}", n) for n in range(1, 21)))
        await gateway.carrier.answered(20)
        await gateway.until(lambda: gateway.link.state.state == "down")
        assert gateway.link.state.error
        assert gateway.link.state.next_try is not None
        await host.start(port=port)
        for n in range(1, 21):
            await host.wait_for(lambda mail, n=n: mail.text.startswith(f"text {n}\n"))
        await gateway.until(lambda: gateway.link.state.state == "up")
        assert len(host.mails) == 20


async def test_an_account_that_is_refused_fails_no_forward(database: ConnectParameters) -> None:
    """Every mail would meet the same, and the operator can mend it: what waits is kept."""
    server = ScriptedServer({"MAIL": "530 log in first"})
    await server.start()
    async with gateway_to(server.port, database) as gateway:
        gateway.carrier.deliver(text("Hello"))
        await gateway.until(lambda: gateway.link.state.state == "down")
        assert "check user, password and sender" in (gateway.link.state.error or "")
        server.script["MAIL"] = "250 ok"
        await gateway.settled(State.SUBMITTED)
        assert len(server.texts) == 1
    await server.stop()


async def test_draining_waits_for_the_mail_under_way_and_returns_the_rest(
    database: ConnectParameters,
) -> None:
    """What was not begun is in the queue again, as if it had never been claimed."""
    host = MailHost(slow_s=0.3)
    await host.start()
    async with gateway_to(host.port, database, contact_email="slow@example.com") as gateway:
        gateway.carrier.deliver(*(text(f"text {n}", n) for n in range(1, 9)))
        await host.wait_for(any_mail)
        gateway.feeder.stop()
        await gateway.link.drain(asyncio.get_running_loop().time() + 5)
        await gateway.settler.drained()
        assert gateway.link.state.state == "stopped"
        assert gateway.link.room() == 0
        sent = await gateway.store.fetch("SELECT id FROM status WHERE state = $1", State.SUBMITTED)
        queued = await gateway.store.fetch("SELECT id, tries FROM queue")
        assert len(sent) == len(host.mails) > 0
        assert len(sent) + len(queued) == 8
        assert {row["tries"] for row in queued} == {0}
        assert await gateway.store.fetch("SELECT FROM flight") == []
    await host.stop()


async def test_what_a_deadline_cuts_off_is_sent_again(database: ConnectParameters) -> None:
    """Nobody knows whether the host took it: it waits in the queue for the next process."""
    server = ScriptedServer({"text": ""})
    await server.start()
    async with gateway_to(server.port, database) as gateway:
        gateway.carrier.deliver(text("Hello"))
        await gateway.until(lambda: bool(server.texts))
        gateway.feeder.stop()
        await gateway.link.drain(asyncio.get_running_loop().time())
        await gateway.settler.drained()
        assert len(await gateway.store.fetch("SELECT FROM queue")) == 1
        assert [kind for kind, _ in await gateway.events()] == [EventKind.RESENT]
    await server.stop()
