"""Settings of one route: which links carry a message, and which messages take it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from msgspec import Meta

from config.links import LinkSettings
from config.section import Section

RouteName = Annotated[str, Meta(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*\Z", max_length=32)]
LinkText = Annotated[
    str, Meta(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*(:[0-9]{1,4}(:[0-9])?)?\Z", max_length=40)
]
"""A link's name, with its weight and standby tier if need be: `acme`, `acme:3`, `acme:1:2`."""


class RouteLink(Section, frozen=True):
    """A link of a route: its weight among those of its tier, and the tier, the lowest first."""

    link: RouteName
    weight: Annotated[int, Meta(ge=1, le=1_000)] = 1
    standby: Annotated[int, Meta(ge=0, le=9)] = 0


class RouteSettings(Section, frozen=True):
    """A route. Empty `numbers`, `prefixes`, `carriers` and `categories` set no condition."""

    name: RouteName
    links: tuple[RouteLink | LinkText, ...]
    numbers: tuple[Annotated[str, Meta(min_length=1, max_length=32)], ...] = ()
    prefixes: tuple[Annotated[str, Meta(pattern=r"^\+[0-9]{1,15}\Z")], ...] = ()
    carriers: tuple[Annotated[str, Meta(min_length=1, max_length=64)], ...] = ()
    categories: tuple[Literal["transactional", "marketing", "service"], ...] = ()
    cost: Annotated[float, Meta(ge=0, le=1_000_000)] = 0.0
    overflow_s: Annotated[float, Meta(ge=0, le=604_800)] = 5.0

    @property
    def members(self) -> tuple[RouteLink, ...]:
        """The links, however they were written."""
        return tuple(read_link(link) for link in self.links)

    @property
    def homes(self) -> tuple[str, ...]:
        """Whose numbers may use it: of a link or route, or single numbers."""
        return self.numbers or (self.name,)


def read_link(link: RouteLink | str) -> RouteLink:
    """`acme:3:1` is link acme with weight 3 in tier 1."""
    if isinstance(link, RouteLink):
        return link
    name, _, rest = link.partition(":")
    weight, _, standby = rest.partition(":")
    return RouteLink(link=name, weight=int(weight or 1), standby=int(standby or 0))


def effective_routes(
    routes: Sequence[RouteSettings], links: Sequence[LinkSettings]
) -> tuple[RouteSettings, ...]:
    """The routes of the settings in their order, and one of its own name for each other link."""
    named = {route.name for route in routes}
    own = [
        RouteSettings(name=link.name, links=(RouteLink(link=link.name),))
        for link in links
        if link.name not in named
    ]
    return (*routes, *own)
