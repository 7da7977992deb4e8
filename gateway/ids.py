"""Ids: 64 bits that sort by time, and the strings that the outside sees.

Bits, high to low: 41 of milliseconds since 2024-01-01 UTC, 10 of node number, 12 of counter.
Outside an id is a prefix and 13 characters of Crockford's base 32: `msg_0A1B2C3D4E5F6`.
"""

from __future__ import annotations

import time
from collections.abc import Callable

EPOCH_MS = 1_704_067_200_000
"""2024-01-01T00:00:00Z in milliseconds since 1970."""

NODES = 1024
_COUNTERS = 4096
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_VALUES = {c: i for i, c in enumerate(_ALPHABET)} | {"O": 0, "I": 1, "L": 1}
_LENGTH = 13
_PAIRS = [a + b for a in _ALPHABET for b in _ALPHABET]


def wall_ms() -> int:
    """The time now, in milliseconds since the epoch of Unix."""
    return time.time_ns() // 1_000_000


class IdSource:
    """Makes ids of one node: unique, and ever higher, even if the clock steps back."""

    __slots__ = ("_clock", "_counter", "_ms", "_node")

    def __init__(self, node: int, *, floor: int = 0, clock_ms: Callable[[], int] = wall_ms) -> None:
        """`node`: 0 to 1023. `floor`: the highest id known, by any node; new ones are higher."""
        if not 0 <= node < NODES:
            raise ValueError(f"node number {node} is not within 0 to {NODES - 1}")
        self._node = node << 12
        self._clock = clock_ms
        self._ms = (floor >> 22) + 1 if floor else 0
        self._counter = 0

    def next(self) -> int:
        """A new id. With the counter used up within a millisecond, the next one's is borrowed."""
        ms = self._clock() - EPOCH_MS
        if ms > self._ms:
            self._ms = ms
            self._counter = 0
        else:
            self._counter += 1
            if self._counter == _COUNTERS:
                self._ms += 1
                self._counter = 0
        return self._ms << 22 | self._node | self._counter


def created_ms(id_: int) -> int:
    """When an id was made, in milliseconds since the epoch of Unix."""
    return (id_ >> 22) + EPOCH_MS


def lowest_at(ms: int) -> int:
    """The lowest id of those made at `ms` (milliseconds since the epoch of Unix) or later."""
    return max(ms - EPOCH_MS, 0) << 22


def show(prefix: str, id_: int) -> str:
    """The string for the outside: `show("msg", 1)` is `msg_0000000000001`."""
    p = _PAIRS
    return (
        f"{prefix}_{_ALPHABET[id_ >> 60 & 15]}{p[id_ >> 50 & 1023]}{p[id_ >> 40 & 1023]}"
        f"{p[id_ >> 30 & 1023]}{p[id_ >> 20 & 1023]}{p[id_ >> 10 & 1023]}{p[id_ & 1023]}"
    )


def read(prefix: str, text: str) -> int | None:
    """The id in a string from outside, or None if it is none with this prefix.

    Lower case is read too, and O, I and L for 0, 1 and 1.
    """
    head, _, digits = text.partition("_")
    if head != prefix or len(digits) != _LENGTH or not digits.isascii():
        return None
    value = 0
    for c in digits.upper():
        digit = _VALUES.get(c)
        if digit is None:
            return None
        value = value << 5 | digit
    return value if value < 1 << 63 else None
