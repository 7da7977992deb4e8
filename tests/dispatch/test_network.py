"""What the settings say of links and routes, as the store and this node have it."""

from __future__ import annotations

from typing import Any

from config.routes import RouteLink, RouteSettings
from config.settings import LinkSettings, MailSettings, Settings
from gateway.dispatch.network import Network
from gateway.dispatch.routes import Routes
from gateway.model import Category
from gateway.store.database import Database
from gateway.store.embedded import ConnectParameters
from tests.store.sample import opened

SERVED = """
SELECT r.name, l.name, a.weight, a.standby
FROM route_link a JOIN route r ON r.id = a.route JOIN link l ON l.id = a.link
ORDER BY r.name, a.standby, l.name
"""


def settings(*links: str, routes: tuple[RouteSettings, ...] = (), mail: str = "") -> Settings:
    """Settings with these links and routes."""
    common = {"host": "smsc.example.com", "system_id": "lab"}
    made = tuple(LinkSettings(name=name, **common) for name in links)
    return Settings(links=made, routes=routes, mail=MailSettings(host=mail))


EAST = RouteSettings(
    name="east",
    links=(RouteLink(link="acme", weight=3), "beta:1:1"),
    numbers=("acme",),
    overflow_s=2.0,
)


async def served(store: Database) -> list[tuple[Any, ...]]:
    """Which links serve which routes, as others are told."""
    return [tuple(row) for row in await store.fetch(SERVED)]


def serves(network: Network, link: str) -> list[tuple[str, int, int]]:
    """What a link is fed from."""
    return [(each.route.name, each.weight, each.standby) for each in network.serves(link)]


async def test_links_serve_the_routes_that_name_them_and_their_own(
    database: ConnectParameters,
) -> None:
    """Each with its weight and tier; the mail account serves its route alone."""
    async with opened(database) as store:
        routes = Routes()
        network = Network(routes)
        await network.load(store, settings("acme", "beta", routes=(EAST,), mail="mail.example.com"))
        assert serves(network, "acme") == [("east", 3, 0), ("acme", 1, 0)]
        assert serves(network, "beta") == [("east", 1, 1), ("beta", 1, 0)]
        assert serves(network, "mail") == [("mail", 1, 0)]
        assert await served(store) == [
            ("acme", "acme", 1, 0),
            ("beta", "beta", 1, 0),
            ("east", "acme", 3, 0),
            ("east", "beta", 1, 1),
            ("mail", "mail", 1, 0),
        ]
        east = routes.get(network.route_ids["east"])
        assert (east.name, east.overflow_s, east.has_link) == ("east", 2.0, True)
        assert network.routing is not None
        taken = network.routing.choose("+12125550101", "acme", "+1", Category.SERVICE, "")
        assert network.routing.ids[taken or ""] == east.id


async def test_settings_read_again_take_the_place_of_the_old(database: ConnectParameters) -> None:
    """Ids stay; a route that nobody names has no link any more, and numbers find their homes."""
    async with opened(database) as store:
        routes = Routes()
        network = Network(routes)
        await network.load(store, settings("acme", "beta", routes=(EAST,)))
        before = dict(network.link_ids)
        alone = RouteSettings(name="acme", links=("acme", "new:2"))
        await network.load(store, settings("acme", "new", routes=(alone,)))
        assert network.link_ids["acme"] == before["acme"]
        assert serves(network, "acme") == [("acme", 1, 0)]
        assert serves(network, "new") == [("acme", 2, 0), ("new", 1, 0)]
        assert serves(network, "beta") == []
        assert {route.name: route.has_link for route in routes} == {
            "east": False,
            "acme": True,
            "beta": False,
            "new": True,
        }
        assert await served(store) == [
            ("acme", "acme", 1, 0),
            ("acme", "new", 2, 0),
            ("new", "new", 1, 0),
        ]
        await network.load(store, settings("acme"))
        assert network.routing is None
        assert await served(store) == [("acme", "acme", 1, 0)]
