"""Messages on their way: claimed batches (`Flight`), and what is known of each message in them
(`Outgoing`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from gateway.model import Category, Channel


class Fate(IntEnum):
    """What was learned of a message that cannot simply go on to its next segment."""

    FAILED = 1
    AGAIN = 2


@dataclass(slots=True)
class Flight:
    """A claimed batch. Its row lives until each of its messages is answered for."""

    id: int
    left: int


@dataclass(slots=True, eq=False)
class Outgoing:
    """A message that a link has in hand.

    `waiting` are the segments not yet handed to the socket, `outstanding` counts those handed over
    and not answered so far. The link moves segments along; `Settler` is told and decides when the
    message is done. `tries` counts this attempt. `pin`, if it goes back: the link that has taken a
    part of it and shall have the rest, or below 0 the one that refused it and should not.
    """

    id: int
    shop: int
    route: int
    channel: Channel
    category: Category
    rank: int
    tries: int
    sender: str
    target: str
    body: str
    encoding: int
    segments: int
    expires_ms: int
    parent: int | None
    flight: Flight
    answered: tuple[int, ...] = ()
    waiting: list[Any] = field(default_factory=list)
    outstanding: int = 0
    fate: Fate | None = None
    delay_s: float = 0.0
    pin: int | None = None


class Flights:
    """The flights of this process that live, so that any other row of this node and epoch is known
    to be an orphan.
    """

    __slots__ = ("_live",)

    def __init__(self) -> None:
        self._live: set[int] = set()

    def begin(self, flight: int) -> None:
        """A flight row may exist from now on."""
        self._live.add(flight)

    def forget(self, flight: int) -> None:
        """Nothing in memory answers for the flight any more: if its row exists, it is an orphan."""
        self._live.discard(flight)

    def __iter__(self) -> Iterator[int]:
        return iter(self._live)

    def __len__(self) -> int:
        return len(self._live)
