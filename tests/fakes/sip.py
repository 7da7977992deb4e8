"""A SIP far end that a test scripts: it answers what a function says, in plain text, with nothing
of our own code.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, cast

_COPIED: Final = ("via", "from", "call-id", "cseq")


@dataclass(frozen=True)
class Heard:
    """A message that came, and from where."""

    text: str
    source: tuple[str, int]

    @property
    def start(self) -> str:
        return self.text.partition("\r\n")[0]

    @property
    def method(self) -> str:
        return self.start.partition(" ")[0]

    def header(self, name: str) -> str:
        """The first of that name; empty without one."""
        found = re.search(rf"(?im)^{re.escape(name)}[ \t]*:[ \t]*(.*?)\r?$", self.text)
        return found.group(1) if found is not None else ""

    def reply(self, status: str, *headers: str, body: str = "", tag: str = "far") -> str:
        """A response to this request."""
        lines = [f"SIP/2.0 {status}"]
        for line in self.text.partition("\r\n\r\n")[0].split("\r\n")[1:]:
            name = line.partition(":")[0].strip().lower()
            if name in _COPIED:
                lines.append(line)
            elif name == "to":
                lines.append(line if ";tag=" in line else f"{line};tag={tag}")
        lines += [*headers, f"Content-Length: {len(body)}", "", body]
        return "\r\n".join(lines)


Script = Callable[[Heard], list[str]]


class FarEnd(asyncio.DatagramProtocol):
    """Answers over UDP what `script` says; `heard` is everything that came."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.heard: list[Heard] = []
        self.port = 0
        self._news = asyncio.Event()
        self._transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if not data.strip():
            return
        heard = Heard(data.decode(), addr)
        self.heard.append(heard)
        self._news.set()
        for text in self.script(heard):
            self.send(text, addr)

    def send(self, text: str, address: tuple[str, int]) -> None:
        """Send one message."""
        self._transport.sendto(text.encode(), address)

    def of(self, method: str) -> list[Heard]:
        """The requests of a method."""
        return [each for each in self.heard if each.method == method]

    async def wait_for(self, method: str, count: int = 1) -> Heard:
        """Wait until so many requests of a method came; returns the last of them."""
        async with asyncio.timeout(10):
            while len(self.of(method)) < count:
                self._news.clear()
                await self._news.wait()
        return self.of(method)[count - 1]


@asynccontextmanager
async def far_end(script: Script, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[FarEnd]:
    """A far end on a free port of loopback."""
    loop = asyncio.get_running_loop()
    transport, end = await loop.create_datagram_endpoint(
        lambda: FarEnd(script), local_addr=(host, port)
    )
    try:
        yield end
    finally:
        transport.close()


class Registrar:
    """The script of a registrar: asks for a password (RFC 7616, SHA-256), may call a nonce stale,
    keeps the bindings."""

    def __init__(self, user: str, password: str, realm: str = "example.com") -> None:
        self.password = password
        self.user = user
        self.realm = realm
        self.nonce = "n1"
        self.bindings: dict[str, int] = {}
        self.challenges = 0
        self.refusals = 0

    def __call__(self, heard: Heard) -> list[str]:
        if heard.method == "OPTIONS":
            return [heard.reply("200 OK")]
        if heard.method != "REGISTER":
            return []
        authorization = heard.header("Authorization")
        if not authorization:
            return [self._challenge(heard)]
        fields = dict(re.findall(r'(\w+)="?([^",]*)"?', authorization))
        if not self._is_right(fields):
            self.refusals += 1
            return [heard.reply("403 Forbidden")]
        if fields["nonce"] != self.nonce:
            return [self._challenge(heard, ", stale=true")]
        contact = re.sub(r"[<>]", "", heard.header("Contact")).partition(";")[0]
        expires = int(heard.header("Expires"))
        if expires:
            self.bindings[contact] = expires
        else:
            self.bindings.pop(contact, None)
        return [heard.reply("200 OK", f"Contact: {heard.header('Contact')};expires={expires}")]

    def _challenge(self, heard: Heard, more: str = "") -> str:
        self.challenges += 1
        return heard.reply(
            "401 Unauthorized",
            f'WWW-Authenticate: Digest realm="{self.realm}", nonce="{self.nonce}",'
            f' algorithm=SHA-256, qop="auth"{more}',
        )

    def _is_right(self, fields: dict[str, str]) -> bool:
        def digest(text: str) -> str:
            return hashlib.sha256(text.encode()).hexdigest()

        secret = digest(f"{self.user}:{self.realm}:{self.password}")
        asked = digest(f"REGISTER:{fields['uri']}")
        parts = [secret, fields["nonce"], fields["nc"], fields["cnonce"], fields["qop"], asked]
        return fields["response"] == digest(":".join(parts))
