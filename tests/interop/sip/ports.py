"""Free ports for programs that cannot choose their own, and whether somebody listens."""

from __future__ import annotations

import socket
from contextlib import ExitStack, suppress
from pathlib import Path

_TRIES = 64
_LISTENING = "0A"


def udp_port(*, pair: bool = False) -> int:
    """A port that nobody used a moment ago, neither for UDP nor for TCP; with `pair` an even one
    whose next three are free for UDP as well."""
    for _ in range(_TRIES):
        with suppress(OSError), ExitStack() as stack:
            port = _bind(stack, socket.SOCK_DGRAM, 0)
            if pair:
                if port % 2:
                    continue
                for above in (1, 2, 3):
                    _bind(stack, socket.SOCK_DGRAM, port + above)
            else:
                _bind(stack, socket.SOCK_STREAM, port)
            return port
    raise AssertionError("no free port")


def _bind(stack: ExitStack, kind: socket.SocketKind, port: int) -> int:
    made = stack.enter_context(socket.socket(socket.AF_INET, kind))
    made.bind(("127.0.0.1", port))
    return int(made.getsockname()[1])


def is_bound(port: int, protocol: str) -> bool:
    """Whether somebody has this port open (TCP: listens on it)."""
    for name in (protocol, f"{protocol}6"):
        for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]:
            fields = line.split()
            is_here = int(fields[1].rpartition(":")[2], 16) == port
            if is_here and (protocol == "udp" or fields[3] == _LISTENING):
                return True
    return False
