"""Waiting for what other processes do, with a deadline."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

DEADLINE_S = 30.0
"""After this long a test gives up waiting; nothing is measured by it."""
_LOOK_S = 0.02

T = TypeVar("T")


def eventually(look: Callable[[], T | None], what: str, timeout_s: float = DEADLINE_S) -> T:
    """The first true answer of `look`, for what has to be asked for."""
    deadline = time.monotonic() + timeout_s
    while True:
        if found := look():
            return found
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {what}"
        time.sleep(_LOOK_S)


class Seen(list[T]):
    """What a thread reports, in the order in which it came, and can be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self._changed = threading.Condition()

    def add(self, one: T) -> None:
        """Something came."""
        with self._changed:
            self.append(one)
            self._changed.notify_all()

    def until(
        self, wanted: Callable[[T], object], what: str, *, after: int = 0, count: int = 1
    ) -> list[T]:
        """The first `count` that are wanted, of what came after the first `after`."""
        with self._changed:
            deadline = time.monotonic() + DEADLINE_S
            while True:
                found = [one for one in self[after:] if wanted(one)]
                if len(found) >= count:
                    return found[:count]
                if not self._changed.wait(deadline - time.monotonic()):
                    last = "\n".join(str(one)[:500] for one in self[-12:])
                    raise AssertionError(f"not within {DEADLINE_S:g} s: {what}; last came\n{last}")
