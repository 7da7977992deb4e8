"""One schedule for the packets of all calls.

Time is cut into ticks of 5 ms, counted from one moment, so that errors never add up. Each member
has its turn every few ticks; members are spread evenly over the ticks, so that no tick has much
more to do than another. A process that was held up makes up for at most 40 ms of a call; what
is beyond that is left out, and the tick's number says so: timestamps are computed from it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

TICK_S: Final = 0.005
TICK_SAMPLES: Final = 40
SLOTS: Final = 24
"""The least common multiple of all periods, in ticks."""
PERIODS: Final = {10: 2, 20: 4, 30: 6, 40: 8, 60: 12}
"""Ticks between two packets of so many milliseconds."""
MAX_BEHIND: Final = 8
"""Ticks that are made up for; two packets of 20 ms."""

Turn: TypeAlias = Callable[[int], object]
"""Called with the number of the tick."""


class Wheel:
    """Turns on ticks. `now` at construction is tick 0."""

    __slots__ = ("_members", "_slots", "_start", "next_tick", "skipped")

    def __init__(self, now: float) -> None:
        self._start = now
        self._slots: list[dict[int, Turn]] = [{} for _ in range(SLOTS)]
        self._members: dict[int, tuple[int, int]] = {}
        self.next_tick = 0
        self.skipped = 0
        """Ticks left out since the start."""

    def __len__(self) -> int:
        return len(self._members)

    def due(self) -> float:
        """When the next tick is."""
        return self._start + self.next_tick * TICK_S

    def tick_at(self, now: float) -> int:
        """The number of the tick at a moment."""
        return int((now - self._start) / TICK_S + 1e-6)

    def add(self, key: int, period: int, turn: Turn) -> None:
        """Give `turn` a call every `period` ticks, a divisor of SLOTS, until `remove(key)`. An
        earlier member of that key makes way."""
        self.remove(key)
        slots = self._slots
        phase = min(range(period), key=lambda n: len(slots[n]))
        for n in range(phase, SLOTS, period):
            slots[n][key] = turn
        self._members[key] = (phase, period)

    def remove(self, key: int) -> None:
        """End a member's turns, at once."""
        member = self._members.pop(key, None)
        if member is not None:
            for n in range(member[0], SLOTS, member[1]):
                del self._slots[n][key]

    def resume(self, now: float) -> None:
        """Go on from this moment after a rest without members; nothing is made up for."""
        self.next_tick = max(self.next_tick, self.tick_at(now) + 1)

    def run(self, now: float) -> int:
        """Give all turns up to `now`; returns how many ticks that were."""
        last = self.tick_at(now)
        behind = last - self.next_tick
        if behind >= MAX_BEHIND:
            left_out = behind - MAX_BEHIND + 1
            self.skipped += left_out
            self.next_tick += left_out
        count = 0
        while self.next_tick <= last:
            tick = self.next_tick
            slot = self._slots[tick % SLOTS]
            self.next_tick = tick + 1
            for key, turn in tuple(slot.items()):
                if key in slot:
                    turn(tick)
            count += 1
        return count
