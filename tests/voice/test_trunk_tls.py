"""TLS of trunks: whom they trust, who they say they are, and new files while they run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from config.settings import VoiceSettings
from gateway.voice.call_events import Answered, CallEnd
from gateway.voice.trunk import Trunk
from protocols.sip.events import EndCause
from tests.channels.certificates import Authority
from tests.voice.trunks import HOST, PHONE, Answering, next_of, on_any_port, only, running, settings

NAME = "trunk.example.com"
QUIET: dict[str, Any] = {"options_s": 0.0, "transport": "tls", "tls_server_name": NAME}


def listening(authority: Authority, **more: Any) -> VoiceSettings:
    """A TLS port with a certificate of an authority."""
    cert, key = authority.sign(NAME)
    return on_any_port(tls_listen=f"{HOST}:0", tls_cert=cert, tls_key=key, **more)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "authority")


@pytest.fixture
def other(tmp_path: Path) -> Authority:
    (tmp_path / "other").mkdir()
    return Authority(tmp_path / "other", "other")


async def is_answered(trunk: Trunk) -> bool:
    """Whether a call by a trunk comes about."""
    call = trunk.call(PHONE)
    async for event in call.events():
        if isinstance(event, Answered):
            call.hang_up()
            await call.wait_ended()
            return True
        if isinstance(event, CallEnd):
            assert event.cause is EndCause.TRANSPORT
    return False


@pytest.mark.parametrize("what", ["authority", "name"])
async def test_a_server_that_cannot_prove_itself_is_not_called(
    authority: Authority, other: Authority, what: str
) -> None:
    """Whoever sits in between would hear everything; and the operator reads why."""
    keys = QUIET | {"tls_ca": authority.file}
    if what == "authority":
        keys["tls_ca"] = other.file
    else:
        keys["tls_server_name"] = "sip.example.com"
    answering = Answering()
    far = settings(1, voice=listening(authority), **QUIET)
    async with (
        running(far, on_incoming=answering) as there,
        running(settings(there.tls_port, **keys | {"options_s": 30.0})) as here,
    ):
        trunk = only(here)
        assert not await is_answered(trunk)
        assert answering.calls == []
        assert "not trusted" in trunk.endpoint.fault
        assert any("not trusted" in words for _, words in trunk.state().figures["errors"])


async def test_a_caller_shows_the_certificate_of_its_trunk(
    authority: Authority, other: Authority
) -> None:
    """Without one, or with one of somebody else, it is not let in where one is wanted."""
    voice = listening(authority, tls_client_ca=authority.file)
    mine = authority.sign("gateway.example.com")
    theirs = other.sign("gateway.example.com")
    async with running(settings(1, voice=voice, **QUIET), on_incoming=Answering()) as there:
        for (cert, key), is_let_in in ((mine, True), (theirs, False), ((None, None), False)):
            keys: dict[str, Any] = {"tls_ca": authority.file, "tls_cert": cert, "tls_key": key}
            async with running(settings(there.tls_port, **QUIET, **keys)) as here:
                assert await is_answered(only(here)) is is_let_in


async def test_new_certificates_are_used_from_the_next_connection_on(
    authority: Authority, other: Authority, tmp_path: Path
) -> None:
    """Ours where we listen by a reload, the authority that a trunk trusts by itself; calls that
    stand go on."""
    voice = listening(authority)
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(authority.file.read_bytes())
    keys = QUIET | {"tls_ca": trusted}
    assert voice.tls_cert is not None
    assert voice.tls_key is not None
    async with (
        running(settings(1, voice=voice, **QUIET), on_incoming=Answering()) as there,
        running(settings(there.tls_port, **keys)) as before,
    ):
        call = only(before).call(PHONE)
        await next_of(call, Answered)
        cert, key = other.sign(NAME)
        voice.tls_cert.write_bytes(b"half of it")
        there.reload_certificates()
        async with running(settings(there.tls_port, **keys)) as again:
            assert await is_answered(only(again)), "the old one serves until the new one does"
        voice.tls_cert.write_bytes(cert.read_bytes())
        voice.tls_key.write_bytes(key.read_bytes())
        there.reload_certificates()
        async with running(settings(there.tls_port, **keys)) as here:
            assert not await is_answered(only(here))
            trusted.write_bytes(other.file.read_bytes())
            assert await is_answered(only(here))
        assert call.end is None
        call.hang_up()
        assert (await call.wait_ended()).cause is EndCause.LOCAL
