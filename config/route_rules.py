"""Rules about routes, among each other and with the links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from config.breach import Breach
from config.routes import RouteSettings, read_link

if TYPE_CHECKING:
    from config.settings import Settings

_HOME = re.compile(r"\+[1-9][0-9]{7,14}|[0-9]{5,6}|(?![0-9]+\Z)[a-z0-9]+(-[a-z0-9]+)*")
"""A number as shops have it, or the name of a link or route."""

RESERVED_NAMES = frozenset({"email", "mail", "voice"})
"""Names that the gateway uses for its own ways out."""


def routes_are_sound(settings: Settings) -> Iterator[Breach]:
    """Every route has links, all of them known and each once, and conditions that can be met."""
    links = {link.name for link in settings.links}
    seen: dict[str, int] = {}
    for index, route in enumerate(settings.routes):
        first = seen.setdefault(route.name, index)
        if first != index and route.name:
            yield Breach(
                ("routes", index, "name"),
                f'routes[{first}] is named "{route.name}" too',
                others=(("routes", first, "name"),),
            )
        yield from _name(route, index, links)
        yield from _links(route, index, links)
        yield from _conditions(route, index)
        yield from _numbers(route, index, links | set(seen))


def _name(route: RouteSettings, index: int, links: set[str]) -> Iterator[Breach]:
    path = ("routes", index, "name")
    if route.name in RESERVED_NAMES:
        yield Breach(path, f'"{route.name}" is a name of the gateway itself', "choose another")
    if route.name in links and all(route.name != link.link for link in route.members):
        yield Breach(
            path,
            f'"{route.name}" is a link, and this route does not use it',
            "name the link among the route's links, or choose another name",
            (("routes", index, "links"),),
        )


def _links(route: RouteSettings, index: int, known: set[str]) -> Iterator[Breach]:
    path = ("routes", index, "links")
    if not route.links:
        hint = 'like links = [{ link = "acme" }]'
        yield Breach(path, "a route needs at least one link", hint)
    names = [read_link(link).link for link in route.links]
    for name in dict.fromkeys(names):
        if name not in known:
            hint = f"links: {', '.join(sorted(known))}" if known else "add it under [[links]]"
            yield Breach(path, f'there is no link "{name}"', hint, (("links",),))
        if names.count(name) > 1:
            yield Breach(path, f'link "{name}" is named more than once', "give it one weight")
    for link in route.members:
        if not 1 <= link.weight <= 1_000:
            yield Breach(path, f"the weight of {link.link} is not from 1 to 1000")


def _conditions(route: RouteSettings, index: int) -> Iterator[Breach]:
    for key in ("numbers", "prefixes", "carriers", "categories"):
        values: tuple[str, ...] = getattr(route, key)
        folded = [value.casefold().strip() for value in values]
        double = next((v for v in folded if folded.count(v) > 1), None)
        if double is not None:
            yield Breach(("routes", index, key), f'"{double}" is there more than once')
        if "" in folded:
            yield Breach(("routes", index, key), "one is blank")


def _numbers(route: RouteSettings, index: int, names: set[str]) -> Iterator[Breach]:
    """Numbers are written as shops have them. A name that no link has may be that of an earlier
    one, whose numbers the route carries.
    """
    for number in route.numbers:
        if number.strip() and number not in names and not _HOME.fullmatch(number):
            hint = 'like "+12125550150" or "12345"; or the name of the link or route that it has'
            yield Breach(("routes", index, "numbers"), f'"{number}" is no number of a shop', hint)
