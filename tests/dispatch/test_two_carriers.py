"""A whole node with two simulated carriers behind one route."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from config.routes import RouteLink, RouteSettings
from config.settings import HttpSettings, LinkSettings, Settings, SmsSettings, StoreSettings
from gateway.app import Gateway
from gateway.sandbox.smsc import SandboxSmsc
from gateway.store.keys import create_key
from gateway.store.numbers import assign_number
from gateway.store.shops import add_shop
from protocols.smpp import status as s
from tests.accounts import check_accounts
from tests.postgres import ConnectParameters
from tests.store.sample import store_of

DEADLINE_S = 20.0
NUMBER = "+12125550150"
LONG = "Your gown is ready for pickup, and so are the dresses of your bridesmaids. " * 4
SHOP = {
    "code": "sample",
    "name": "Sample Bridal",
    "main_phone": "+12125550100",
    "contact_email": "owner@example.com",
    "time_zone": "America/New_York",
}


class Installation:
    """A running gateway, its carriers, and a shop that posts."""

    def __init__(self, gateway: Gateway, carriers: list[SandboxSmsc], store: Any, key: str) -> None:
        self.gateway = gateway
        self.first, self.second = carriers
        self.store = store
        self._headers = {"Authorization": f"Bearer {key}"}

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        """What the API answers."""
        async with (
            aiohttp.ClientSession(self.gateway.url, headers=self._headers) as session,
            session.request(method, path, json=body) as answer,
        ):
            assert answer.status < 300, await answer.text()
            return await answer.json()

    async def send(self, n: int, text: str = "Your gown is ready.", **fields: Any) -> str:
        """Post a text to a sample phone; returns its id."""
        body = {"to": f"+121255510{n:02}", "text": text} | fields
        return str((await self.call("POST", "/v1/messages", body))["id"])

    async def becomes(self, id_: str, status: str) -> dict[str, Any]:
        """Wait for a state; returns the message as the API shows it."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                shown: dict[str, Any] = await self.call("GET", f"/v1/messages/{id_}")
                if shown["status"] == status:
                    return shown
                await asyncio.sleep(0.02)

    async def is_bound(self, smsc: SandboxSmsc) -> None:
        """Wait until a carrier has our bind, and the link knows it."""
        await smsc.wait_until(lambda: bool(smsc.sessions), DEADLINE_S)
        name = "first" if smsc is self.first else "second"
        link = self.gateway._links.get(name)
        assert link is not None
        async with asyncio.timeout(DEADLINE_S):
            while not link.is_usable():  # noqa: ASYNC110 - nobody announces it
                await asyncio.sleep(0.01)


@asynccontextmanager
async def installation(
    parameters: ConnectParameters, folder: Path, **route: Any
) -> AsyncIterator[Installation]:
    """Two carriers, the second on standby unless said otherwise."""
    carriers = [SandboxSmsc(), SandboxSmsc()]
    for smsc in carriers:
        await smsc.start()
    links = tuple(
        LinkSettings(
            name=name,
            host="127.0.0.1",
            port=smsc.port,
            system_id="lab",
            password="lab",
            reconnect_min_s=0.05,
            reconnect_max_s=0.1,
            suspend_min_s=0.05,
        )
        for name, smsc in zip(("first", "second"), carriers, strict=True)
    )
    members = (RouteLink(link="first"), RouteLink(link="second", standby=1))
    p = parameters
    url = f"postgresql://{p['user']}@/{p['database']}?host={p['host']}&port={p['port']}"
    settings = Settings(
        http=HttpSettings(listen="127.0.0.1:0"),
        store=StoreSettings(database_url=url, data_dir=folder),
        links=links,
        routes=(RouteSettings(**({"name": "both", "links": members} | route)),),
    )
    store = store_of(parameters)
    sms = SmsSettings()
    await store.run(lambda c: add_shop(c, SHOP, sms))
    await store.run(lambda c: assign_number(c, NUMBER, "sample", "both", "smpp", sms))
    key = await store.run(lambda c: create_key(c, "sample"))
    gateway = Gateway(settings)
    # The standby comes last: a claim that it began while it was alone might take the first text.
    carriers[1].stop_listening()
    await gateway.start()
    one = Installation(gateway, carriers, store, key)
    try:
        await one.is_bound(carriers[0])
        await carriers[1].listen_again()
        await one.is_bound(carriers[1])
        yield one
    finally:
        await gateway.stop()
        for smsc in carriers:
            await smsc.stop()
        connection = await store.connect()
        try:
            await check_accounts(connection)
        finally:
            await connection.close()
            await store.close()


async def test_a_carrier_that_goes_is_replaced_until_it_is_back(
    database: ConnectParameters, tmp_path: Path
) -> None:
    """Texts go by the first, by the second while it is away, and by the first again."""
    async with installation(database, tmp_path) as one:
        await one.becomes(await one.send(1), "delivered")
        assert (one.first.submits, one.second.submits) == (1, 0)
        one.first.stop_listening()
        one.first.drop_all()
        shown = await one.becomes(await one.send(2), "delivered")
        assert shown["parts"][0]["link"] == "second"
        await one.first.listen_again()
        await one.is_bound(one.first)
        shown = await one.becomes(await one.send(3), "delivered")
        assert shown["parts"][0]["link"] == "first"


async def test_links_of_one_tier_share_the_texts(
    database: ConnectParameters, tmp_path: Path
) -> None:
    """By their weights."""
    links = ("first:3", "second:1")
    async with installation(database, tmp_path, links=links) as one:
        ids = [await one.send(n) for n in range(40)]
        for id_ in ids:
            await one.becomes(id_, "delivered")
        assert one.first.submits + one.second.submits == 40
        assert 24 <= one.first.submits <= 36


async def test_a_carrier_in_trouble_of_its_own_is_avoided(
    database: ConnectParameters, tmp_path: Path
) -> None:
    """The text comes by the other, and its timeline says why."""
    async with installation(database, tmp_path) as one:
        one.first.on_submit = lambda _: s.ESME_RSYSERR
        id_ = await one.send(1)
        shown = await one.becomes(id_, "delivered")
        assert shown["parts"][0]["link"] == "second"
        told = (await one.call("GET", f"/v1/messages/{id_}/events"))["events"]
        words = [event["text"] for event in told if event["kind"] == "retried"]
        assert "refused for now by first: ESME_RSYSERR" in words[0]
        assert "by another link" in words[0]


async def test_what_is_the_recipients_fault_is_final(
    database: ConnectParameters, tmp_path: Path
) -> None:
    """No other carrier is asked."""
    async with installation(database, tmp_path) as one:
        one.first.on_submit = lambda _: s.ESME_RINVDSTADR
        await one.becomes(await one.send(1), "failed")
        assert one.second.submits == 0


async def test_the_rest_of_a_long_text_waits_for_its_carrier(
    database: ConnectParameters, tmp_path: Path
) -> None:
    """What has a part of it gets the rest, though another could take it at once."""
    async with installation(database, tmp_path) as one:
        one.first.on_submit = lambda _: s.ESME_RMSGQFUL if one.first.submits > 1 else None
        id_ = await one.send(1, LONG)
        await one.first.wait_until(lambda: one.first.submits > 1)
        one.first.on_submit = None
        shown = await one.becomes(id_, "delivered")
        assert {part["link"] for part in shown["parts"]} == {"first"}
        assert one.second.submits == 0


async def test_the_preview_names_the_link(database: ConnectParameters, tmp_path: Path) -> None:
    """That would carry the text now."""
    async with installation(database, tmp_path) as one:
        body = {"to": "+12125551000", "text": "Hello"}
        told = await one.call("POST", "/v1/messages/preview", body)
        assert (told["route"], told["link"]) == ("both", "first")
        one.first.stop_listening()
        one.first.drop_all()
        async with asyncio.timeout(DEADLINE_S):
            while told.get("link") != "second":
                told = await one.call("POST", "/v1/messages/preview", body)
