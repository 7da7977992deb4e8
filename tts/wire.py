"""What the gateway and its worker processes say to each other, over two pipes.

A frame is the lengths of its head and its body (four octets each, big-endian), the head in JSON
and the body as it is. The first frame of a worker tells that it is ready, or why it cannot be;
then each request has one answer. A head with "error" is a failure; "is_temporary" says of which
kind.
"""

from __future__ import annotations

import json
import struct
from typing import Any, BinaryIO, Final

Head = dict[str, Any]

LENGTHS: Final = struct.Struct("!II")
MAX_HEAD_BYTES: Final = 65_536
MAX_BODY_BYTES: Final = 16 << 20
"""More than two minutes at any rate an engine has."""


class FrameError(Exception):
    """A frame is longer than any may be, or its head is no JSON object."""


def begin(head: Head, body_bytes: int) -> bytes:
    """A frame up to its body. Raises FrameError when it would be too long to be read."""
    packed = json.dumps(head).encode()
    check(len(packed), body_bytes)
    return LENGTHS.pack(len(packed), body_bytes) + packed


def lengths(data: bytes) -> tuple[int, int]:
    """The lengths of the head and the body that follow."""
    head, body = LENGTHS.unpack(data)
    check(head, body)
    return head, body


def check(head_bytes: int, body_bytes: int) -> None:
    """Raise FrameError for lengths that no frame may have."""
    if head_bytes > MAX_HEAD_BYTES or body_bytes > MAX_BODY_BYTES:
        raise FrameError("a frame is too long")


def parse_head(data: bytes) -> Head:
    """The head of a frame."""
    try:
        head = json.loads(data)
    except ValueError as error:
        raise FrameError("a head is no JSON") from error
    if not isinstance(head, dict):
        raise FrameError("a head is no object")
    return head


def read(stream: BinaryIO) -> tuple[Head, bytes] | None:
    """The next frame of a blocking stream; None at its end, however it ends."""
    data = stream.read(LENGTHS.size)
    if len(data) < LENGTHS.size:
        return None
    head_bytes, body_bytes = lengths(data)
    head, body = stream.read(head_bytes), stream.read(body_bytes)
    if len(head) < head_bytes or len(body) < body_bytes:
        return None
    return parse_head(head), body
