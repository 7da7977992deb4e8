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


Taken = tuple[int, int, str, int, int]
"""A segment that a carrier took, as it is remembered: message, segment, target, shop, and the
number of the message's segments.
"""


class RecentIds:
    """The last segments of this process's links; at most twice `most`, no less than `most`."""

    __slots__ = ("_most", "_old", "_young")

    def __init__(self, most: int = RECENT_MAX) -> None:
        self._most = most
        self._young: dict[tuple[int, str], Taken] = {}
        self._old: dict[tuple[int, str], Taken] = {}

    def add(self, link: int, carrier: str, taken: Taken) -> None:
        """This was committed. An id that comes again stands for the newest."""
        if len(self._young) >= self._most:
            self._old, self._young = self._young, {}
        self._young[link, carrier] = taken

    def find(self, link: int, forms: Sequence[str], phone: str) -> Sent | None:
        """The newest segment with the likeliest of the ids that a receipt may mean, if it went to
        this phone. None where there is none here: the store may know more.
        """
        sent = self._get(link, forms[0]) if forms else None
        return sent if sent is not None and is_same_phone(sent.target, phone) else None

    def is_ambiguous(self, link: int, forms: Iterable[str], phone: str) -> bool:
        """Whether segments to this phone have several of these ids, so that a match proves nothing
        about the form.
        """
        found = [sent for form in forms if (sent := self._get(link, form)) is not None]
        return sum(is_same_phone(sent.target, phone) for sent in found) > 1

    def _get(self, link: int, carrier: str) -> Sent | None:
        key = (link, carrier)
        taken = self._young.get(key) or self._old.get(key)
        if taken is None:
            return None
        id_, segment, target, shop, segments = taken
        return Sent(id_, segment, State.SUBMITTED, target, shop, segments, carrier)

    def forget(self, link: int, forms: Iterable[str]) -> None:
        """A receipt settled what these ids stand for: what comes after it, the store judges."""
        for form in forms:
            self._young.pop((link, form), None)
            self._old.pop((link, form), None)


def choose(segments: Iterable[Sent], phone: str, forms: Sequence[str]) -> Sent | None:
    """The segment that was sent to this phone under the likeliest of the ids, which come likeliest
    first; of several with one id the newest.
    """
    fitting = [sent for sent in segments if is_same_phone(sent.target, phone)]
    return max(fitting, key=lambda s: (-forms.index(s.carrier), s.id, s.segment), default=None)


def is_same_phone(target: str, digits: str) -> bool:
    """Whether a receipt's destination can be the target, written in full or in national form, with
    the zeros that countries dial before either.

    One with fewer than 7 digits says nothing and matches: the carrier's id then decides alone.
    """
    if len(digits) < _SHORTEST_NUMBER:
        return True
    full, bare = target.removeprefix("+"), digits.lstrip("0")
    return full.endswith(bare) or bare.endswith(full)
