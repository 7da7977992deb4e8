"""How fast a link may send: its agreed rate, the carrier's throttling, and how much it may have in
hand. No clock of its own.
"""

from __future__ import annotations

import random

IN_HAND_S = 0.02
"""Traffic that a link may hold in memory besides its window: what is in doubt after a crash grows
with it.
"""

_PAUSE_MIN_S = 0.5
_PAUSE_MAX_S = 30.0
_BURST_S = 0.1
_NEARLY_CONGESTED = 80
_CONGESTED = 90


def backoff_s(tries: int, shortest_s: float, longest_s: float) -> float:
    """How long to wait after `tries` failures: doubling, with jitter of up to a half so that the
    many do not come at once.
    """
    full = min(shortest_s * 2.0 ** min(tries - 1, 30), longest_s)
    return full * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing


class Bucket:
    """A token bucket in segments a second; 0 is no limit."""

    __slots__ = ("_rate", "_tokens", "_updated")

    def __init__(self, rate: float, now: float) -> None:
        self._rate = rate
        self._tokens = self._most
        self._updated = now

    @property
    def _most(self) -> float:
        return max(1.0, self._rate * _BURST_S)

    def available(self, now: float) -> int:
        """How many segments may go now."""
        if not self._rate:
            return 1 << 30
        self._tokens = min(self._most, self._tokens + (now - self._updated) * self._rate)
        self._updated = now
        return int(self._tokens)

    def set_rate(self, rate: float, now: float) -> None:
        """Another rate from now on."""
        if rate != self._rate:
            self.available(now)
            self._rate = rate
            self._tokens = min(self._tokens, self._most)

    def take(self) -> None:
        """One segment goes. Call only with one `available`."""
        if self._rate:
            self._tokens -= 1

    def wait_s(self) -> float:
        """Until the next segment may go, after `available` said 0."""
        return (1.0 - self._tokens) / self._rate if self._rate else 0.0


class Throttle:
    """Backs off when the carrier says it is too much: a pause that doubles, and a window that
    halves and grows back.

    A pause begins with the first refusal; refusals of what was already on its way belong to it and
    do not lengthen it. A carrier that tells how busy it is (SMPP v5.0 section 4.8.4.18) need not
    refuse: the window shrinks by a quarter for each windowful of answers that say it is congested,
    and does not grow while they say it nearly is.
    """

    __slots__ = ("_full", "_pauses", "_steady", "until", "window")

    def __init__(self, window: int) -> None:
        self._full = window
        self._pauses = 0
        self._steady = 0
        """Answers to come for which the window stays as it is."""
        self.window = window
        self.until = 0.0

    def is_paused(self, now: float) -> bool:
        """Whether nothing may be sent now."""
        return now < self.until

    def refused(self, now: float) -> bool:
        """The carrier refused for the load. True when a new pause begins, to last until `until`."""
        if self.is_paused(now):
            return False
        self._pauses += 1
        self.window = max(1, self.window // 2)
        self.until = now + backoff_s(self._pauses, _PAUSE_MIN_S, _PAUSE_MAX_S)
        return True

    def begin_slowly(self) -> None:
        """One segment first; each that is taken lets one more go."""
        self.window = 1

    def told(self, congestion: int) -> None:
        """The carrier said how busy it is, 0 to 99, with the answer to a segment."""
        if congestion >= _CONGESTED and self._steady <= 0:
            self.window = max(1, self.window * 3 // 4)
            self._steady = self.window
        elif congestion >= _NEARLY_CONGESTED:
            self._steady = max(self._steady, 1)

    def accepted(self, count: int = 1) -> None:
        """The carrier took so many segments."""
        self._pauses = 0
        if self._steady > 0:
            self._steady -= count
        elif self.window < self._full:
            self.window = min(self.window + count, self._full)


class Suspension:
    """Takes a link out of use when the carrier refuses the account, and tries it again after pauses
    that grow, with one message.
    """

    __slots__ = ("_count", "_longest_s", "_shortest_s", "error", "until")

    def __init__(self, shortest_s: float, longest_s: float) -> None:
        self._shortest_s = shortest_s
        self._longest_s = longest_s
        self._count = 0
        self.until = 0.0
        self.error = ""

    def is_on(self, now: float) -> bool:
        """Whether the link is out of use now."""
        return now < self.until

    def refused(self, now: float, error: str) -> bool:
        """The carrier refused the account. True when a new pause begins, to last until `until`."""
        if self.is_on(now):
            return False
        self._count += 1
        self.error = error
        self.until = now + backoff_s(self._count, self._shortest_s, self._longest_s)
        return True

    def accepted(self) -> None:
        """The carrier took a segment."""
        self._count = 0


class Meter:
    """Segments a second, lately: a moving average over a few tenths of a second."""

    __slots__ = ("_count", "_since", "rate")

    _STEP_S = 0.05

    def __init__(self, now: float) -> None:
        self._count = 0
        self._since = now
        self.rate = 0.0

    def add(self, count: int = 1) -> None:
        """So many segments were answered."""
        self._count += count

    def update(self, now: float) -> float:
        """The rate now."""
        passed = now - self._since
        if passed >= self._STEP_S:
            keep = 0.7 ** (passed / self._STEP_S)
            self.rate = self.rate * keep + self._count / passed * (1.0 - keep)
            self._count = 0
            self._since = now
        return self.rate


class DialPace:
    """Spreads connecting over time: links that were lost together do not all dial at once."""

    __slots__ = ("_burst", "_free_at", "_step_s")

    def __init__(self, per_second: float = 50.0, burst: int = 5) -> None:
        """Up to `burst` at once, then so many a second."""
        self._step_s = 1.0 / per_second
        self._burst = burst
        self._free_at = 0.0

    def wait_s(self, now: float) -> float:
        """Take the next place; returns how long to wait for it."""
        self._free_at = max(self._free_at, now - self._burst * self._step_s) + self._step_s
        return max(0.0, self._free_at - now)
