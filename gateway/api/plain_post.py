"""The head of a plain POST /v1/messages: the part of HTTP/1.1 that leaves no doubt where a request
ends (RFC 9112 sections 2 to 6). Whatever else a head may say is for a whole implementation of HTTP.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

START: Final = b"POST /v1/messages HTTP/1.1"
HEAD_MAX_BYTES: Final = 8_190
HEADERS_MAX: Final = 64

_LINE: Final = re.compile(
    rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*((?:[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?)?)[ \t]*"
)
_LENGTH: Final = re.compile(rb"[0-9]{1,8}")
_NOT_PLAIN: Final = frozenset(
    (b"transfer-encoding", b"expect", b"upgrade", b"content-encoding", b"te", b"trailer")
)
_SINGLE: Final = frozenset(
    (b"content-length", b"authorization", b"idempotency-key", b"host", b"connection")
)


@dataclass(frozen=True, slots=True)
class Head:
    """What matters of the head of a plain POST."""

    length: int
    authorization: str
    idempotency_key: str | None


def read_head(data: bytes, longest_body: int) -> Head | None:
    """A head, given without its empty line; None when it is anything but plain."""
    first, *lines = data.split(b"\r\n")
    if first != START or len(lines) > HEADERS_MAX:
        return None
    found: dict[bytes, bytes] = {}
    for line in lines:
        match = _LINE.fullmatch(line)
        if match is None:
            return None
        name = match[1].lower()
        if name in _NOT_PLAIN or (name in _SINGLE and name in found):
            return None
        found[name] = match[2]
    length = found.get(b"content-length", b"")
    if not _LENGTH.fullmatch(length) or int(length) > longest_body or not found.get(b"host"):
        return None
    if found.get(b"connection", b"keep-alive").lower() != b"keep-alive":
        return None
    key = found.get(b"idempotency-key")
    return Head(
        int(length),
        found.get(b"authorization", b"").decode("ascii"),
        None if key is None else key.decode("ascii"),
    )
