"""A link between us and a peer that loses, doubles and reorders by a script, on UDP sockets."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

HOST = "127.0.0.1"
_DEADLINE_S = 20.0
_CSEQ = re.compile(rb"(?im)^CSeq[ \t]*:[ \t]*\d+[ \t]+(\w+)")


def name_of(data: bytes) -> str:
    """`INVITE`, or `200 INVITE`."""
    line = data.partition(b"\r\n")[0].split()
    found = _CSEQ.search(data)
    if not line or found is None:
        return ""
    return f"{line[1].decode()} {found[1].decode()}" if line[0] == b"SIP/2.0" else line[0].decode()


@dataclass(frozen=True)
class Passed:
    """A message that came to the link."""

    is_ours: bool
    name: str
    data: bytes
    copies: int
    """How many went on at once: none was lost or kept."""


@dataclass
class Script:
    """What becomes of messages, by name."""

    lost: dict[str, int] = field(default_factory=dict)
    """How many of the first of this name are lost."""
    kept: dict[str, str] = field(default_factory=dict)
    """The first of this name waits until one of the other name has passed."""
    copies: int = 1


class Link:
    """What we send to `near` the peer gets from `far`, and the other way round."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.passed: list[Passed] = []
        self.near = self.far = 0
        self.ours: tuple[str, int] | None = None
        self.peer: tuple[str, int] | None = None
        self._waiting: list[tuple[str, bool, bytes]] = []
        self._came = asyncio.Event()
        self._transports: list[asyncio.DatagramTransport] = []

    async def open(self) -> None:
        """Open both sides."""
        loop = asyncio.get_running_loop()
        ports = []
        for is_near in (True, False):
            transport, _ = await loop.create_datagram_endpoint(
                lambda is_near=is_near: _Side(self, is_near), local_addr=(HOST, 0)  # type: ignore[misc]
            )
            self._transports.append(transport)
            ports.append(int(transport.get_extra_info("sockname")[1]))
        self.near, self.far = ports

    def close(self) -> None:
        """Close both sides."""
        for transport in self._transports:
            transport.close()

    def came(self, is_ours: bool, data: bytes, source: tuple[str, int]) -> None:
        """A message at one side."""
        if is_ours:
            self.ours = source
        else:
            self.peer = source
        name = name_of(data)
        copies = self._copies(name, is_ours, data)
        self.passed.append(Passed(is_ours, name, data, copies))
        self._came.set()
        for _ in range(copies):
            self._carry(is_ours, data)
        if copies:
            self._release(name)

    def _copies(self, name: str, is_ours: bool, data: bytes) -> int:
        if self.script.lost.get(name, 0):
            self.script.lost[name] -= 1
            return 0
        if name in self.script.kept:
            self._waiting.append((self.script.kept.pop(name), is_ours, data))
            return 0
        return self.script.copies

    def _release(self, name: str) -> None:
        for entry in [entry for entry in self._waiting if entry[0] == name]:
            self._waiting.remove(entry)
            self._carry(*entry[1:])

    def _carry(self, is_ours: bool, data: bytes) -> None:
        target = self.peer if is_ours else self.ours
        if target is not None:
            self._transports[1 if is_ours else 0].sendto(data, target)

    async def until(self, name: str, count: int = 1) -> None:
        """Until so many came under a name."""
        async with asyncio.timeout(_DEADLINE_S):
            while len(self.saw(name)) < count:
                self._came.clear()
                await self._came.wait()

    def saw(self, name: str) -> list[Passed]:
        """What came under a name, lost or not."""
        return [each for each in self.passed if each.name == name]


class _Side(asyncio.DatagramProtocol):
    def __init__(self, link: Link, is_near: bool) -> None:
        self._link = link
        self._is_near = is_near

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._link.came(self._is_near, data, addr)


@asynccontextmanager
async def lossy(
    *,
    lost: dict[str, int] | None = None,
    kept: dict[str, str] | None = None,
    copies: int = 1,
) -> AsyncIterator[Link]:
    """A link with a script. Tell it `peer` or `ours`, whoever does not speak first."""
    link = Link(Script(dict(lost or {}), dict(kept or {}), copies))
    await link.open()
    try:
        yield link
    finally:
        link.close()
