"""Numbers of received packets: what is new, old or twice, how much is lost, how much it jitters
(RFC 3550 section 6.4.1 and appendices A.1, A.3 and A.8)."""

from __future__ import annotations

from enum import Enum
from typing import Final

from protocols.rtp.parameters import RATE

MAX_DROPOUT: Final = 3000
"""A step forward of more is no loss but another counting."""
FIRST_CYCLE: Final = 1 << 16
"""Extended numbers begin here, so that what came before the first packet has one too."""
MAX_MISORDER: Final = 100
"""A step back of more is no reordering but another counting."""
_WINDOW: Final = 128
"""So many packets back are remembered, to know copies."""
_MASK: Final = (1 << _WINDOW) - 1


class Arrival(Enum):
    """What a packet's number says."""

    NEW = "new"
    REORDERED = "reordered"
    DUPLICATE = "duplicate"
    REJECTED = "rejected"
    """Far from what was expected; if the next follows on it, the peer counts anew."""
    RESTARTED = "restarted"
    """The second packet of a new counting, taken as NEW."""


class SequenceTracker:
    """The numbers of one stream. The first packet is taken at once: a word said at the start of a
    call counts, and who may send was settled by the source before."""

    __slots__ = (
        "_bad", "_base", "_expected_before", "_jitter", "_last_transit", "_received_before",
        "_seen", "duplicates", "highest", "received", "reordered",
    )  # fmt: skip

    def __init__(self) -> None:
        self.highest = -1
        """The extended highest number received; -1 before the first."""
        self.received = 0
        """Packets taken; copies are not."""
        self.reordered = 0
        self.duplicates = 0
        self._base = 0
        self._bad = -1
        self._seen = 0
        self._jitter = 0.0
        self._last_transit: float | None = None
        self._expected_before = 0
        self._received_before = 0

    def receive(self, sequence: int) -> Arrival:
        """Count a packet by its 16-bit number."""
        highest = self.highest
        if highest < 0:
            self._restart(sequence)
            return Arrival.NEW
        step = (sequence - highest) & 0xFFFF
        if 0 < step < MAX_DROPOUT:
            self.highest = highest + step
            self._seen = (self._seen << step | 1) & _MASK
            self.received += 1
            self._bad = -1
            return Arrival.NEW
        back = -step & 0xFFFF
        if back > MAX_MISORDER or back > highest:
            return self._far(sequence)
        if self._seen >> back & 1:
            self.duplicates += 1
            return Arrival.DUPLICATE
        self._seen |= 1 << back
        self.received += 1
        self.reordered += 1
        if highest - back < self._base:
            self._base = highest - back
        return Arrival.REORDERED

    def _far(self, sequence: int) -> Arrival:
        if sequence != self._bad:
            self._bad = (sequence + 1) & 0xFFFF
            return Arrival.REJECTED
        lost = max(self.lost, 0)
        received = self.received
        self._restart(sequence)
        self.received = received + 1
        self._base = self.highest + 1 - self.received - lost
        return Arrival.RESTARTED

    def _restart(self, sequence: int) -> None:
        self.highest = self._base = sequence + FIRST_CYCLE
        self.received = 1
        self._seen = 1
        self._bad = -1
        self._last_transit = None

    def measure(self, timestamp: int, now: float) -> None:
        """Take a packet's time into the jitter; not for packets out of order, nor for those of
        telephone events, whose timestamp stands still."""
        transit = now * RATE - timestamp
        last = self._last_transit
        self._last_transit = transit
        if last is None:
            return
        step = abs(transit - last) % (1 << 32)
        if step > 1 << 31:
            step = (1 << 32) - step
        if step < RATE * 4:
            self._jitter += (step - self._jitter) / 16

    @property
    def jitter(self) -> int:
        """The interarrival jitter in timestamp units."""
        return int(self._jitter)

    @property
    def jitter_ms(self) -> float:
        return self._jitter * 1000 / RATE

    @property
    def expected(self) -> int:
        """Packets that should have come."""
        return self.highest - self._base + 1 if self.highest >= 0 else 0

    @property
    def lost(self) -> int:
        """Packets that did not come."""
        return self.expected - self.received

    @property
    def has_news(self) -> bool:
        """Whether a packet came since the last report."""
        return self.received != self._received_before

    def report_interval(self) -> int:
        """The fraction lost since the last call, in 256ths, and the start of a new interval."""
        expected = self.expected - self._expected_before
        received = self.received - self._received_before
        self._expected_before = self.expected
        self._received_before = self.received
        lost = expected - received
        return min(lost * 256 // expected, 255) if expected > 0 and lost > 0 else 0
