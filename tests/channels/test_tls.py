"""TLS towards carriers."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from gateway.sandbox.smsc import SandboxSmsc
from protocols.smpp.connection import serve
from tests.channels.certificates import Authority
from tests.channels.smpp_stage import Stage, message, stage

NAME = "smsc.example.com"


@asynccontextmanager
async def secured(
    folder: Path, *, client_ca: Authority | None = None, is_up: bool = True, **settings: Any
) -> AsyncIterator[Stage]:
    """A link to an SMSC that speaks TLS, with a certificate for NAME of the authority `ca`."""
    smsc = SandboxSmsc()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / f"{NAME}.crt", folder / f"{NAME}.key")
    if client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(client_ca.file)
    server = await serve("127.0.0.1", 0, smsc._exchange.new_peer, ssl=context)
    port = server.sockets[0].getsockname()[1]
    try:
        async with stage(smsc, port=port, tls=True, is_up=is_up, **settings) as one:
            yield one
    finally:
        server.close()
        await smsc.stop()


def error_of(one: Stage) -> str:
    """Why the bind is down."""
    return one.binds[0].state.error or ""


async def test_a_verified_carrier_is_spoken_to(tmp_path: Path) -> None:
    """By an authority that the link trusts, under the name that it expects."""
    ca = Authority(tmp_path, "ca")
    ca.sign(NAME)
    async with secured(tmp_path, tls_ca=ca.file, tls_server_name=NAME) as one:
        one.send(message(1))
        await one.books.until(lambda: one.books.sent_ids == [1])
        connection = next(iter(one.binds[0].halves.values())).connection
        assert connection is not None
        assert connection.is_tls


async def test_a_carrier_of_another_authority_is_refused(tmp_path: Path) -> None:
    """Nothing is told to it, and the reason is shown."""
    Authority(tmp_path, "ca").sign(NAME)
    other = Authority(tmp_path, "other")
    async with secured(
        tmp_path, is_up=False, tls_ca=other.file, tls_server_name=NAME
    ) as one:
        await one.books.until(lambda: bool(error_of(one)))
        assert "the certificate of" in error_of(one)
        assert "is not accepted" in error_of(one)
        assert one.smsc.sessions == []


async def test_a_carrier_of_another_name_is_refused(tmp_path: Path) -> None:
    """Without tls_server_name it has to be the host."""
    ca = Authority(tmp_path, "ca")
    ca.sign(NAME)
    async with secured(tmp_path, is_up=False, tls_ca=ca.file, host="localhost") as one:
        await one.books.until(lambda: bool(error_of(one)))
        assert "Hostname mismatch" in error_of(one)


async def test_unverified_only_if_told_so(tmp_path: Path) -> None:
    """For tests alone."""
    Authority(tmp_path, "ca").sign(NAME)
    async with secured(tmp_path, tls_verify=False) as one:
        assert one.link.is_usable()


async def test_a_client_certificate_is_shown(tmp_path: Path) -> None:
    """To a carrier that wants one."""
    ca = Authority(tmp_path, "ca")
    ca.sign(NAME)
    cert, key = ca.sign("gateway.example.com")
    settings: dict[str, Any] = {"tls_ca": ca.file, "tls_server_name": NAME}
    async with secured(tmp_path, client_ca=ca, tls_cert=cert, tls_key=key, **settings) as one:
        assert one.link.is_usable()
    async with secured(tmp_path, client_ca=ca, is_up=False, **settings) as one:
        await one.books.until(lambda: bool(error_of(one)))
        assert not one.link.is_usable()


async def test_new_files_are_used_from_the_next_connection_on(tmp_path: Path) -> None:
    """Nobody has to be told; a file that does not serve is named."""
    ca = Authority(tmp_path, "ca")
    ca.sign(NAME)
    trusted = tmp_path / "trusted.pem"
    trusted.write_text("no certificate")
    async with secured(tmp_path, is_up=False, tls_ca=trusted, tls_server_name=NAME) as one:
        await one.books.until(lambda: str(trusted) in error_of(one))
        trusted.write_bytes(ca.file.read_bytes())
        await one.is_up()
