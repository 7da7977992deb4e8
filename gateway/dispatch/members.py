"""How the links of one route share its messages.

Links of the lowest standby tier that is able to send have the route to themselves; the next tier
helps only while nobody below it is usable, or keeps up. Within a tier the links share by weight, as
long as each has room: one that has none is never waited for.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Protocol

from gateway.dispatch.flights import Outgoing
from gateway.dispatch.ranking import Cursors


class Link(Protocol):
    """What dispatch needs of a way out."""

    @property
    def id(self) -> int:
        """Its row in the store."""

    @property
    def name(self) -> str:
        """As the settings have it."""

    def room(self) -> int:
        """How many more messages it would take now: what its window has free, and at most 20 ms of
        its traffic besides.
        """

    def take(self, messages: list[Outgoing]) -> None:
        """Send these, in this order. They are in a committed flight."""

    def is_usable(self) -> bool:
        """Whether it could send at all: bound, not paused, not stopped, below its daily cap."""

    @property
    def is_stopped(self) -> bool:
        """Whether an operator told it to rest: nobody knows for how long."""


class Way:
    """A link as dispatch uses it, whatever routes it serves. `reserved`: messages that are about
    to be given to it; `wake` tells whoever claims for it that there may be something.
    """

    __slots__ = ("link", "reserved", "wake")

    def __init__(self, link: Link, wake: Callable[[], None]) -> None:
        self.link = link
        self.reserved = 0
        self.wake = wake

    def free(self) -> int:
        """How many messages it would take besides those promised to it."""
        return max(self.link.room() - self.reserved, 0)


class Member:
    """One link's part in one route, with the cursors of its claims there."""

    __slots__ = (
        "cursors",
        "has_pinned",
        "late_since",
        "mark",
        "served",
        "standby",
        "way",
        "weight",
    )

    def __init__(self, way: Way, weight: int, standby: int) -> None:
        self.way = way
        self.weight = weight
        self.standby = standby
        self.cursors = Cursors()
        self.has_pinned = True
        """Whether messages may wait that only it may take, although it is not its turn."""
        self.served = 0.0
        """How many messages it got in turn with others, divided by its weight."""
        self.late_since: float | None = None
        """Since when messages have waited for it without a break, as far as anyone looked."""
        self.mark = 0
        """How many messages this node had ever queued for the route when its claim began."""

    @property
    def id(self) -> int:
        """The link's row in the store."""
        return self.way.link.id

    @property
    def holds_pins(self) -> bool:
        """Whether messages of which it has taken a part wait for it."""
        return not self.way.link.is_stopped


@dataclass(frozen=True, slots=True)
class Grant:
    """What a link may claim now: up to `count` messages, but none whose pin is in `passed_over`;
    or only those whose pin is in `pinned`, when it is not its turn.
    """

    count: int
    passed_over: tuple[int, ...] = ()
    pinned: tuple[int, ...] = ()


def able(
    members: Iterable[Member],
    overflow_s: float,
    now: float,
    elsewhere: Collection[int] = (),
) -> list[Member]:
    """The members, given by tier, that can send and keep up, or have been behind for no longer
    than `overflow_s`. `elsewhere`: links that other nodes have bound, which claim there.
    """
    found: list[Member] = []
    for member in members:
        if not member.way.link.is_usable() and member.id not in elsewhere:
            member.late_since = None
            continue
        has_turn = not found or found[0].standby >= member.standby
        if not (member.cursors.may_have if has_turn else member.has_pinned):
            member.late_since = None
        elif member.late_since is None:
            member.late_since = now
        if member.late_since is None or now - member.late_since <= overflow_s:
            found.append(member)
    return found


def grant(member: Member, members: Sequence[Member], ready: Sequence[Member], room: int) -> Grant:
    """What one of several members may claim; a count of 0: nothing now. `ready` are the able ones.

    A pin above 0 names the only link that may take a message, as it has taken a part of it, unless
    an operator stopped it; one below 0 the link that should not, as it has refused it, unless no
    other is able.
    """
    if any(other.standby < member.standby for other in ready):
        if not member.has_pinned:
            return Grant(0)
        refused = [-other.id for other in members if _is_next(member, other, ready)]
        return Grant(room, pinned=(member.id, *refused))
    if not member.cursors.may_have:
        return Grant(0)
    passed_over = [other.id for other in members if other is not member and other.holds_pins]
    if any(other is not member for other in ready):
        passed_over.append(-member.id)
    return Grant(_turn(member, members, room), passed_over=tuple(passed_over))


def _is_next(member: Member, refuser: Member, ready: Sequence[Member]) -> bool:
    """Whether what `refuser` refused is for `member`: nobody else comes before it."""
    return refuser is not member and not any(
        other.standby < member.standby for other in ready if other is not refuser
    )


def _turn(member: Member, members: Sequence[Member], room: int) -> int:
    """How much of `room` is its turn among the peers that have room for what waits.

    Nobody is ever more than a round behind, so that a link that comes back takes its share and no
    more, nor more than a round ahead.
    """
    rooms = {
        peer: free
        for peer in members
        if peer is not member
        and peer.standby == member.standby
        and peer.cursors.may_have
        and peer.way.link.is_usable()
        and (free := peer.way.free())
    }
    if not rooms:
        return room
    weights = member.weight + sum(peer.weight for peer in rooms)
    one_round = max((room + sum(rooms.values())) / weights, 1.0)
    _catch_up([member, *rooms], one_round)
    least = min(peer.served for peer in rooms)
    turn = ceil((least + one_round - member.served) * member.weight - 1e-9)
    if turn <= 0:
        for peer in rooms:
            peer.way.wake()
    return max(min(room, turn), 0)


def _catch_up(members: Sequence[Member], one_round: float) -> None:
    """Forget what lies further back than a round."""
    most = max(member.served for member in members)
    for member in members:
        member.served = max(member.served, most - one_round)


def takers(ready: Sequence[Member]) -> list[Member]:
    """Those that may be given new messages at once: of the lowest tier that is able, with room, and
    nothing older waiting for them.
    """
    return [
        member
        for member in ready
        if member.standby == ready[0].standby
        and not member.cursors.may_have
        and member.way.free()
    ]


def divide(count: int, members: Sequence[Member]) -> list[tuple[Member, int]]:
    """Share out messages by weight, as far as each has room; the first gets what nobody has room
    for, since room is an estimate. Nothing where there are no members.
    """
    if not members:
        return []
    rooms = {member: member.way.free() for member in members}
    parts = dict.fromkeys(members, 0)
    weights = sum(member.weight for member in members)
    _catch_up(members, max(count / weights, 1.0))
    while count:
        open_ = [member for member in members if rooms[member] > parts[member]]
        if not open_:
            parts[members[0]] += count
            break
        member = min(open_, key=_served)
        step = max(member.weight * count // (2 * weights), 1)
        step = min(step, count, rooms[member] - parts[member])
        parts[member] += step
        member.served += step / member.weight
        count -= step
    return [(member, part) for member, part in parts.items() if part]


def _served(member: Member) -> float:
    return member.served
