"""Work in small steps, for an event loop that nothing may hold up.

A thread would not do for it: one that computes takes the interpreter at each system call of the
event loop, which then waits for its turn, and again at the next.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

T = TypeVar("T")

Steps = Generator[None, None, T]
"""Does a little of the work each time it is asked for the next, far less than a millisecond; what
comes of it is returned."""


def at_once(steps: Steps[T]) -> T:
    """All of the work."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            done: T = end.value
            return done
