"""Where messages come from and go to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from heapq import heapify, heappop, heappush
from typing import Final, Protocol

from protocols.sip.errors import SipError
from protocols.sip.uri import Uri


class Transport(Enum):
    """The value is the name in Via."""

    UDP = "UDP"
    TCP = "TCP"
    TLS = "TLS"

    @property
    def is_reliable(self) -> bool:
        return self is not Transport.UDP

    @property
    def default_port(self) -> int:
        return 5061 if self is Transport.TLS else 5060


@dataclass(frozen=True, slots=True)
class Hop:
    """The far end of a transport: where a message came from, or is to go."""

    transport: Transport
    host: str
    """An address, or a name that the transport looks up."""
    port: int = 0
    """0: as DNS says, or the default of the transport."""
    flow: int | None = None
    """The connection, by the number that the transport gave it. Gone: open another to host and
    port."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to send."""

    data: bytes
    hop: Hop


class Randomness(Protocol):
    """Where tags, branches, Call-IDs and back-off times come from; tests give a counted one."""

    def token(self) -> str:
        """At least 64 bits nobody can guess, as a token."""

    def below(self, limit: int) -> int:
        """A number from 0 to `limit` - 1."""


_TRANSPORTS: Final = {"udp": Transport.UDP, "tcp": Transport.TCP, "tls": Transport.TLS}


def hop_of(uri: Uri, default: Transport) -> Hop:
    """Where a request to `uri` goes, short of DNS (RFC 3263 section 4). Raises SipError for a URI
    that is no SIP URI or names a transport we do not have."""
    if not uri.is_sip:
        raise SipError("cannot send to a URI that is no SIP URI", 416)
    name = uri.params.get("transport")
    transport = _TRANSPORTS.get((name or "").lower(), None if name else default)
    if transport is None:
        raise SipError("cannot send over the transport that a URI names")
    if uri.scheme == "sips":
        transport = Transport.TLS
    return Hop(transport, uri.params.get("maddr") or uri.host, uri.port or 0)


class Timer:
    """A call that is due at a time, unless it is canceled."""

    __slots__ = ("due", "run")

    def __init__(self, due: float, run: Callable[[float], None]) -> None:
        self.due = due
        self.run: Callable[[float], None] | None = run

    def cancel(self) -> None:
        self.run = None


class TimerQueue:
    """All timers of one user agent, earliest first."""

    __slots__ = ("_count", "_heap")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timer]] = []
        self._count = 0

    def start(self, due: float, run: Callable[[float], None]) -> Timer:
        timer = Timer(due, run)
        self._count += 1
        heappush(self._heap, (due, self._count, timer))
        if not self._count % 4096:  # canceled timers do not gather until they are due
            self._heap = [entry for entry in self._heap if entry[2].run is not None]
            heapify(self._heap)
        return timer

    def next_due(self) -> float | None:
        while self._heap and self._heap[0][2].run is None:
            heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def run(self, now: float) -> None:
        """Run what is due, what it starts for now included."""
        while self._heap and self._heap[0][0] <= now:
            run = heappop(self._heap)[2].run
            if run is not None:
                run(now)
