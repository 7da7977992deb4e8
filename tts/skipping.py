"""Which engines are left alone for a while because they failed.

A few failures in a row, and an engine is skipped for a second, then two, four, up to a minute,
each time somewhat less so that nodes do not come back together; a peer that names its own time is
left alone for that. When the time is over one text tries it, the others go on skipping; a success
forgets everything. One failure alone may be the text's fault and skips nothing.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tts.engine import EngineError, Overloaded

log = logging.getLogger(__name__)

FAILURES_BEFORE_SKIP: Final = 3
FIRST_SKIP_S: Final = 1.0
LONGEST_SKIP_S: Final = 60.0


@dataclass(slots=True)
class _Record:
    failures: int = 0
    until: float = 0.0
    is_tried: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class EngineHealth:
    """How an engine does. `failures` are those since its last success."""

    name: str
    failures: int
    skipped_for_s: float
    last_reason: str


class Skipping:
    """The records of all engines. `clock` is monotonic."""

    def __init__(self, names: list[str], clock: Callable[[], float]) -> None:
        self._records = {name: _Record() for name in names}
        self._clock = clock

    def wait_s(self, name: str) -> float | None:
        """None if the engine may be tried, and then `succeeded`, `failed` or `left` must follow;
        else how long it is skipped yet."""
        record = self._records[name]
        if record.until == 0.0:
            return None
        wait_s = record.until - self._clock()
        if wait_s > 0 or record.is_tried:
            return max(wait_s, FIRST_SKIP_S)
        record.is_tried = True
        return None

    def succeeded(self, name: str) -> None:
        """It spoke."""
        self._records[name] = _Record()

    def failed(self, name: str, error: EngineError) -> None:
        """It did not. A text that it can never speak, and a full queue of ours, are not its
        fault."""
        record = self._records[name]
        was_tried, record.is_tried = record.is_tried, False
        if not error.is_temporary or isinstance(error, Overloaded):
            return
        record.failures += 1
        record.reason = str(error)
        now = self._clock()
        is_skipped = record.until > now
        if error.retry_after_s is not None:
            record.until = max(record.until, now + max(error.retry_after_s, FIRST_SKIP_S))
        elif record.failures >= FAILURES_BEFORE_SKIP and (was_tried or not is_skipped):
            record.until = now + _backoff_s(record.failures - FAILURES_BEFORE_SKIP)
        if record.until > now and not is_skipped:
            told = (name, record.until - now, record.failures, record.reason)
            log.warning("speech: %s is skipped for %.1f s after %d failures: %s", *told)

    def left(self, name: str) -> None:
        """Nobody waited for how it ended."""
        self._records[name].is_tried = False

    def health(self) -> tuple[EngineHealth, ...]:
        """How all do."""
        now = self._clock()
        return tuple(
            EngineHealth(name, each.failures, max(each.until - now, 0.0), each.reason)
            for name, each in self._records.items()
        )


def _backoff_s(times: int) -> float:
    full = min(LONGEST_SKIP_S, FIRST_SKIP_S * 2.0 ** min(times, 16))
    return full * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing
