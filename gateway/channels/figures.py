"""What a bind has done: counts since the start of the process, round trips, last errors."""

from __future__ import annotations

from collections import Counter, deque
from typing import Any

from gateway.channels.dispositions import Treatment

TRIPS_KEPT = 512
ERRORS_KEPT = 10


class Figures:
    """Figures of one bind. Cheap to count, worked out only for who asks."""

    __slots__ = (
        "_trip",
        "_tripped",
        "accepted",
        "binds",
        "errors",
        "load",
        "receipts",
        "refusals",
        "texts",
        "trips",
    )

    def __init__(self) -> None:
        self.accepted = 0
        """Segments that the carrier took."""
        self.refusals: Counter[Treatment] = Counter()
        self.receipts = 0
        self.texts = 0
        self.binds = 0
        """How often a session came to stand."""
        self.load: int | None = None
        """How busy the carrier last said it was, 0 to 99; None where it does not say."""
        self.trips: deque[float] = deque(maxlen=TRIPS_KEPT)
        """Seconds from handing a segment to the socket to its answer, lately."""
        self._trip: tuple[float, float] | None = None
        self._tripped = 0
        self.errors: deque[tuple[float, str]] = deque(maxlen=ERRORS_KEPT)
        """When (seconds since the epoch) and what; one that repeats is kept once, the last time."""

    def refused(self, treatment: Treatment) -> None:
        """The carrier refused a segment."""
        self.refusals[treatment] += 1

    def note(self, at: float, error: str) -> None:
        """Remember an error."""
        if self.errors and self.errors[-1][1] == error:
            self.errors.pop()
        self.errors.append((at, error))

    def trip_s(self) -> tuple[float, float] | None:
        """The round trip's median and 95th percentile; None before the first. Asked of all binds
        twice a second, so worked out only when there was an answer since.
        """
        answered = self.accepted + self.refusals.total()
        if self.trips and (self._trip is None or answered != self._tripped):
            ordered = sorted(self.trips)
            last = len(ordered) - 1
            self._trip = ordered[last // 2], ordered[round(last * 0.95)]
            self._tripped = answered
        return self._trip

    def record(self) -> dict[str, Any]:
        """As JSON has it."""
        trip = self.trip_s()
        return {
            "accepted": self.accepted,
            "refused": {kind.value: count for kind, count in self.refusals.items()},
            "receipts": self.receipts,
            "texts": self.texts,
            "binds": self.binds,
            "load": self.load,
            "round_trip_ms": trip and [round(each * 1000, 1) for each in trip],
            "errors": [[round(at, 3), error] for at, error in self.errors],
        }
