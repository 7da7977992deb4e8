"""The parts of a node on their own."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from msgspec.structs import replace

from config.places import Places
from config.routes import RouteSettings
from config.settings import HttpSettings, LinkSettings, MailSettings, Settings, StoreSettings
from gateway import app
from gateway.app import Gateway
from gateway.errors import GatewayError
from tests.postgres import ConnectParameters
from tests.store.sample import opened


def settings_of(p: ConnectParameters, folder: Path, **sections: Any) -> Settings:
    """Settings of a node on this store, with these sections."""
    url = f"postgresql://{p['user']}@/{p['database']}?host={p['host']}&port={p['port']}"
    return Settings(
        http=HttpSettings(listen="127.0.0.1:0"),
        store=StoreSettings(database_url=url, data_dir=folder),
        **sections,
    )


class UnluckyTexts:
    """A sweep that the store refuses some times before it succeeds."""

    def __init__(self, failures: int) -> None:
        self.left = failures
        self.has_swept = asyncio.Event()

    async def sweep(self, now_ms: int) -> None:
        """Fail as long as it must."""
        self.left -= 1
        if self.left >= 0:
            raise asyncpg.DiskFullError("no space left on device")
        self.has_swept.set()


async def test_a_sweep_that_the_store_refuses_is_told_once_and_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The node goes on."""
    monkeypatch.setattr(app, "SWEEP_S", 0.0)
    gateway: Any = Gateway(Settings())
    gateway._texts = texts = UnluckyTexts(3)
    with caplog.at_level(logging.ERROR):
        sweeping = asyncio.create_task(gateway._sweep_texts())
        async with asyncio.timeout(20):
            await texts.has_swept.wait()
        sweeping.cancel()
    told = [record.getMessage() for record in caplog.records]
    assert told == ["incomplete texts could not be swept: 53100"]


async def test_settings_that_no_link_can_be_built_of_are_told_before_anything_starts() -> None:
    """In words, not as a failure of the process."""
    links = (
        LinkSettings(name="acme", statuses={"ESME_RWRONG": "fail"}),
        LinkSettings(name="beta", locking_shift=("es",), long_texts="udh16"),
    )
    routes = (RouteSettings(name="both", links=("acme", "beta")),)
    gateway = Gateway(Settings(links=links, routes=routes))
    with pytest.raises(GatewayError) as told:
        await gateway.start()
    for words in ("links[0].statuses", "links[1].locking_shift", "routes[0].links: acme and beta"):
        assert words in str(told.value)


async def test_settings_under_way_are_given_up_at_the_end(
    database: ConnectParameters, tmp_path: Path
) -> None:
    """No link begins to send while all others end."""
    before = settings_of(database, tmp_path, links=(LinkSettings(name="old", kind="smpp-server"),))
    after = replace(before, links=(LinkSettings(name="new", kind="smpp-server"),))
    gateway = Gateway(before, read=lambda: (after, Places(None)))
    await gateway.start()
    links: Any = gateway._links
    has_begun, may_end = asyncio.Event(), asyncio.Event()
    remove = links.remove

    async def remove_slowly(name: str) -> None:
        has_begun.set()
        await may_end.wait()
        await remove(name)

    links.remove = remove_slowly
    reloading = asyncio.create_task(gateway.reload())
    async with asyncio.timeout(20):
        await has_begun.wait()
        await gateway.stop()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await reloading
    assert links.get("new") is None


async def test_a_mail_account_that_goes_is_used_until_the_next_start(
    database: ConnectParameters, tmp_path: Path
) -> None:
    """Texts forwarded to shops wait for it as before, and are not held for want of a link."""
    mail = MailSettings(host="127.0.0.1", security="none", sender="texts@example.com")
    before = settings_of(database, tmp_path, mail=mail)
    after = replace(before, mail=MailSettings())
    gateway = Gateway(before, read=lambda: (after, Places(None)))
    await gateway.start()
    try:
        assert (await gateway.reload()).at_restart == ["mail"]
        route = gateway._routes.get(gateway._network.route_ids["mail"])
        assert route.has_link
        assert len(route.members) == 1
    finally:
        await gateway.stop()


async def test_links_are_told_as_stopped_once_their_node_has_ended(
    database: ConnectParameters, tmp_path: Path
) -> None:
    """Operators who look a moment later are not told that a link is up which nobody runs."""
    links = (LinkSettings(name="acme", kind="smpp-server"),)
    mail = MailSettings(host="127.0.0.1", security="none", sender="texts@example.com")
    gateway = Gateway(settings_of(database, tmp_path, links=links, mail=mail))
    await gateway.start()
    await gateway.stop()
    async with opened(database) as store:
        rows = await store.fetch("SELECT DISTINCT state FROM link_state")
        assert [row["state"] for row in rows] == ["stopped"]
        assert len(await store.fetch("SELECT FROM link_state")) == 2
