"""Ports for media: an even one for RTP, the next for RTCP (RFC 3550 section 11)."""

from __future__ import annotations

from collections import deque
from random import Random, SystemRandom

from protocols.errors import LocalProtocolError


class PortsExhaustedError(LocalProtocolError):
    """Every port of the range is in use or resting. Temporary."""


class PortPool:
    """Even ports of a range, in random order, each resting for `rest_s` after its call: packets of
    the old call must not reach the new one. Raises LocalProtocolError for a range without any."""

    def __init__(
        self, first: int, last: int, *, rest_s: float = 60.0, random: Random | None = None
    ) -> None:
        start = first + first % 2
        ports = list(range(start, last, 2))
        if not ports or first < 1024 or last > 65535:
            raise LocalProtocolError(f"no pair of ports lies in {first}-{last}")
        (random or SystemRandom()).shuffle(ports)
        self._free = deque(ports)
        self._resting: deque[tuple[float, int]] = deque()
        self._taken: set[int] = set()
        self._rest_s = rest_s
        self.size = len(ports)

    @property
    def taken(self) -> int:
        """Ports in use."""
        return len(self._taken)

    def take(self, now: float) -> int:
        """An even port whose odd neighbour is free too. Raises PortsExhaustedError."""
        while self._resting and self._resting[0][0] <= now:
            self._free.append(self._resting.popleft()[1])
        if not self._free:
            raise PortsExhaustedError(
                f"{len(self._taken)} of {self.size} media ports are in use, the others are resting"
            )
        port = self._free.popleft()
        self._taken.add(port)
        return port

    def give_back(self, port: int, now: float) -> None:
        """Let a port rest."""
        if port in self._taken:
            self._taken.remove(port)
            self._resting.append((now + self._rest_s, port))
