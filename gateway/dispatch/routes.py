"""What messages wait for: routes, with their ranks on this node, and the links that serve them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from math import inf
from typing import Protocol

from gateway.dispatch.members import Grant, Link, Member, Way, able, divide, grant, takers
from gateway.dispatch.ranking import Ranker, lane_of
from gateway.model import Lane

__all__ = ["Link", "Member", "Route", "Routes", "Serving", "Way"]

OVERFLOW_S = 5.0


class Route:
    """One route as this node sees it.

    `members` are the links of this node that serve it, by tier. `has_link`: whether its settings
    name one, which another process may run. `overflow_s`: how long messages may wait for links of
    one tier that have no room for them before the next tier helps.
    """

    __slots__ = (
        "_clock",
        "_only",
        "_queued",
        "backlog",
        "elsewhere",
        "has_link",
        "id",
        "is_served_elsewhere",
        "members",
        "name",
        "overflow_s",
        "ranker",
        "wake",
    )

    def __init__(
        self, id_: int, name: str, ranker: Ranker, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.id = id_
        self.name = name
        self.ranker = ranker
        self.members: tuple[Member, ...] = ()
        self.has_link = False
        self.is_served_elsewhere = False
        """Whether a process with other settings runs a link of it, as of the last poll."""
        self.elsewhere: frozenset[int] = frozenset()
        """Links that other nodes have bound, as of the last poll."""
        self.overflow_s = OVERFLOW_S
        self.wake: Wake = _nobody
        self.backlog: float = inf
        """How many messages this node's writer queued that no claim has taken, once a claim has
        found the queue's end; until then nobody knows.
        """
        self._queued = 0
        self._only: Member | None = None
        self._clock = clock

    @property
    def is_served(self) -> bool:
        """Whether messages may wait for it: some process has a link of it."""
        return self.has_link or self.is_served_elsewhere

    # The links -----------------------------------------------------------------------------------

    def add_link(self, way: Way, weight: int = 1, standby: int = 0) -> Member:
        """Let a link of this node serve the route, beside those of its tier by its weight."""
        member = Member(way, weight, standby)
        peers = [m.served for m in self.members if m.standby == standby]
        member.served = max(peers, default=0.0)
        self._set_members((*self.members, member))
        return member

    def remove_link(self, member: Member) -> None:
        """The link serves the route no more. What it had not claimed is the others' now."""
        self._set_members(tuple(each for each in self.members if each is not member))
        self.reset()
        for each in self.members:
            each.has_pinned = each.cursors.may_have = True
        self.wake()

    def _set_members(self, members: tuple[Member, ...]) -> None:
        self.members = tuple(sorted(members, key=lambda member: member.standby))
        self._only = members[0] if len(members) == 1 else None
        self.wake = _nobody if not members else self._wake_all
        if self._only is not None:
            self.wake = self._only.way.wake

    def _wake_all(self) -> None:
        for member in self.members:
            member.way.wake()

    def _able(self) -> list[Member]:
        return able(self.members, self.overflow_s, self._clock(), self.elsewhere)

    # What waits ----------------------------------------------------------------------------------

    def inserted(self, rank: int, pin: int | None = None) -> None:
        """A message of this rank was put into the queue, by this node or another. `pin`: who has to
        take it, or who should not (`members.grant`).
        """
        if pin is None or self._only is not None:
            for member in self.members:
                member.cursors.inserted(rank)
            return
        if pin > 0:
            named = [m for m in self.members if m.id == pin and m.holds_pins] or self.members
        else:
            named = [member for member in self._able() if member.id != -pin] or self.members
        for member in named:
            member.cursors.inserted(rank)
            member.has_pinned = True

    def look_for_pinned(self) -> None:
        """Messages may wait in the queue that one link alone may take, or all but one."""
        for member in self.members:
            member.has_pinned = True

    def others_keep_up(self) -> None:
        """Nothing has waited long in the queue, as of the last poll: links that only other nodes
        have bound, which do not tell this one what they claim, keep up.
        """
        for member in self.members:
            if not member.way.link.is_usable():
                member.late_since = None
                member.cursors.may_have = False

    def reset(self) -> None:
        """Claims start at the front again, for what may have been missed. Once a second."""
        for member in self.members:
            member.cursors.reset()

    def queued(self, rank: int) -> None:
        """This node's writer queued a message of this rank."""
        self._queued += 1
        self.backlog += 1
        for member in self.members:
            member.cursors.inserted(rank)

    # Claims --------------------------------------------------------------------------------------

    def grant(self, member: Member, room: int) -> Grant:
        """What a link may claim now with this much room; nothing when the count is 0."""
        if self._only is not None:
            return Grant(room if member.cursors.may_have else 0)
        return grant(member, self.members, self._able(), room)

    def begin_claim(self, member: Member, granted: Grant) -> list[int]:
        """A link's claim begins; returns where, by lane. One at a time for each link."""
        if granted.pinned:
            member.has_pinned = False
            return []
        member.mark = self._queued
        return member.cursors.begin()

    def forget_claim(self, member: Member, granted: Grant) -> None:
        """Nobody knows what the claim found."""
        member.has_pinned |= bool(granted.pinned)

    def end_claim(self, member: Member, granted: Grant, ranks: list[int]) -> None:
        """The claim found these ranks."""
        asked, found = granted.count, len(ranks)
        if granted.pinned:
            member.has_pinned |= found >= asked
            return
        member.cursors.end(asked, ranks)
        member.served += found / member.weight
        if found >= asked:
            self.backlog = max(self.backlog - found, 0)
        else:
            self.backlog = self._queued - member.mark
        if not member.cursors.may_have:
            member.late_since = None
        if self._only is None:
            for other in self.members:
                if other is not member and other.cursors.may_have:
                    other.way.wake()

    # Past the queue ------------------------------------------------------------------------------

    def direct_room(self) -> int:
        """How many new messages may skip the queue: none for a link for which anything older may
        wait in it.
        """
        only = self._only
        if only is not None:
            return 0 if only.cursors.may_have else only.way.free()
        if not self.members:
            return 0
        return sum(member.way.free() for member in takers(self._able()))

    def next_link(self) -> str | None:
        """The link that would carry a message now, by name; None while none is able."""
        ready = self._able()
        first = [member for member in ready if member.standby == ready[0].standby]
        return min(first, key=_served).way.link.name if first else None

    def share(self, count: int) -> list[tuple[Member, int]]:
        """Which links take that many new messages; none where there is none to take them."""
        if self._only is not None:
            return [(self._only, count)]
        return divide(count, takers(self._able()))


@dataclass(frozen=True, slots=True)
class Serving:
    """That a link serves a route: its weight among those of the same tier, and which tier."""

    route: Route
    weight: int = 1
    standby: int = 0


def _served(member: Member) -> float:
    return member.served


class Wake(Protocol):
    """Tells whoever claims from a route that there is something."""

    def __call__(self) -> None: ...


def _nobody() -> None:
    """A route that no link of this node serves has nobody to wake."""


class Routes:
    """All routes, by id. A route appears here with its first number or link, and never goes."""

    def __init__(
        self,
        virtual_times: Iterable[tuple[int, int, int]] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`virtual_times`: route, lane and the rank last claimed, as the store saved them."""
        self._clock = clock
        self._saved: dict[int, dict[int, int]] = {}
        for route, lane, rank in virtual_times:
            self._saved.setdefault(route, {})[lane] = rank
        self._routes: dict[int, Route] = {}
        self._advanced: set[tuple[int, Lane]] = set()

    def get(self, id_: int, name: str = "") -> Route:
        """The route with this id; made when it is new."""
        route = self._routes.get(id_)
        if route is None:
            route = self._routes[id_] = Route(
                id_, name, Ranker(self._saved.get(id_)), self._clock
            )
        return route

    def claimed(self, route: Route, rank: int) -> None:
        """A message of this rank was claimed from the route, or handed over directly."""
        route.ranker.claimed(rank)
        self._advanced.add((route.id, lane_of(rank)))

    def take_advanced(self) -> list[tuple[int, int, int]]:
        """Route, lane and present of what was claimed from since the last call, to be saved."""
        advanced, self._advanced = self._advanced, set()
        return [(id_, lane, self._routes[id_].ranker.now[lane]) for id_, lane in advanced]

    def __iter__(self) -> Iterator[Route]:
        return iter(self._routes.values())
