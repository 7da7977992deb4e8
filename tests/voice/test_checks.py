"""`gateway check` on trunks: faults of files, hints about ports and names."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from gateway.voice.checks import trunk_breaches, trunk_hints
from gateway.voice.tls import TrunkTls
from tests.channels.certificates import Authority
from tests.fakes.dns import name_server
from tests.voice.trunks import HOST, on_any_port, settings


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    file = tmp_path / "broken.pem"
    file.write_text("no certificate")
    return file


def test_sound_files_are_no_fault(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "authority")
    cert, key = authority.sign("gateway.example.com")
    voice = on_any_port(
        tls_listen=f"{HOST}:0", tls_cert=cert, tls_key=key, tls_client_ca=authority.file
    )
    sound = settings(
        5061, voice=voice, transport="tls", tls_ca=authority.file, tls_cert=cert, tls_key=key
    )
    assert list(trunk_breaches(sound)) == []


@pytest.mark.parametrize("key", ["tls_ca", "tls_cert"])
def test_a_file_that_does_not_serve_is_a_fault_of_its_trunk(key: str, broken: Path) -> None:
    (breach,) = trunk_breaches(settings(5061, transport="tls", **{key: broken}))
    assert breach.path == ("trunks", 0, key)
    assert str(broken) in breach.problem


@pytest.mark.parametrize("key", ["tls_cert", "tls_client_ca"])
def test_a_file_of_the_listener_that_does_not_serve_is_a_fault_of_voice(
    key: str, broken: Path, tmp_path: Path
) -> None:
    cert, private = Authority(tmp_path, "authority").sign("gateway.example.com")
    files: dict[str, Any] = {"tls_cert": cert, "tls_key": private, key: broken}
    voice = on_any_port(tls_listen=f"{HOST}:0", **files)
    (breach,) = trunk_breaches(settings(5060, voice=voice))
    assert breach.path == ("voice", key)


async def test_ports_that_others_have_are_a_hint() -> None:
    """No fault: the running gateway itself may have them."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind((HOST, 0))
        port = taken.getsockname()[1]
        first = port - port % 2
        voice = on_any_port(
            listen=f"{HOST}:{port}", rtp_port_first=first, rtp_port_last=first + 1
        )
        hints = await trunk_hints(settings(5060, voice=voice, max_calls=1))
    assert len(hints) == 2
    assert f"{HOST}:{port} is taken for UDP" in hints[0]
    assert "1 ports for sound are free now" in hints[1]


async def test_a_name_that_dns_does_not_know_is_a_hint() -> None:
    """A machine without a network has no fault in its settings."""
    async with name_server():
        voice = on_any_port(dns_servers=("127.0.0.9",))
        known = settings(5060, voice=voice)
        assert await trunk_hints(known) == []
        (hint,) = await trunk_hints(settings(0, host="sip.example.com", voice=voice))
        assert hint.startswith("trunk lab: ")
        assert "sip.example.com" in hint


async def test_networks_of_everybody_are_a_hint() -> None:
    """Strangers get no answer only as long as there are any."""
    (hint,) = await trunk_hints(settings(5060, networks=("0.0.0.0/0", "192.0.2.0/24")))
    assert hint == "trunk lab: 0.0.0.0/0 in networks lets everybody in"


@pytest.mark.parametrize("key", ["tls_cert", "tls_key"])
def test_a_file_that_is_missing_is_named_by_its_own_key(key: str, tmp_path: Path) -> None:
    """The line of the one that has to be mended."""
    cert, private = Authority(tmp_path, "authority").sign("gateway.example.com")
    files: dict[str, Any] = {"tls_cert": cert, "tls_key": private, key: tmp_path / "none.pem"}
    (breach,) = trunk_breaches(settings(5061, transport="tls", **files))
    assert breach.path == ("trunks", 0, key)
    voice = on_any_port(tls_listen=f"{HOST}:0", **files)
    (breach,) = trunk_breaches(settings(5060, voice=voice))
    assert breach.path == ("voice", key)


def test_half_replaced_certificates_do_not_take_a_trunk_away(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The old ones are shown until the new ones serve."""
    authority = Authority(tmp_path, "authority")
    cert, key = authority.sign("gateway.example.com")
    (trunk,) = settings(
        5061, transport="tls", tls_ca=authority.file, tls_cert=cert, tls_key=key
    ).trunks
    tls = TrunkTls(trunk)
    before = tls.context()
    whole = cert.read_bytes()
    cert.write_bytes(whole[:40])
    assert tls.context() is before
    assert "old certificates" in caplog.text
    cert.write_bytes(whole)
    after = tls.context()
    assert after is not before
    assert tls.context() is after
