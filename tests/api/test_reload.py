"""Reading the settings again over HTTP, and new certificates for the API itself."""

from __future__ import annotations

import ssl
from pathlib import Path

import aiohttp
import pytest

from config.changes import Changes, compare
from config.faults import Fault, SettingsError
from config.settings import (
    HttpSettings,
    LinkSettings,
    LogSettings,
    MailSettings,
    Settings,
    TrunkSettings,
    VoiceSettings,
)
from gateway.api.server import ApiServer, CannotListen
from tests.api.fixtures import ADMIN_KEY, Api, NoDatabase, make_context, make_settings
from tests.channels.certificates import self_signed

ACME = LinkSettings(name="acme", host="127.0.0.1", system_id="lab")


async def test_what_changed_is_answered(api: Api) -> None:
    """To an admin alone; to a shop there is nothing at this path."""

    async def reload() -> Changes:
        return compare(Settings(), Settings(links=(ACME,)))

    api.context.reload = reload
    status, told, _ = await api.call("POST", "/v1/reload", key=ADMIN_KEY)
    assert (status, told["added"], told["at_restart"]) == (200, ["acme"], [])
    status, told, _ = await api.call("POST", "/v1/reload")
    assert (status, told["type"]) == (404, "/problems/not-found")


async def test_every_fault_is_answered(api: Api) -> None:
    """With its key, its line and what to do."""

    async def reload() -> Changes:
        raise SettingsError(
            [
                Fault("links[0].port", 7, "expected a whole number"),
                Fault("GATEWAY__LOG__LEVEL", None, "no such level", "use info"),
            ]
        )

    api.context.reload = reload
    status, told, _ = await api.call("POST", "/v1/reload", key=ADMIN_KEY)
    assert (status, told["type"]) == (400, "/problems/invalid-request")
    assert told["errors"] == [
        {"field": "links[0].port", "problem": "expected a whole number", "hint": "line 7"},
        {"field": "GATEWAY__LOG__LEVEL", "problem": "no such level", "hint": "use info"},
    ]


async def test_a_process_without_settings_says_so(api: Api) -> None:
    """The demo was started from none."""
    status, told, _ = await api.call("POST", "/v1/reload", key=ADMIN_KEY)
    assert (status, told["type"]) == (422, "/problems/not-available")


def test_what_differs_is_named() -> None:
    """Links by name; sections that only a start takes over."""
    old = Settings(links=(ACME, LinkSettings(name="old", host="::1", system_id="lab")))
    changed = LinkSettings(name="acme", host="127.0.0.1", system_id="lab", window=5)
    new = Settings(links=(changed,), log=LogSettings(level="debug"))
    assert compare(old, old).words() == "nothing has changed"
    assert compare(old, new).words() == (
        "links changed: acme; links removed: old; [log] waits for the next start"
    )


def test_a_mail_account_is_taken_over_but_not_added() -> None:
    """Its route is known to parts from the start on."""
    one, two = (MailSettings(host=f"{n}.example.com", sender="a@example.com") for n in "ab")
    assert compare(Settings(mail=one), Settings(mail=two)).mail
    added = compare(Settings(), Settings(mail=one))
    assert (added.mail, added.at_restart) == (False, ["mail"])


def test_trunks_are_taken_over_where_there_are_some_and_their_ports_stay() -> None:
    """The first of all, and what may be meant for other ports, wait for the next start."""
    one, two = (TrunkSettings(name=name, host="127.0.0.1") for name in ("one", "two"))
    had = Settings(trunks=(one,))
    changed = compare(had, Settings(trunks=(two,)))
    assert (changed.trunks, changed.at_restart) == (True, [])
    assert changed.words() == "trunks changed"
    first = compare(Settings(), had)
    assert (first.trunks, first.at_restart) == (False, ["trunks"])
    moved = compare(had, Settings(trunks=(two,), voice=VoiceSettings(listen="127.0.0.1:5070")))
    assert (moved.trunks, moved.at_restart) == (False, ["trunks", "voice"])


async def test_a_new_certificate_is_shown_to_the_next_connection(tmp_path: Path) -> None:
    """One that does not serve is told, and the old one stays."""
    certificate, key = self_signed(tmp_path)
    http = HttpSettings(listen="127.0.0.1:0", tls_cert=certificate, tls_key=key)
    settings = make_settings(tmp_path)
    context = make_context(Settings(http=http, store=settings.store), NoDatabase())
    server = ApiServer(context)
    await server.start()
    try:
        old = certificate.read_bytes()
        self_signed(tmp_path)
        assert await answers(server.url, old)
        server.reload_tls()
        assert await answers(server.url, certificate.read_bytes())
        assert not await answers(server.url, old)
        good = certificate.read_bytes()
        certificate.write_text("no certificate")
        with pytest.raises(CannotListen, match="tls_cert"):
            server.reload_tls()
        assert await answers(server.url, good)
    finally:
        await server.stop()


async def answers(url: str, certificate: bytes) -> bool:
    """Whether the server shows this certificate."""
    trust = ssl.create_default_context(cadata=certificate.decode())
    connector = aiohttp.TCPConnector(ssl=trust)
    async with aiohttp.ClientSession(connector=connector) as session:
        try:
            async with session.get(f"{url}/healthz") as answer:
                return answer.status == 200
        except aiohttp.ClientConnectorCertificateError:
            return False
