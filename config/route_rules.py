"""Rules about routes, among each other and with the links."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from config.breach import Breach
from config.routes import RouteSettings, read_link

if TYPE_CHECKING:
    from config.settings import Settings

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
