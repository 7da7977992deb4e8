"""How often something may happen."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

SOURCES: Final = 1_024


class TokenBucket:
    """`rate` a second in the long run, `burst` at once."""

    __slots__ = ("_burst", "_filled", "_rate", "_tokens")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._filled = now

    def take(self, now: float) -> bool:
        """Whether it may happen now; counts it if so."""
        self._fill(now)
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True

    def wait_s(self, now: float) -> float:
        """How long until `take` says yes."""
        self._fill(now)
        return max(0.0, (1.0 - self._tokens) / self._rate)

    def _fill(self, now: float) -> None:
        self._tokens = min(self._burst, self._tokens + (now - self._filled) * self._rate)
        self._filled = now


class SourceBuckets:
    """A bucket for each source; those that were silent longest make way."""

    __slots__ = ("_buckets", "_burst", "_rate", "_sources", "refused")

    def __init__(self, rate: float, burst: float, *, sources: int = SOURCES) -> None:
        self._rate = rate
        self._burst = burst
        self._sources = sources
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()
        self.refused = 0

    def take(self, source: str, now: float) -> bool:
        """Whether this source may be heard now."""
        bucket = self._buckets.get(source)
        if bucket is None:
            if len(self._buckets) >= self._sources:
                self._buckets.popitem(last=False)
            bucket = self._buckets[source] = TokenBucket(self._rate, self._burst, now)
        else:
            self._buckets.move_to_end(source)
        if bucket.take(now):
            return True
        self.refused += 1
        return False
