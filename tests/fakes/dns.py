"""A name server with the records of a test (RFC 1035, 2782, 3403)."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, cast

_TYPES: Final = {1: "A", 28: "AAAA", 33: "SRV", 35: "NAPTR"}
NXDOMAIN: Final = 3


class NameServer(asyncio.DatagramProtocol):
    """`records[type, name]` are the answers: an address, (priority, weight, port, target), or
    (order, preference, flags, service, replacement)."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], list[object]] = {}
        self.ttl_s = 60
        self.is_silent = False
        self.unanswered: set[str] = set()
        """Types of records that are never answered."""
        self.asked: Counter[tuple[str, str]] = Counter()
        self.port = 0
        self._transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        name, end = _read_name(data, 12)
        kind, _ = struct.unpack_from("!HH", data, end)
        question = (_TYPES.get(kind, str(kind)), name.lower())
        self.asked[question] += 1
        if self.is_silent or question[0] in self.unanswered:
            return
        records = self.records.get(question, [])
        is_known = any(known == name.lower() for _, known in self.records)
        code = 0 if is_known else NXDOMAIN
        head = data[:2] + struct.pack("!HHHHH", 0x8180 | code, 1, len(records), 0, 0)
        answers = b"".join(self._answer(kind, record) for record in records)
        self._transport.sendto(head + data[12 : end + 4] + answers, addr)

    def _answer(self, kind: int, record: object) -> bytes:
        body = _body(kind, record)
        return b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, self.ttl_s, len(body)) + body


def _body(kind: int, record: object) -> bytes:
    if isinstance(record, str):
        family = socket.AF_INET if kind == 1 else socket.AF_INET6
        return socket.inet_pton(family, record)
    assert isinstance(record, tuple)
    if kind == 33:
        priority, weight, port, target = record
        return struct.pack("!HHH", priority, weight, port) + _name(target)
    order, preference, flags, service, replacement = record
    texts = b"".join(bytes([len(each)]) + each.encode() for each in (flags, service, ""))
    return struct.pack("!HH", order, preference) + texts + _name(replacement)


def _name(name: str) -> bytes:
    labels = [label.encode() for label in name.strip(".").split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def _read_name(data: bytes, offset: int) -> tuple[str, int]:
    labels = []
    while data[offset]:
        length = data[offset]
        labels.append(data[offset + 1 : offset + 1 + length].decode())
        offset += 1 + length
    return ".".join(labels), offset + 1


@asynccontextmanager
async def name_server() -> AsyncIterator[NameServer]:
    """A name server on a free port of 127.0.0.1."""
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(
        NameServer, local_addr=("127.0.0.1", 0)
    )
    try:
        yield server
    finally:
        transport.close()
