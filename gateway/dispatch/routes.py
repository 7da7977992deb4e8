"""What messages wait for: routes, with their ranks and cursors on this node, and the links that
serve them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import inf
from typing import Protocol

from gateway.dispatch.flights import Outgoing
from gateway.dispatch.ranking import Cursors, Ranker, lane_of
from gateway.model import Lane


class Link(Protocol):
    """What dispatch needs of a way out."""

    id: int
    name: str

    def room(self) -> int:
        """How many more messages it would take now: what its window has free, and at most 20 ms of
        its traffic besides.
        """

    def take(self, messages: list[Outgoing]) -> None:
        """Send these, in this order. They are in a committed flight."""


class Route:
    """One route as this node sees it. `link` is None where this node runs no link that serves it,
    `has_link` whether its settings name one, which another process may run.
    """

    __slots__ = (
        "_queued",
        "backlog",
        "cursors",
        "has_link",
        "id",
        "is_served_elsewhere",
        "link",
        "name",
        "ranker",
        "reserved",
        "wake",
    )

    def __init__(self, id_: int, name: str, ranker: Ranker) -> None:
        self.id = id_
        self.name = name
        self.ranker = ranker
        self.cursors = Cursors()
        self.link: Link | None = None
        self.has_link = False
        self.is_served_elsewhere = False
        """Whether a process with other settings runs a link of it, as of the last poll."""
        self.reserved = 0
        self.wake: Wake = _nobody
        self.backlog: float = inf
        """How many messages this node's writer queued that no claim has taken, once a claim has
        found the queue's end; until then nobody knows.
        """
        self._queued = 0

    @property
    def is_served(self) -> bool:
        """Whether messages may wait for it: some process has a link of it."""
        return self.has_link or self.is_served_elsewhere

    def queued(self, rank: int) -> None:
        """This node's writer queued a message of this rank."""
        self._queued += 1
        self.backlog += 1
        self.cursors.inserted(rank)

    def begin_claim(self) -> list[int]:
        """A claim begins; returns where, by lane. One at a time."""
        self._queued = 0
        return self.cursors.begin()

    def end_claim(self, asked: int, ranks: list[int]) -> None:
        """The claim of up to `asked` messages found these ranks."""
        self.cursors.end(asked, ranks)
        full = len(ranks) >= asked
        self.backlog = max(self.backlog - len(ranks), 0) if full else self._queued

    def direct_room(self) -> int:
        """How many new messages may skip the queue: none while anything older may wait in it."""
        if self.link is None or self.cursors.may_have:
            return 0
        return max(self.link.room() - self.reserved, 0)


class Wake(Protocol):
    """Tells whoever claims from a route that there is something."""

    def __call__(self) -> None: ...


def _nobody() -> None:
    """A route that no link of this node serves has nobody to wake."""


class Routes:
    """All routes, by id. A route appears here with its first number or link, and never goes."""

    def __init__(self, virtual_times: Iterable[tuple[int, int, int]] = ()) -> None:
        """`virtual_times`: route, lane and the rank last claimed, as the store saved them."""
        self._saved: dict[int, dict[int, int]] = {}
        for route, lane, rank in virtual_times:
            self._saved.setdefault(route, {})[lane] = rank
        self._routes: dict[int, Route] = {}
        self._advanced: set[tuple[int, Lane]] = set()

    def get(self, id_: int, name: str = "") -> Route:
        """The route with this id; made when it is new."""
        route = self._routes.get(id_)
        if route is None:
            route = self._routes[id_] = Route(id_, name, Ranker(self._saved.get(id_)))
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
