"""The segments that carriers took lately, by the ids that they gave them.

Most receipts come within seconds of the text: their segments are found here, without asking the
store. What is not here is looked for there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from gateway.model import State

_SHORTEST_NUMBER = 7

RECENT_MAX = 50_000


class Sent(NamedTuple):
    """A segment that was sent: what a receipt needs to know of it."""

    id: int
    segment: int
    state: State
    target: str
    shop: int
    segments: int
    """Of the whole message."""
    carrier: str
    """The id that the carrier gave it, in its normal form."""


class RecentIds:
    """The last segments of this process's links; at most twice `most`, no less than `most`."""

    __slots__ = ("_most", "_old", "_young")

    def __init__(self, most: int = RECENT_MAX) -> None:
        self._most = most
        self._young: dict[tuple[int, str], Sent] = {}
        self._old: dict[tuple[int, str], Sent] = {}

    def add(self, link: int, carrier: str, sent: Sent) -> None:
        """This was committed. An id that comes again stands for the newest."""
        if len(self._young) >= self._most:
            self._old, self._young = self._young, {}
        self._young[link, carrier] = sent

    def find(
        self, link: int, forms: Sequence[str], phone: str, likely: str | None = None
    ) -> Sent | None:
        """The newest segment to this phone; with `likely` only one of that id will do.

        None where there is none here: the store may know more.
        """
        young, old = self._young, self._old
        found: list[Sent] = []
        for form in forms if likely is None else (likely,):
            key = (link, form)
            sent = young.get(key) or old.get(key)
            if sent is not None:
                found.append(sent)
        if len(found) == 1:
            return found[0] if is_same_phone(found[0].target, phone) else None
        return choose(found, phone, None) if found else None

    def forget(self, link: int, forms: Iterable[str]) -> None:
        """A receipt settled what these ids stand for: what comes after it, the store judges."""
        for form in forms:
            self._young.pop((link, form), None)
            self._old.pop((link, form), None)


def choose(segments: Iterable[Sent], phone: str, likely: str | None) -> Sent | None:
    """The newest of the segments that were sent to this phone; those with the id `likely`, if there
    are any, go before.
    """
    fitting = [sent for sent in segments if is_same_phone(sent.target, phone)]
    return max(fitting, key=lambda sent: (sent.carrier == likely, sent), default=None)


def is_same_phone(target: str, digits: str) -> bool:
    """Whether a receipt's destination can be the target, written in full or in national form.

    One with fewer than 7 digits says nothing and matches: the carrier's id then decides alone.
    """
    if len(digits) < _SHORTEST_NUMBER:
        return True
    full = target.removeprefix("+")
    return full.endswith(digits) or digits.endswith(full)
