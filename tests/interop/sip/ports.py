"""Free ports for programs that cannot choose their own, and whether somebody listens."""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack
from itertools import count
from pathlib import Path

_FIRST, _LAST, _STEP = 10_000, 19_996, 4
"""Below what systems hand out by themselves, and apart from our own media ports: what is free now
stays so until a program has taken it."""
_LISTENING = "0A"
_TURNS = count(random.SystemRandom().randrange((_LAST - _FIRST) // _STEP))


def free_port() -> int:
    """An even port that nobody uses, for UDP or TCP, nor the three above it; never the same twice
    until all had their turn."""
    for _ in range(_FIRST, _LAST, _STEP):
        port = _FIRST + next(_TURNS) * _STEP % (_LAST - _FIRST)
        if all(_is_free(port + above) for above in range(_STEP)):
            return port
    raise AssertionError("no free port")


def _is_free(port: int) -> bool:
    with ExitStack() as stack:
        try:
            for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                made = stack.enter_context(socket.socket(socket.AF_INET, kind))
                made.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def is_bound(port: int, protocol: str) -> bool:
    """Whether somebody has this port open (TCP: listens on it)."""
    for name in (protocol, f"{protocol}6"):
        for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]:
            fields = line.split()
            is_here = int(fields[1].rpartition(":")[2], 16) == port
            if is_here and (protocol == "udp" or fields[3] == _LISTENING):
                return True
    return False
