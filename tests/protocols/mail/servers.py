"""SMTP servers that misbehave at a chosen moment, and certificates made for a test."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

BANNER = "banner"
TEXT = "text"
"""The names of two moments that are no command: after connecting, and after the final dot."""

USUAL = {
    BANNER: "220 fake.example",
    "EHLO": "250 fake.example",
    "MAIL": "250 ok",
    "RCPT": "250 ok",
    "DATA": "354 go on",
    TEXT: "250 kept",
    "RSET": "250 ok",
    "QUIT": "221 bye",
}


class ScriptedServer:
    """Answers each command with a line of `script`, which may change at any time.

    None closes instead. The empty string says nothing and keeps the connection. After an answer
    that ends in `!` the connection is closed.
    """

    def __init__(self, script: dict[str, str | None]) -> None:
        self.script: dict[str, str | None] = {**USUAL, **script}
        self.texts: list[bytes] = []
        self.commands: list[str] = []
        self.connections = 0
        self.heard = asyncio.Event()
        self.heard_text = asyncio.Event()
        self.closed = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._open.values():
            writer.transport.abort()
        await asyncio.gather(*self._open)
        await self._server.wait_closed()

    def say(self, answer: str) -> None:
        """Give a late answer on every open connection."""
        for writer in self._open.values():
            writer.write(answer.encode() + b"\r\n")

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.closed.clear()
        task = asyncio.current_task()
        assert task is not None
        self._open[task] = writer
        try:
            if await self._answer(writer, BANNER):
                await self._serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            del self._open[task]
            self.closed.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            command = line[:4].decode().upper()
            self.commands.append(line.decode().rstrip())
            self.heard.set()
            if not await self._answer(writer, command):
                return
            if command == "DATA" and (self.script["DATA"] or "").startswith("354"):
                self.texts.append(await reader.readuntil(b"\r\n.\r\n"))
                self.heard_text.set()
                if not await self._answer(writer, TEXT):
                    return

    async def _answer(self, writer: asyncio.StreamWriter, moment: str) -> bool:
        """Whether the conversation goes on."""
        answer = self.script.get(moment, "500 unknown")
        if answer is None:
            return False
        if answer:
            writer.write(answer.rstrip("!").encode() + b"\r\n")
            await writer.drain()
        return not answer.endswith("!")


@asynccontextmanager
async def scripted(script: dict[str, str | None] | None = None) -> AsyncIterator[ScriptedServer]:
    """A server that runs as long as the block."""
    server = ScriptedServer(script or {})
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


def make_contexts(folder: Path, host: str) -> tuple[ssl.SSLContext, Callable[[], ssl.SSLContext]]:
    """A server's context with a certificate for `host`, and a maker of clients' that trust it."""
    authority_key = ec.generate_private_key(ec.SECP256R1())
    key = ec.generate_private_key(ec.SECP256R1())
    authority_name = _name("Sample Authority")
    authority = (
        _draft(authority_name, authority_name, authority_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(is_authority=True), critical=True)
        .add_extension(
            x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key()), critical=False
        )
        .sign(authority_key, hashes.SHA256())
    )
    certificate = (
        _draft(_name(host), authority_name, key)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()),
            critical=False,
        )
        .sign(authority_key, hashes.SHA256())
    )
    pem = folder / "server.pem"
    pem.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(pem)
    trusted = authority.public_bytes(serialization.Encoding.PEM).decode()
    return server, lambda: ssl.create_default_context(cadata=trusted)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _draft(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
    )


def _usage(*, is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
